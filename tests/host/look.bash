# What can be seen of sidecars on a host: ports, helpers, containers, journal. Sidecar `web` on port 8080 is container $web, an nginx;
# `db` on port 6379 is container $db, a redis.

web=nginx
db=redis

# The host's own servers of these kinds are not there, so that nobody answers for the containers.
create_web() { engine create --name "$web" --expose 80 "$@" "$image" nginx -g 'daemon off;'; }
create_db() { engine create --name "$db" "$image" redis-server --protected-mode no --save ''; }

# What a failed check is explained with.
diagnose() {
    echo "--- sockets and service"
    on_host systemctl --no-pager --lines=0 status 'rouse*@*'
    echo "--- journal"
    on_host journalctl --no-pager --lines=60 --output=short-precise -u 'rouse*@*'
    echo "--- containers"
    engine inspect --format '{{.Name}} {{json .State}}' "$web" "$db"
    engine logs --tail 5 "$web"
}

port_open() { [[ $(on_host ss -Htln "sport = :${1-8080}") ]]; }
running() { has_status running "${1-$web}" || paused "${1-$web}"; }
paused() { has_status paused "${1-$web}"; }
has_status() { [[ $(engine inspect --format '{{.State.Status}}' "$2") == "$1" ]]; }
start_of_container() { engine inspect --format '{{.State.StartedAt}}' "${1-$web}"; }
helper() { property "rouse@${1-web}.service" MainPID; }
helper_gone() { [[ $(property "rouse@${1-web}.service" ActiveState) == inactive ]]; }
asleep() { ! running && helper_gone web && port_open; }
redis() { is "$(redis_says ping)" PONG; }
# redis_says WORD…: its answer to an inline command.
redis_says() { on_host bash -c 'exec 3<>/dev/tcp/127.0.0.1/6379 && echo "$*" >&3 && read -rt 30 -u 3 said && echo "${said//[+$'"'\\r'"']/}"' redis "$@"; }
fetch() { has "$(on_host curl --silent --show-error --max-time 30 "http://127.0.0.1:${1-8080}/")" "Welcome to nginx"; }
status_line() { on_host systemctl status "rouse@${1-web}" | sed -n 's/^ *Status: "\(.*\)"$/\1/p'; }

# events [NAME [SINCE [SIDECAR]]]: the journal's entries of that event, or of any, one line of JSON each.
events() {
    on_host journalctl --no-pager --output=json --since="@${2-0}" "ROUSE_SIDECAR=${3-web}" ${1:+ROUSE_EVENT="$1"} |
        grep '"ROUSE_EVENT"'
}
happened() { events "$1" "${2-$began}"; }
last_event_is() { [[ $(events | tail -n 1) == *"\"ROUSE_EVENT\":\"$1\""* ]]; }

# configure WEB DB: the keys of the two sidecars besides those that name their containers.
configure() {
    write_on_host /etc/rouse/rouse.d/two.toml <<-TOML
		[sidecar.web]
		container = "$web"
		port = 80
		$1
		[sidecar.db]
		container = "$db"
		$2
	TOML
    # A socket that is not enabled yet is worth a warning.
    [[ $(code on_host rouse check) =~ ^[01]$ ]]
}

# stay, settle: from here on neither of the two falls asleep, however long a busy machine takes to look at it; and both do again.
stay() { everybody_idles_after 10m; }
settle() { everybody_idles_after "${idle}s"; }
everybody_idles_after() {
    configure "idle_timeout = '$1'" "idle_timeout = '$1'"
    reload web
    reload db
}
# A helper that lives reads its configuration again; the next one does so anyway.
reload() { helper_gone "$1" || on_host systemctl reload "rouse@$1.service" || within 10 helper_gone "$1"; }

# listen NAME ADDRESS: where a sidecar's socket listens; it is for systemd to read it.
listen() {
    write_on_host "/etc/systemd/system/rouse@$1.socket.d/listen.conf" <<-UNIT
		[Socket]
		ListenStream=$2
	UNIT
    on_host systemctl daemon-reload
}

turn_on() { on_host systemctl enable --now "rouse@$1.socket"; }
turn_off() { on_host systemctl disable --now "rouse@$1.socket"; }

# As if it had never been: its socket off, its files gone.
forget() {
    turn_off "$1"
    on_host rm -rf "/etc/systemd/system/rouse@$1.socket.d" "/var/lib/rouse/$1".{json,lock}
    on_host systemctl daemon-reload
}

# code COMMAND…: its exit code alone.
code() { "$@" &>/dev/null && echo 0 || echo $?; }

# refused CODE PART COMMAND…: it ends so, and says that.
refused() {
    local expected=$1 part=$2 code=0 said
    shift 2
    said=$("$@" 2>&1) || code=$?
    is "$code" "$expected"
    has "$said" "$part"
}
