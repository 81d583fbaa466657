# Sidecars in a user's own manager: the containers of a member of group docker, and those of rootless Podman. Sourced by
# tests/host/run, whose functions it uses; `user` makes the checks.

user_name=rouse-user
user_home=/home/$user_name
user_idle=2 # seconds

# as_user COMMAND…: as that user, in his session.
as_user() {
    # shellcheck disable=SC2016 # the shell there fills it in
    on_host runuser -u "$user_name" -- env HOME="$user_home" sh -c 'XDG_RUNTIME_DIR=/run/user/$(id -u) exec "$@"' sh "$@"
}
user_runtime() { on_host sh -c "echo /run/user/\$(id -u $user_name)"; }
user_property() { as_user systemctl --user show -P "$2" "$1"; }
user_writes() {
    as_user mkdir -p "$(dirname "$user_home/$1")"
    write_on_host "$user_home/$1"
    on_host chown "$user_name:" "$user_home/$1"
}

# What is missing on this host, in one line; nothing if there is all that his manager needs.
user_lacks() {
    on_host sh -c 'command -v loginctl >/dev/null || echo "there is no logind"
        ls /usr/lib/*/security/pam_systemd.so >/dev/null 2>&1 || echo "libpam-systemd is not installed"' | sed -n 1p
}
rootless_lacks() {
    on_host sh -c 'command -v podman >/dev/null || echo "podman is not installed"
        command -v newuidmap >/dev/null || echo "uidmap is not installed"
        command -v pasta >/dev/null || command -v slirp4netns >/dev/null || echo "neither passt nor slirp4netns is installed"
        runuser -u nobody -- unshare --user true || echo "the kernel has no user namespaces for users"' | sed -n 1p
}

user_logs_in() {
    on_host useradd --create-home --groups docker --shell /bin/bash "$user_name"
    on_host loginctl enable-linger "$user_name"
    within 20 user_manager_runs
    # Nothing is turned on by itself.
    is "$(as_user systemctl --user is-enabled rouse@web.socket || true)" disabled
}
user_manager_runs() { [[ $(as_user systemctl --user is-system-running) =~ ^(running|degraded)$ ]]; }

# user_sidecar NAME PORT KEYS: a sidecar that listens on PORT of 127.0.0.1.
user_sidecar() {
    user_writes ".config/rouse/rouse.d/$1.toml" <<<"[sidecar.$1]
container = 'user-$1'
idle_timeout = '${user_idle}s'
$3"
    user_writes ".config/systemd/user/rouse@$1.socket.d/listen.conf" <<<"[Socket]
ListenStream=127.0.0.1:$2"
    as_user systemctl --user daemon-reload
}

user_helper_gone() { [[ $(user_property "rouse@$1.service" ActiveState) == inactive ]]; }
user_helper_ran() { user_helper_gone "$1" && [[ $(user_property "rouse@$1.service" ExecMainStartTimestampMonotonic) != 0 ]]; }
user_listens() { [[ $(on_host ss -Htln "sport = :$1") ]]; }
user_state() { [[ $(as_user rouse status --user --json "$1") == *"\"state\": \"$2\""* ]]; }
user_events() { on_host journalctl --no-pager --quiet --output=cat --since "@$user_began" "ROUSE_SIDECAR=$1" "ROUSE_EVENT=$2"; }
user_had() { [[ $(user_events "$1" "$2" | wc -l) == "$3" ]]; }

# --- with Docker ------------------------------------------------------------------------------------------------------

web_up() { [[ $(engine inspect --format '{{.State.Running}}' user-web) == true ]]; }
web_down() { not web_up; }
web_asleep() { web_down && user_helper_gone web && user_listens 18482; }
fetch_web() { has "$(on_host curl --silent --show-error --max-time 20 http://127.0.0.1:18482/)" "Welcome to nginx"; }

user_turns_on() {
    engine create --name user-web --publish 127.0.0.1:18481:80 "$image" nginx -g 'daemon off;'
    user_sidecar web 18482 "engine = 'unix:///run/docker.sock'
address = '127.0.0.1:18481'
ready = 'http:/'"
    # It is not enabled yet, of which it warns in his manager's words.
    refused 1 "systemctl --user enable --now rouse@web.socket" as_user rouse check --user
    as_user systemctl --user enable --now rouse@web.socket
    within 10 user_helper_ran web
    user_listens 18482
    web_down
    is "$(code as_user rouse check --user)" 0
}

# However long the looks take that follow, it stays up.
user_holds() { as_user rouse hold --user --for 5m "$1"; }

user_wakes() {
    fetch_web
    user_had web waking 1
    user_holds web
    web_up
    user_state web awake
    has "$(as_user systemctl --user status rouse@web.service)" 'Status: "'
    # Of his sidecars the system's commands know nothing.
    not has "$(on_host rouse status)" web
}

user_keeps_state() {
    is "$(as_user stat -c %U "$user_home/.local/state/rouse/web.json")" "$user_name"
    # Not among his configuration, where StateDirectory= of older managers is.
    is "$(as_user ls "$user_home/.config/rouse")" rouse.d
    not on_host test -e /var/lib/rouse/web.json
}

user_steers() {
    local socket
    socket=$(user_runtime)/rouse/web.sock
    has "$(as_user curl --silent --unix-socket "$socket" http://rouse/v1/sidecars/web)" '"sidecar":"web"'
    user_holds web
    refused 1 "held by" as_user rouse sleep --user web
    as_user rouse sleep --user --force web
    web_down
    as_user rouse wake --user web
    user_holds web
    web_up
}

user_helper_is_replaced() {
    user_holds web
    as_user systemctl --user kill --signal=KILL rouse@web.service
    within 20 user_had web adopted 1
    fetch_web
}

user_sleeps() {
    as_user rouse sleep --user --force web
    fetch_web
    within $((user_idle + 20)) web_asleep
    is "$(user_property rouse@web.service Result)" success
}

user_adopts() {
    engine start user-web
    has "$(as_user rouse adopt --user)" "web: container user-web was up without a helper, and has one now"
    within $((user_idle + 20)) web_asleep
}

user_turns_off() {
    user_holds web
    as_user systemctl --user disable --now rouse@web.socket
    not user_listens 18482
    not on_host test -e "$(user_runtime)/rouse/web.sock"
    web_up
}

# --- with his own Podman ----------------------------------------------------------------------------------------------

# A container of what every Debian has, Perl: it answers with one word.
rootless_set_up() {
    # A host in a container has neither this device, nor the controller and the limits that Podman would set, nor a file
    # system below its own that takes another overlay.
    on_host sh -c 'test -e /dev/net/tun || { mkdir -p /dev/net && mknod -m 0666 /dev/net/tun c 10 200; }'
    user_writes .config/containers/containers.conf <<<'[containers]
default_ulimits = ["nofile=20000:20000"]
pids_limit = 0'
    user_writes .config/containers/storage.conf <<<'[storage]
driver = "vfs"'
    user_writes server.pl <<<'my $port = IO::Socket::INET->new(LocalPort => 80, Listen => 9) or die $!;
$SIG{TERM} = sub { exit };
while (my $client = $port->accept) { <$client>; print $client "HTTP/1.0 200 OK\r\n\r\nrootless\n"; close $client }'
    # shellcheck disable=SC2016 # the shell there fills it in
    as_user bash -c 'cd && tar -hcP /usr/bin/perl $(ldd /usr/bin/perl | grep -o "/[^ ]*") /usr/lib/*/perl-base | podman import - tiny &&
        podman create --name user-tiny --publish 127.0.0.1:18483:80 tiny perl -MIO::Socket::INET -e "$(<server.pl)"'
    as_user systemctl --user start podman.socket
}

