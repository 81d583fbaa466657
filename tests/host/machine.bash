# One whole host: a Debian with systemd as PID 1, Docker and Podman, booted as a container of an engine. Source it; `boot` first, and
# `tear_down` at the end.
#
# Wants $release, $deb, and $servers, the tarball of the servers' image. Sets $image, the name of that image in the host's engines.

image=rouse-test:bookworm
host=rouse-host-$release-$$
dir=$(mktemp -d)

# What systemd as PID 1 wants of a container depends on the machine's cgroups.
if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
    boot_options=(--privileged --cgroupns=private)
    init=(/sbin/init)
else
    # No --privileged, which wants more than every machine gives.
    boot_options=(
        --cap-add={SYS_ADMIN,NET_ADMIN,SYS_PTRACE,SYS_MODULE,SYSLOG,MKNOD,NET_RAW,DAC_READ_SEARCH,LINUX_IMMUTABLE,IPC_LOCK,SYS_NICE,AUDIT_CONTROL}
        --security-opt={seccomp=unconfined,apparmor=unconfined,systempaths=unconfined}
        --device-cgroup-rule='a *:* rwm'
    )
    # The tree of cgroup v2 beside the machine's controllers, from the host's own group on: of the whole tree its engines would freeze
    # a group of the machine's that nobody is in.
    init=(unshare --cgroup sh -c 'mount -t cgroup2 none /sys/fs/cgroup && exec /sbin/init')
fi

# Boots the host, or says why it cannot be had and fails.
boot() {
    local root_image
    docker version >/dev/null || { echo "no engine answers at $DOCKER_HOST" && return 1; }
    root_image=$(tests/rootfs "$release") || { echo "the root file system cannot be built" && return 1; }
    choose_store || return
    # With the label of the run, which sweeps up after itself. The checkout and what was built of it, where they are here: a test's
    # program knows its files by these paths.
    docker create --name "$host" --label "rouse-test=${ROUSE_TEST_RUN-by-hand}" --hostname "$release" "${boot_options[@]}" \
        --tmpfs /run --tmpfs /tmp --stop-signal SIGRTMIN+3 \
        --volume "$PWD:$PWD:ro" --volume "$target:$target:ro" --volume "$servers:/srv/servers.tar:ro" \
        --volume "$store/docker:/var/lib/docker" --volume "$store/containers:/var/lib/containers" \
        "$root_image" "${init[@]}" >/dev/null && docker start "$host" >/dev/null || return
    come_up && runs_what_is_built_here && docker cp --quiet "$deb" "$host:/root/rouse.deb" && import_servers docker
}

tear_down() {
    docker rm --force --volumes "$host" &>/dev/null
    rm -rf "$dir"
}

# What the host's engines keep stays in the cache, unless another run uses it just now: the images, but no container of the last run.
choose_store() {
    store=${ROUSE_CACHE:-/var/cache/rouse-tests}/host-$release
    mkdir -p "$store"
    exec 7>"$store/lock"
    # A host that somebody has left running is not done with it either, and its Docker holds this file.
    local held=$store/docker/volumes/metadata.db
    flock -n 7 && { [[ ! -e $held ]] || flock -n "$held" true; } || store=$dir
    rm -rf "$store"/docker/{containers,network} "$store"/containers/storage/overlay-containers
    mkdir -p "$store"/{docker,containers}
}

# What is built on one Debian runs on it and on younger ones.
runs_what_is_built_here() {
    local wanted
    wanted=$(dpkg-deb --field "$deb" Depends | sed -nE 's/.*libc6 \(>= ([^)]*)\).*/\1/p')
    # shellcheck disable=SC2016 # dpkg-query fills it in
    on_host dpkg --compare-versions "$(on_host dpkg-query --show --showformat '${Version}' libc6)" ge "$wanted" ||
        { echo "what is built on this machine needs libc6 $wanted or newer" && return 1; }
}

# import_servers docker|podman: the servers' image in that engine of the host.
import_servers() {
    local version=${servers##*-}
    version=${version%.tar}
    [[ $(on_host "$1" image inspect --format '{{index .Config.Labels "rouse.version"}}' "$image" 2>&1) == "$version" ]] ||
        on_host "$1" import --change "LABEL rouse.version=$version" /srv/servers.tar "$image"
}

# A unit that cannot work in a container makes it “degraded”, which is none of our business.
booted() { [[ $(on_host systemctl is-system-running) =~ ^(running|degraded)$ ]]; }

# As a reboot does it: every process ends, /run is empty again.
reboot() {
    docker restart "$host"
    come_up
}

come_up() {
    local pid group tree=/sys/fs/cgroup
    pid=$(docker inspect --format '{{.State.Pid}}' "$host")
    [[ ! -d $tree/unified ]] || tree=$tree/unified
    group=$(sed -n 's|^0::||p' "/proc/$pid/cgroup")
    echo "$pid" >"$dir/pid"
    echo "$tree${group%/init.scope}/visitors" >"$dir/group"
    mkdir -p "$(<"$dir/group")"
    within 180 booted || { docker logs --tail 20 "$host" && return 1; }
    # Podman's networks go with their last container: their addresses are not to be looked for beyond the default route then, where
    # somebody may answer.
    on_host ip route replace unreachable 10.88.0.0/15
}

# Not by `docker exec`, whose processes belong to the host's topmost cgroup: no process may be in there once an engine of the host
# has handed controllers down (cgroups(7), “no internal processes”). Yet in one of the host's: logind knows no others.
enter() {
    # shellcheck disable=SC2016 # the inner shell fills it in
    sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$(<"$dir/group")" \
        nsenter --target "$(<"$dir/pid")" --mount --uts --ipc --net --pid --cgroup --root \
        env --ignore-environment --chdir=/ PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "$@"
}
on_host() { enter "$@" </dev/null; }
write_on_host() { enter sh -c "mkdir -p '${1%/*}' && cat >'$1'"; }
# The host's own Docker.
engine() { on_host docker "$@"; }
# A client of some server, in a container that is in the host's network.
client() { engine run --rm --network host "$image" "$@"; }

property() { on_host systemctl show -P "$2" "$1"; }
