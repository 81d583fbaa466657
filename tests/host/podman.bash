# Rootful Podman as rouse's engine: its socket as Podman ships it is closed to user rouse, the files in the package's examples open it,
# and a sidecar on a container of Podman's lives as on one of Docker's.
# shellcheck disable=SC2154 # `on` and its parts assign them

pod=pod # the sidecar, its container, an nginx
examples=/usr/share/doc/rouse/examples/podman

podman() {
    check "rootful Podman has the servers' image" podman_is_ready
    check "Podman's socket as it comes is closed to user rouse, and rouse check says what opens it" podman_is_closed
    check "the files of the examples open it to user rouse, also at the next boot" podman_is_opened
    check "rouse add proposes a container of Podman's as it is, and rouse check finds nothing wrong" podman_is_added
    check "a container that a Quadlet makes anew gets the advice to make one that stays" quadlet_is_advised
    check "the first connection wakes a container of Podman's" pod_wakes
    check "it is paused after pause_after, and the next connection thaws it" pod_pauses
    check "it falls asleep out of its pause, and its helper goes" pod_sleeps
    check "stopped by podman's own hand, it is woken by the next connection" pod_is_stopped_by_hand
    check "Podman's socket stopped and started again, the sidecar wakes as before" pod_outlives_the_service
    forget_podman &>/dev/null
}

on_podman() { on_host podman "$@"; }
pod_is() { [[ $(on_podman inspect --format '{{.State.Status}}' "$pod") == "$1" ]]; }
pod_helper_gone() { helper_gone "$pod"; }
pod_happened() { events "$1" "$began" "$pod"; }
ask_podman() { on_host setpriv --reuid=rouse --regid=rouse --init-groups curl --silent --show-error --include --unix-socket /run/podman/podman.sock http://podman/_ping; }

podman_is_ready() {
    podman_for_this_machine
    import_servers podman
    on_podman create --name "$pod" --expose 80 "$image" nginx -g 'daemon off;'
    on_host systemctl start podman.socket
}

# What Podman needs without CAP_SYS_RESOURCE, without nft and without the controller of processes in each cgroup.
podman_for_this_machine() {
    local firewall='' runtime=''
    on_host sh -c 'command -v nft' || firewall='firewall_driver = "iptables"'
    # That release's crun raises a limit of its own.
    [[ $release != bookworm ]] || runtime='runtime = "runc"'
    write_on_host /etc/containers/containers.conf.d/rouse-test.conf <<-TOML
		[containers]
		default_ulimits = ["nofile=20000:20000", "nproc=20000:20000"]
		pids_limit = 0
		[engine]
		$runtime
		[network]
		$firewall
	TOML
}

podman_is_closed() {
    write_on_host /etc/rouse/rouse.d/podman.toml <<-TOML
		[helper]
		engine = "unix:///run/podman/podman.sock"
	TOML
    on_host rouse add "$pod" --listen 127.0.0.1:8095 --idle-timeout 3s
    on_host systemctl daemon-reload
    on_host systemctl enable "rouse@$pod.socket"
    not ask_podman
    refused 78 "user rouse, as whom the helper runs, may not use /run/podman" on_host rouse check
    refused 78 "cp -r $examples/etc/. /etc/" on_host rouse check
}

podman_is_opened() {
    local cure
    # The very line that rouse check prints.
    cure=$({ on_host rouse check 2>&1 || true; } | grep -o 'cp -r /usr/share.*podman.socket')
    on_host sh -c "$cure"
    has "$(ask_podman)" "Libpod-Api-Version"
    on_host systemd-tmpfiles --boot --create --remove --prefix=/run/podman
    is "$(on_host stat -c '%a %U %G' /run/podman)" "750 root podman"
    has "$(ask_podman)" "Libpod-Api-Version"
    # Nobody else has got in.
    not on_host setpriv --reuid=nobody --regid=nogroup --clear-groups curl --silent --unix-socket /run/podman/podman.sock http://podman/_ping
}

podman_is_added() {
    turn_off "$pod"
    on_host rouse remove "$pod" --force
    write_on_host /etc/rouse/rouse.d/podman.toml <<-TOML
		[helper]
		engine = "unix:///run/podman/podman.sock"
		[defaults]
		pause_after = "1s"
	TOML
    on_host rouse add "$pod" --listen 127.0.0.1:8095 --idle-timeout 10m >"$dir/added"
    has "$(<"$dir/added")" "$pod: 127.0.0.1:8095 → $pod:80"
    on_host sh -c "$(tail -n 1 "$dir/added")"
    is "$(on_host systemctl is-enabled "rouse@$pod.socket")" enabled
    on_host rouse check
    has "$(on_host rouse status)" "$pod"
    within 10 pod_helper_gone
}

# Podman 4.3 knows no Quadlet yet: there the label that such a container has stands for it.
quadlet_is_advised() {
    local name=quad
    if on_host test -e /usr/lib/systemd/system-generators/podman-system-generator; then
        write_on_host /etc/containers/systemd/quad.container <<-UNIT
			[Container]
			Image=$image
			Exec=nginx -g 'daemon off;'
			ExposeHostPort=80
		UNIT
        name=systemd-quad
        on_host systemctl daemon-reload
        on_host systemctl start quad.service
    else
        on_podman create --name quad --label PODMAN_SYSTEMD_UNIT=quad.service --expose 80 "$image" nginx -g 'daemon off;'
    fi
    refused 0 "quad.service makes it anew at each start" on_host rouse add quad --container "$name" --listen 8096 --dry-run
    on_host systemctl stop quad.service || on_podman rm --force "$name"
}

pod_wakes() {
    pod_is created
    fetch 8095
    pod_is running || pod_is paused
    within 10 pod_happened ready
    is "$(on_host stat -c %U "/proc/$(helper "$pod")")" rouse
}

pod_pauses() {
    within 10 pod_is paused
    fetch 8095
    within 10 pod_happened unpaused
    within 10 pod_is paused
}

# What follows is of a sidecar that is awake or asleep.
pod_sleeps() {
    pod_is paused
    on_host sed -i 's/"10m"/"10s"/' "/etc/rouse/rouse.d/$pod.toml"
    reload "$pod"
    within 30 pod_happened slept
    within 10 pod_helper_gone
    pod_is exited
    has "$(status_line "$pod")" asleep
    on_host sed -i '/pause_after/d' /etc/rouse/rouse.d/podman.toml
}

pod_is_stopped_by_hand() {
    fetch 8095
    on_podman stop --time 5 "$pod"
    within 10 pod_happened died
    fetch 8095
    within 30 pod_happened slept
}

pod_outlives_the_service() {
    within 10 pod_helper_gone
    on_host systemctl stop podman.socket podman.service
    not fetch 8095
    on_host systemctl start podman.socket
    within 40 fetch 8095
    within 30 pod_happened slept
    on_host rouse check
}

# The host as it was, and Podman's socket as Podman ships it.
forget_podman() {
    turn_off "$pod"
    on_host rouse remove "$pod" --force
    on_podman rm --force --ignore --time 0 "$pod" quad
    on_host rm -rf /etc/rouse/rouse.d/podman.toml /etc/containers/containers.conf.d/rouse-test.conf /etc/containers/systemd/quad.container
    on_host sh -c "cd $examples/etc && find . -type f | (cd /etc && xargs rm -f)"
    on_host gpasswd --delete rouse podman
    on_host groupdel podman
    on_host systemctl daemon-reload
    on_host systemctl stop podman.socket podman.service
    on_host systemd-tmpfiles --boot --create podman.conf
}
