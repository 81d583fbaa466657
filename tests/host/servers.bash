# The servers that people put behind rouse, each behind a socket of its own, and all asleep at first.

programs=$PWD/tests/it/clients

create_servers() {
    engine create --name shop-cache "$image" redis-server --protected-mode no --save ''
    engine create --name shop-db --user postgres --env PATH=/usr/lib/postgresql/15/bin:/usr/bin:/bin \
        --volume "$programs:/clients:ro" --health-cmd 'pg_isready -h 127.0.0.1 -p 8000' --health-interval 500ms \
        "$image" /clients/postgres-server
    engine create --name shop-files "$image" python3 -m http.server 8000
    engine create --name shop-front "$image" nginx -g 'daemon off;'
    write_on_host /etc/rouse/rouse.d/shop.toml <<-TOML
		[defaults]
		idle_timeout = "3s"
		[sidecar.shop-cache]
		port = 6379
		[sidecar.shop-db]
		port = 8000
		ready = "healthy"
		[sidecar.shop-files]
		port = 8000
		ready = "http-ok:/etc/hostname"
		[sidecar.shop-front]
		port = 80
		requires = ["shop-cache", "shop-db", "shop-files"]
	TOML
    listen shop-cache 127.0.0.1:7001
    listen shop-db 127.0.0.1:7002
    listen shop-files 127.0.0.1:7003
    listen shop-front 127.0.0.1:7004
    on_host systemctl enable --now rouse@shop-{cache,db,files,front}.socket
    within 60 all_asleep
}
all_asleep() {
    local name
    for name in shop-{cache,db,files,front}; do helper_gone $name && ! running $name || return; done
}

# In one go, for it forgets all when it sleeps.
redis_stores() { is "$(client sh -c 'redis-cli -p 7001 set key value && redis-cli -p 7001 get key')" $'OK\nvalue'; }

postgres_counts() { is "$(client psql -h 127.0.0.1 -p 7002 -U postgres -Atc 'select sum(n) from generate_series(1, 1000) n')" 500500; }

python_serves() { is "$(on_host curl --silent --fail --max-time 30 http://127.0.0.1:7003/etc/hostname)" "$(engine inspect --format '{{.Config.Hostname}}' shop-files)"; }

# It wakes all of them.
nginx_serves() {
    local name
    within 60 all_asleep
    began=$EPOCHREALTIME
    fetch 7004
    # They may be on their way to sleep by now.
    for name in shop-{cache,db,files}; do within 10 events ready "$began" $name; done
    within 60 all_asleep
}

servers_are_taken_away() {
    local name
    for name in shop-{cache,db,files,front}; do forget $name; done
    on_host rm /etc/rouse/rouse.d/shop.toml
    engine rm --force --volumes shop-{cache,db,files,front}
}

servers() {
    check "redis, PostgreSQL, a Python server and nginx are enabled and asleep" create_servers
    check "redis is woken by its first client and keeps what it is told" redis_stores
    check "PostgreSQL is woken by its first client and answers when it has recovered" postgres_counts
    check "a Python server is woken by its first client" python_serves
    check "nginx is woken with the three that it requires, and all fall asleep" nginx_serves
    check "they are taken away" servers_are_taken_away
}
