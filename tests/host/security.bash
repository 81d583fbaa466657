# What a helper can reach, and who can reach a sidecar: the sandbox of the units as this host's systemd makes it, the address
# filters of service and socket, and the filter before the engine. Sourced by `run`.
#
# Its sidecars: fort, an nginx on port 8180, and far, one with the host's network that is dialled at an address outside.
# shellcheck disable=SC2154 # run assigns them

far_address=198.51.100.1 # kept for documentation: nobody has it

fort_answers() { has "$(on_host curl --silent --show-error --max-time 30 "http://${1-127.0.0.1}:8180/")" "Welcome to nginx"; }
fort_helper() { property rouse@fort.service MainPID; }
# as_rouse COMMAND…: as the helper's user, with his groups, and outside the sandbox.
as_rouse() { on_host setpriv --reuid=rouse --regid=rouse --init-groups --no-new-privs "$@"; }

# drop_in UNIT NAME <lines: a drop-in of the sidecars of this part.
drop_in() {
    write_on_host "/etc/systemd/system/$1.d/$2.conf"
    on_host systemctl daemon-reload
}

no_drop_in() {
    on_host rm "/etc/systemd/system/$1.d/$2.conf"
    on_host systemctl daemon-reload
}

set_up_fort() {
    engine create --name fort "$image" nginx -g 'daemon off;'
    engine create --name far --network host "$image" python3 -m http.server 8181
    write_on_host /etc/rouse/rouse.d/security.toml <<-TOML
		[sidecar.fort]
		port = 80
		busy_cpu = 0

		[sidecar.far]
		address = "$far_address:8181"
		wake_timeout = "2s"
		when_late = "refuse"
		busy_cpu = 0
	TOML
    drop_in rouse@far.socket listen <<<$'[Socket]\nListenStream=127.0.0.1:8182'
    drop_in rouse@fort.socket listen <<<$'[Socket]\nListenStream=8180'
    on_host ip address add "$far_address/32" dev lo
    on_host systemctl enable --now rouse@fort.socket rouse@far.socket
    fort_answers
}

tidy_up() {
    on_host systemctl disable --now rouse@fort.socket rouse@far.socket
    on_host rm -rf /etc/systemd/system/rouse@{fort,far}.{socket,service}.d /etc/rouse/rouse.d/security.toml
    on_host systemctl daemon-reload
    on_host ip address delete "$far_address/32" dev lo
    engine rm --force fort far
    on_host rm -f /var/lib/rouse/{fort,far}.{json,lock}
}

# --- the sandbox ------------------------------------------------------------------------------------------------------

# score UNIT LIMIT: systemd's own judgement of a unit as it is loaded, in tenths.
score() { on_host systemd-analyze security --no-pager --threshold="$2" "$1"; }

# Each unit with a sandbox, by a name that can be asked for.
keeps_score() {
    score rouse@fort.service 14
    score rouse-metrics.service 14
    [[ $(property rouse-adopt.service LoadState) != loaded ]] || score rouse-adopt.service 14
}

has_no_privilege() {
    local status
    status=$(on_host cat "/proc/$(fort_helper)/status")
    is "$(awk '$1 ~ /^Cap/ && $2 != 0' <<<"$status")" ""
    is "$(grep -c '^Cap' <<<"$status")" 5
    is "$(awk '/^NoNewPrivs:/ { print $2 }' <<<"$status")" 1
    is "$(awk '/^Seccomp:/ { print $2 }' <<<"$status")" 2
    is "$(awk '/^Uid:/ { print $2, $3, $4, $5 }' <<<"$status")" "$(on_host sh -c 'i=$(id -u rouse); echo $i $i $i $i')"
    not is "$(on_host id -u rouse)" 0
}

# All that the helper's user may write or connect to in what the helper sees as the file system, as the kernel decides it.
writable() {
    local root
    root=/proc/$(fort_helper)/root/
    # Of a process what is its own: no other is to be seen in there. What cannot be looked into makes find fail.
    as_rouse find "$root" -path "${root}proc/[0-9]*" -prune -o ! -type l -writable -printf '/%P\n' 2>/dev/null || true
}

# What docs/security.md says that is left.
allowed() {
    cat <<-'PATHS'
		/dev/(null|zero|full|random|urandom|tty|pts/ptmx|ptmx)
		/var/lib/rouse(/[^/]*\.(json|lock|json\.new))?
		/run/docker\.sock
		/run/rouse/[^/]*\.sock
		/run/systemd/notify
		/run/systemd/journal/[^/]*
		/sys/fs/cgroup/.*/rouse@fort\.service/memory\.pressure
	PATHS
}

reaches_only_the_engine() {
    local found
    found=$(writable)
    # That it looks at all.
    has "$found" /var/lib/rouse/fort.json
    has "$found" /run/docker.sock
    has "$found" /run/rouse/fort.sock
    is "$(grep -vxE -f <(allowed) <<<"$found" || true)" ""
    # What others leave there is nobody's business.
    as_rouse ls /tmp /var/tmp >/dev/null
    not as_rouse ls "/proc/$(fort_helper)/root/tmp"
    not as_rouse ls "/proc/$(fort_helper)/root/var/tmp"
    # Outside the sandbox the same user finds more.
    has "$(as_rouse find /run /dev /tmp -writable 2>/dev/null)" /dev/shm
}

# In the helper's mount namespace, by root: what root may not execute there nobody may.
executes_only_itself() {
    local inside=(nsenter --target "$(fort_helper)" --mount)
    has "$(on_host "${inside[@]}" /usr/bin/rouse --version)" rouse
    refused 126 "Permission denied" on_host "${inside[@]}" /bin/sh -c true
    refused 126 "Permission denied" on_host "${inside[@]}" /usr/bin/find / -maxdepth 0
}

reloads_all_the_same() {
    on_host systemctl reload rouse@fort.service
    fort_answers
    is "$(on_host systemctl show -P Result rouse@fort.service)" success
}

# While a child of systemd clears away after a helper, it has the port open too, and the socket cannot be bound again.
restarts_awake() {
    local left _
    fort_answers
    left=$(on_host find /tmp /var/tmp -maxdepth 1 -name '*rouse@*')
    is "$left" ""
    for _ in {1..10}; do
        on_host systemctl restart rouse@fort.socket
        fort_answers
    done
}

# The helper has a mount namespace of its own. The container goes down with the engine, and to learn of that the helper must
# have reached the new socket.
finds_an_engine_made_anew() {
    local helper inode
    helper=$(fort_helper) inode=$(on_host stat -c %i /run/docker.sock)
    on_host systemctl stop docker.socket docker.service
    on_host systemctl start docker.socket docker.service
    not is "$(on_host stat -c %i /run/docker.sock)" "$inode"
    within 30 heard_of_the_end "$helper"
    within 30 fort_answers
}
heard_of_the_end() { has "$(on_host journalctl --no-pager _PID="$1" ROUSE_EVENT=died)" "container fort has ended"; }

# --- addresses --------------------------------------------------------------------------------------------------------

# filters_packets: whether the kernel has what IPAddressDeny= is made of: systemd-run tells nothing, so a packet is tried.
filters_packets() {
    not on_host systemd-run --quiet --wait --collect --property=IPAddressDeny=any \
        curl --silent --max-time 2 --output /dev/null "http://$(on_host hostname -I | cut -d ' ' -f 1):8180/"
}

far_fetches() { on_host curl --silent --max-time 10 http://127.0.0.1:8182/; }

dials_private_addresses_only() {
    # That of a container is one.
    [[ $(engine inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' fort) =~ ^(10|172|192)\. ]]
    fort_answers
    not far_fetches
    has "$(on_host journalctl --no-pager ROUSE_SIDECAR=far ROUSE_EVENT=wake-failed)" "$far_address:8181"
    refused 78 "IPAddressAllow=$far_address" on_host rouse check
    # It is there, for others.
    has "$(on_host curl --silent --max-time 10 "http://$far_address:8181/")" "Directory listing"
}

drop_in_opens_an_address() {
    drop_in rouse@far.service address <<<$'[Service]\nIPAddressAllow='"$far_address"
    on_host systemctl restart rouse@far.service
    within 20 far_fetches
    has "$(far_fetches)" "Directory listing"
    not has "$(on_host rouse check 2>&1 || true)" "$far_address"
    no_drop_in rouse@far.service address
    on_host rouse sleep far --force
}

# From an address of this host that the list has not: loopback has many.
from() { on_host curl --silent --connect-timeout 3 --max-time 30 --interface "$1" --output /dev/null http://127.0.0.1:8180/; }

allow_list_on_the_socket() {
    on_host rouse sleep fort --force
    from 127.0.0.1
    on_host rouse sleep fort --force
    drop_in rouse@fort.socket clients <<<$'[Socket]\nIPAddressDeny=any\nIPAddressAllow=127.0.0.7'
    on_host systemctl restart rouse@fort.socket
    not from 127.0.0.1
    not is "$(on_host rouse is-running fort && echo awake)" awake
    from 127.0.0.7
    is "$(on_host rouse is-running fort && echo awake)" awake
    no_drop_in rouse@fort.socket clients
    on_host systemctl restart rouse@fort.socket
    within 10 from 127.0.0.1
}

# --- the filter before the engine -------------------------------------------------------------------------------------

# As the README beside it says, after which user rouse is no member of group docker.
put_filter_before_engine() {
    local doc=/usr/share/doc/rouse/socket-proxy
    on_host sh -c "mkdir -p /etc/haproxy && cp $doc/rouse-engine.cfg /etc/haproxy/ && cp $doc/rouse-engine.s* /etc/systemd/system/"
    on_host systemctl daemon-reload
    on_host systemctl enable --now rouse-engine.socket
    write_on_host /etc/rouse/rouse.d/engine.toml <<<$'[helper]\nengine = "unix:///run/rouse-engine.sock"'
    on_host sh -c "mkdir -p /etc/sysusers.d && sed '/^m rouse docker/d' /usr/lib/sysusers.d/rouse.conf >/etc/sysusers.d/rouse.conf"
    on_host gpasswd --delete rouse docker
    on_host systemd-sysusers
    not has " $(on_host id -Gn rouse) " " docker "
    is "$(on_host stat -c '%a %U %G' /run/rouse-engine.sock)" "660 root rouse"
    within 20 filter_answers
}
filter_answers() { is "$(ask_engine GET /_ping)" 200; }

lives_behind_filter() {
    on_host rouse sleep fort --force
    within 20 no_helper
    fort_answers
    has "$(on_host rouse status fort)" running
    not has "$(on_host rouse check 2>&1 || true)" rouse-engine.sock
    on_host rouse sleep fort
    is "$(property rouse@fort.service Result)" success
    # Its user may not use the engine's own socket any more.
    not as_rouse test -w /run/docker.sock
    as_rouse test -w /run/rouse-engine.sock
}
no_helper() { [[ $(property rouse@fort.service ActiveState) == inactive ]]; }

# ask_engine METHOD PATH [CURL-OPTION…]: the status that user rouse gets from what is his engine now.
ask_engine() {
    local method=$1 path=$2
    shift 2
    as_rouse curl --silent --max-time 10 --output /dev/null --write-out '%{http_code}' --path-as-is \
        --unix-socket /run/rouse-engine.sock --request "$method" "$@" "http://engine$path"
}

filter_refuses() {
    is "$(ask_engine GET /v1.41/containers/fort/json)" 200
    is "$(ask_engine POST /v1.41/containers/create --json '{"Image":"x"}')" 403
    is "$(ask_engine POST /v1.41/containers/fort/exec --json '{"Cmd":["id"]}')" 403
    is "$(ask_engine POST /v1.23/containers/fort/start --json '{"Binds":["/:/host"]}')" 403
    is "$(ask_engine POST /v1.41/containers/fort/start --json '{"Binds":["/:/host"]}')" 403
    is "$(ask_engine POST /v1.41/containers/fort/../create/start)" 403
    is "$(ask_engine DELETE /v1.41/containers/fort)" 403
    is "$(ask_engine GET /v1.41/images/json)" 403
    has "$(on_host journalctl --no-pager -u rouse-engine.service)" "POST /v1.41/containers/create"
}

filter_has_a_sandbox() {
    is "$(property rouse-engine.service NRestarts)" 0
    score rouse-engine.service 14
    local status
    status=$(on_host cat "/proc/$(property rouse-engine.service MainPID)/status")
    is "$(awk '$1 ~ /^Cap/ && $2 != 0' <<<"$status")" ""
    is "$(awk '/^Seccomp:/ { print $2 }' <<<"$status")" 2
}

# rouse add and the parts that follow find it as it was.
take_filter_away() {
    on_host systemctl disable --now rouse-engine.socket
    on_host systemctl stop rouse-engine.service
    on_host rm -f /etc/systemd/system/rouse-engine.{socket,service} /etc/haproxy/rouse-engine.cfg \
        /etc/rouse/rouse.d/engine.toml /etc/sysusers.d/rouse.conf
    on_host systemctl daemon-reload
    on_host systemd-sysusers
    has " $(on_host id -Gn rouse) " " docker "
}

security() {
    check "security: two sidecars for this part" set_up_fort
    check "systemd-analyze security: 1.4 or less for every service" keeps_score
    check "the helper has no capability, and cannot gain one" has_no_privilege
    check "of what is not its own it can write to the engine's socket and to what systemd hears, and to nothing else" reaches_only_the_engine
    check "it can execute nothing but itself" executes_only_itself
    check "systemctl reload works in there" reloads_all_the_same
    check "nothing of a helper is left to clear away, and its socket restarts while it is awake" restarts_awake
    check "an engine that makes its socket anew is found in there" finds_an_engine_made_anew
    if filters_packets &>/dev/null; then
        check "the helper dials containers, and nothing outside the private networks" dials_private_addresses_only
        check "IPAddressAllow= in a drop-in opens one more address" drop_in_opens_an_address
        check "IPAddressAllow= on the socket: others cannot connect, and wake nothing" allow_list_on_the_socket
    else
        skip "IPAddressAllow= of service and socket" "this kernel lets IPAddressDeny=any pass packets"
    fi
    if on_host sh -c 'command -v haproxy' >/dev/null; then
        check "the filter before the engine is put there as its README says" put_filter_before_engine
        check "a sidecar wakes and sleeps behind it, its helper's user in no group docker" lives_behind_filter
        check "what rouse does not ask is refused: create, exec, a start with a body, and all else" filter_refuses
        check "the filter has a sandbox of its own: 1.4 or less, no capability" filter_has_a_sandbox
        check "and is taken away again" take_filter_away
    else
        skip "a filter before the engine" "haproxy is not installed on the host"
    fi
    check "security: nothing of this part is left" tidy_up
}