tiny_up() { [[ $(as_user podman inspect --format '{{.State.Running}}' user-tiny) == true ]]; }
tiny_asleep() { not tiny_up && user_helper_gone tiny && user_listens 18484; }
fetch_tiny() { is "$(on_host curl --silent --show-error --max-time 20 http://127.0.0.1:18484/)" rootless; }

# Without `engine`: his own comes before the system's.
rootless_wakes() {
    user_sidecar tiny 18484 "address = '127.0.0.1:18483'
ready = 'http:/'"
    as_user systemctl --user enable --now rouse@tiny.socket
    within 10 user_helper_ran tiny
    not tiny_up
    fetch_tiny
    user_had tiny waking 1
    user_holds tiny
    tiny_up
    user_state tiny awake
    has "$(as_user rouse status --user tiny)" running
}

rootless_sleeps() {
    as_user rouse sleep --user --force tiny
    fetch_tiny
    within $((user_idle + 30)) tiny_asleep
}

# Podman lists a paused container apart from those that run.
rootless_adopts() {
    as_user podman start user-tiny
    as_user podman pause user-tiny
    has "$(as_user rouse adopt --user)" "tiny: container user-tiny was up without a helper, and has one now"
    within $((user_idle + 30)) tiny_asleep
}

user_clean_up() {
    as_user systemctl --user disable --now rouse@tiny.socket || true
    ! rootless_is_there || as_user podman rm --force user-tiny || true
    on_host loginctl disable-linger "$user_name"
    on_host systemctl stop "user@$(on_host id -u "$user_name").service"
    engine rm --force --volumes user-web
    # With the ids of his containers in it.
    on_host userdel --force "$user_name"
    on_host rm -rf "$user_home"
}
rootless_is_there() { [[ -z $(rootless_lacks) ]]; }

user() {
    local user_began=$EPOCHREALTIME lacks
    lacks=$(user_lacks)
    if [[ $lacks ]]; then
        skip "sidecars in a user's manager" "$lacks"
        return
    fi
    check "a user has a manager of his own, and no sidecar in it" user_logs_in
    check "he turns on a sidecar in front of his Docker container" user_turns_on
    check "the first connection wakes it" user_wakes
    check "its state is in his own folder" user_keeps_state
    check "he holds it, puts it to sleep and wakes it" user_steers
    check "a helper that was killed is replaced by one that adopts" user_helper_is_replaced
    check "it sleeps when idle, and its port stays open" user_sleeps
    check "his container that was started by hand is adopted" user_adopts
    check "turned off, its port is closed and its container runs on" user_turns_off
    lacks=$(rootless_lacks)
    if [[ $lacks ]]; then
        skip "sidecars of rootless Podman" "$lacks"
    else
        check "he has a container of rootless Podman with a published port" rootless_set_up
        check "the first connection wakes it through his own engine" rootless_wakes
        check "it sleeps when idle, and wakes again" rootless_sleeps
        check "his Podman's container that was paused by hand is adopted" rootless_adopts
    fi
    check "nothing of this user is left" user_clean_up
}
