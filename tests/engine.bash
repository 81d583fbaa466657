# What tests and benches need of a machine: packages, and an engine of their own. Source it; `stop_engine` at the end.
#
# Sets $work, a folder for this run, and $ROUSE_TEST_ENGINE, unless it names an engine that runs already.

cache=${ROUSE_CACHE:-/var/cache/rouse-tests}
work=$(mktemp -d /tmp/rouse-tests.XXXXXX)
# Whoever is in the group of the engine's socket may reach it: the socket has a mode of its own.
chmod 711 "$work"
export ROUSE_TEST_RUN=$$
engine_pid='' bridge='' group='' engine_options=()

# install COMMAND PACKAGE…: where COMMAND is missing, the first PACKAGE that this Debian has.
install() {
    local command=$1 package
    shift
    command -v "$command" >/dev/null && return
    [[ -e $work/updated ]] || { apt-get update -q && touch "$work/updated"; }
    for package in "$@"; do
        DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$package" && break
    done
    command -v "$command" >/dev/null
}

install_engine() {
    install dockerd docker.io && install docker docker-cli docker.io && install iptables iptables &&
        install ip iproute2 && install pgrep procps && install systemd-socket-activate systemd
}

# Where it cannot be had its tests are skipped by name.
install_podman() {
    install podman podman && install nsenter util-linux || echo "podman cannot be had"
    # Its networks: newer Podmans bring netavark along.
    [[ -e /usr/lib/podman/netavark || -e /usr/lib/cni/bridge ]] || install netavark containernetworking-plugins || true
}

# promtool alone, out of Debian's prometheus, whose service would start with the package. Its tests are skipped where it cannot
# be had.
fetch_promtool() {
    local folder=$cache/promtool
    if [[ ! -x $folder/usr/bin/promtool ]]; then
        rm -rf "$folder" && mkdir -p "$folder" || return 0
        [[ -e $work/updated ]] || { apt-get update -q && touch "$work/updated"; }
        (cd "$work" && apt-get download -q prometheus && dpkg -x prometheus_*.deb "$folder") || return 0
    fi
    export ROUSE_TEST_PROMTOOL=$folder/usr/bin/promtool
}

# A bridge of its own: two engines on docker0 hand out the same addresses, and one that has once used docker0 deletes it
# when it starts on another bridge, under the feet of the machine's own engine.
choose_bridge() {
    local net
    bridge=rouse$((RANDOM % 900 + 100))
    # Without an address of its own it takes the lowest of its ports' and changes it as containers come and go: what they
    # send to the one they remember is lost for seconds.
    net=$(free_net) && ip link add "$bridge" address "02:42:0a:$(printf %02x "$net"):00:01" type bridge &&
        ip address add "10.$net.0.1/16" dev "$bridge" && ip link set "$bridge" up &&
        engine_options+=(--bridge "$bridge" --default-address-pool "base=10.$((net + 1)).0.0/16,size=24")
}

# N, such that neither 10.N.0.0/16 nor its neighbour is in use.
free_net() {
    local net routes
    routes=$'\n'$(ip -4 route)
    for net in {60..250..2}; do
        [[ $routes == *$'\n'"10.$net."* || $routes == *$'\n'"10.$((net + 1))."* ]] || { echo "$net" && return; }
    done
    return 1
}

# All containers of an engine of its own are one group, which a loaded machine with cgroup v1 gives the time of one process: too
# little to be seen at work. Benches compare without it.
choose_group() {
    [[ -z ${ROUSE_TEST_ENGINE-} ]] || return 0
    local own=/${work##*/}
    mkdir "/sys/fs/cgroup/cpu$own" 2>/dev/null && echo 4096 >"/sys/fs/cgroup/cpu$own/cpu.shares" || return 0
    group=$own engine_options+=(--cgroup-parent "$own")
}

# The images stay in the cache, unless another run uses it just now.
choose_data_root() {
    mkdir -p "$cache"
    exec 8>"$cache/engine.lock"
    data_root=$cache/engine
    flock -n 8 || data_root=$work/data
    # What it knows of the last run's networks is out of date, and would be cleaned up on this machine.
    rm -rf "$data_root/network"
}

# Starts an engine, unless one is named.
start_engine() {
    if [[ -z ${ROUSE_TEST_ENGINE-} ]]; then
        choose_bridge && choose_data_root || return
        dockerd --data-root "$data_root" --exec-root "$work/exec" -H "unix://$work/docker.sock" \
            -p "$work/docker.pid" "${engine_options[@]}" &>"$work/engine.log" 8>&- &
        engine_pid=$!
        export ROUSE_TEST_ENGINE=$work/docker.sock
    fi
    ROUSE_TEST_ENGINE=${ROUSE_TEST_ENGINE#unix://}
    export DOCKER_HOST=unix://$ROUSE_TEST_ENGINE
    for _ in {1..300}; do
        docker version &>/dev/null && return
        [[ -z $engine_pid ]] || kill -0 "$engine_pid" 2>/dev/null || break
        sleep 0.1
    done
    echo "no engine answers at $ROUSE_TEST_ENGINE"
    [[ -z $engine_pid ]] || cat "$work/engine.log"
    return 1
}

# Whatever a run that was cut short has left behind; each run has its own label.
sweep() {
    local left
    left=$(docker ps --all --quiet --filter "label=rouse-test=$ROUSE_TEST_RUN") || return
    # shellcheck disable=SC2086 # words on purpose
    [[ -z $left ]] || docker rm --force --volumes $left
    left=$(docker network ls --quiet --filter "label=rouse-test=$ROUSE_TEST_RUN")
    # shellcheck disable=SC2086
    [[ -z $left ]] || docker network rm $left
}

stop_engine() {
    [[ -z ${DOCKER_HOST-} ]] || sweep &>/dev/null
    if [[ -n $engine_pid ]]; then
        kill "$engine_pid" 2>/dev/null
        wait "$engine_pid"
    fi
    [[ -z $bridge ]] || ip link delete "$bridge"
    [[ -z $group ]] || find /sys/fs/cgroup/*"$group" -depth -type d -exec rmdir {} \; 2>/dev/null
    # The engine leaves its network namespace mounted.
    awk -v "work=$work/" 'index($2, work) == 1 { print $2 }' /proc/mounts | sort -r | xargs --no-run-if-empty umount
    rm -rf "$work"
}
