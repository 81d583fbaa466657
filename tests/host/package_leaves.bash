# The package goes, while a sidecar is awake: an upgrade, a removal and a purge, each also broken off. After everything else, for it
# leaves a host without rouse. Uses `apt` and what looks, from package.bash.
# shellcheck disable=SC2154,SC2016 # whoever sources it assigns them; dpkg-query, sed and the host's shell fill in what is in single quotes

leaving=127.0.0.1:8200

leaving_pid() { property rouse@leaving.service MainPID; }
leaving_listens() { [[ $(on_host ss -Htln "src = $leaving") ]]; }
leaving_answers() { has "$(on_host curl --silent --show-error --max-time 30 http://$leaving/)" "Welcome to nginx"; }
# When the container was started, and that it runs.
leaving_container() { engine inspect --format '{{.State.Status}} {{.State.StartedAt}}' rouse-leaving; }
# Since when the sockets are open: systemd notes it whenever one is started.
leaving_sockets() {
    property rouse@leaving.socket InactiveExitTimestampMonotonic
    property rouse-control@leaving.socket InactiveExitTimestampMonotonic
}

is_awake() {
    engine create --name rouse-leaving --expose 80 "$image" nginx -g 'daemon off;'
    on_host rouse add leaving --container rouse-leaving --listen $leaving --idle-timeout 1h
    on_host systemctl daemon-reload
    on_host systemctl enable --now rouse@leaving.socket rouse-metrics.socket
    leaving_answers
    has "$(leaving_container)" running
}

# repack VERSION [PREINST]: the same package under another version, on the host; with a script that is run before it is unpacked.
repack() {
    rm -rf "$dir/package"
    dpkg-deb --raw-extract "$deb" "$dir/package"
    sed -i "s/^Version: .*/Version: $1/" "$dir/package/DEBIAN/control"
    [[ -z ${2-} ]] || install -m 755 /dev/stdin "$dir/package/DEBIAN/preinst" <<<"$2"
    dpkg-deb --root-owner-group -Zgzip -z1 --build "$dir/package" "$dir/repacked.deb"
    write_on_host /root/repacked.deb <"$dir/repacked.deb"
}

# Clients one after another until the file /root/enough is there, or for ten minutes; what became of each is a line of
# /root/clients. curl would call it a refusal if its connection is reset right after it came about.
keep_coming() {
    on_host rm -f /root/enough /root/clients
    on_host bash -c 'until test -e /root/enough -o $SECONDS -gt 600; do
        timeout 30 bash -c "exec 3<>/dev/tcp/$0/$1 && echo GET / >&3 && grep -q Welcome <&3 && echo answered" || echo not answered
    done &>/root/clients' ${leaving/:/ } &>/dev/null &
}
# How many so far.
came() { on_host grep -c . /root/clients; }
have_come() {
    local count
    # Without a number bash would end here for good.
    count=$(came) && ((count >= $1))
}

upgrades() {
    local pid sockets container clients before said
    pid=$(leaving_pid) sockets=$(leaving_sockets) container=$(leaving_container)
    repack 9.0-1
    keep_coming
    clients=$!
    within 60 have_come 20
    apt install /root/repacked.deb
    before=$(came)
    within 60 have_come $((before + 20))
    on_host touch /root/enough
    wait $clients
    is "$(on_host dpkg-query --show --showformat '${Version}' rouse)" 9.0-1
    not is "$(leaving_pid)" "$pid"
    # The new program, not the old one whose file is gone.
    is "$(on_host readlink "/proc/$(leaving_pid)/exe")" /usr/bin/rouse
    is "$(leaving_sockets)" "$sockets"
    is "$(leaving_container)" "$container"
    # A helper that is told to leave resets the one whom it is just serving. Whoever comes after that waits for the next helper.
    on_host grep -c '^answered$' /root/clients
    said=$(on_host grep -vx answered /root/clients || true)
    [[ ! $said || $said =~ ^[^$'\n']*': '(Connection reset by peer|Broken pipe)$'\n''not answered'$ ]] || is "$said" "one reset at most"
}

upgrade_breaks_off() {
    local pid sockets
    pid=$(leaving_pid) sockets=$(leaving_sockets)
    repack 9.1-1 $'#!/bin/sh\nexit 1'
    not apt install /root/repacked.deb
    is "$(on_host dpkg-query --show --showformat '${Status} ${Version}' rouse)" "install ok installed 9.0-1"
    is "$(leaving_pid)" "$pid"
    is "$(leaving_sockets)" "$sockets"
    leaving_answers
}

removal_breaks_off() {
    local prerm=/var/lib/dpkg/info/rouse.prerm container
    container=$(leaving_container)
    on_host sed -i '$a exit 1' $prerm
    not apt remove rouse
    on_host sed -i '$d' $prerm
    has "$(on_host dpkg-query --show --showformat '${Status}' rouse)" "ok installed"
    leaving_listens
    is "$(property rouse-metrics.socket ActiveState)" active
    is "$(leaving_container)" "$container"
    leaving_answers
}

# friend, a member of group rouse, whose own systemd has a socket and a helper of ours.
befriend() {
    on_host useradd --create-home --groups rouse friend && on_host loginctl enable-linger friend &&
        within 60 as_friend list-units &&
        printf '[Socket]\nListenStream=%%t/rouse-%%i.sock\n' | write_on_host /home/friend/.config/systemd/user/rouse@.socket &&
        printf '[Service]\nExecStart=/bin/sleep infinity\n' | write_on_host /home/friend/.config/systemd/user/rouse@.service &&
        as_friend daemon-reload && as_friend start rouse@own.socket rouse@own.service
}
as_friend() { on_host systemctl --user --machine=friend@ "$@"; }
users_are_stopped() { is "$(as_friend list-units --no-legend 'rouse@*')" ""; }

removes() {
    local container
    container=$(leaving_container)
    apt remove rouse
    not leaving_listens
    is "$(units)" ""
    is "$(on_host find /etc/systemd /run/systemd/system -type l -name 'rouse*')" ""
    is "$(on_host find /run/rouse -type s)" ""
    is "$(processes)" ""
    is "$(leaving_container)" "$container"
    # What an admin has set up waits for the next installation.
    on_host test -e /etc/rouse/rouse.d/leaving.toml
}

comes_back() {
    local container
    container=$(leaving_container)
    apt install /root/rouse.deb
    is "$(units)" ""
    on_host systemctl enable --now rouse@leaving.socket rouse-metrics.socket
    leaving_answers
    is "$(leaving_container)" "$container"
}

# Also what an admin has done by hand, and a helper that has failed.
purges() {
    local container folder=/etc/systemd/system
    printf '[Service]\nEnvironment=ROUSE_LOG=debug\n' | write_on_host $folder/rouse@leaving.service.d/override.conf
    printf '[Socket]\nListenStream=127.0.0.1:8201\n' | write_on_host $folder/rouse@failing.socket.d/listen.conf
    printf '[Service]\nExecStart=\nExecStart=/bin/false\nRestart=no\n' | write_on_host $folder/rouse@failing.service.d/fail.conf
    on_host systemctl daemon-reload
    on_host systemctl set-property rouse@leaving.service IPAddressAllow=203.0.113.7
    on_host systemctl set-property --runtime rouse@leaving.service IPAddressAllow=203.0.113.8
    on_host systemctl enable --now rouse@failing.socket
    within 10 has_failed
    container=$(leaving_container)
    apt purge rouse
    on_host loginctl disable-linger friend || true
    on_host systemctl stop "user@$(on_host id -u friend).service"
    on_host userdel --remove friend
    on_host rm -f /root/{rouse,repacked}.deb /root/{enough,clients}
    # The test's own mounts are named as it pleases.
    is "$(on_host find / /run -xdev -path /var/log -prune -o -name '*rouse*' ! -exec mountpoint -q {} \; -print)" ""
    is "$(on_host journalctl --list-catalog | grep rouse || true)" ""
    is "$(on_host grep -w rouse /etc/passwd /etc/group /etc/shadow /etc/gshadow || true)" ""
    is "$(units)" ""
    is "$(processes)" ""
    is "$(leaving_container)" "$container"
    engine rm --force rouse-leaving
}
has_failed() { is "$(property rouse@failing.service ActiveState)" failed; }

package_leaves() {
    local has_friend
    check "a sidecar is awake" is_awake
    check "an upgrade restarts its helper, no socket and no container, and clients wait meanwhile" upgrades
    check "an upgrade that breaks off changes nothing" upgrade_breaks_off
    check "after a removal that breaks off, the ports are open again" removal_breaks_off
    befriend &>"$dir/friend" && has_friend=yes || has_friend=no
    check "a removal closes and disables all, and leaves the container running" removes
    if [[ $has_friend == yes ]]; then
        check "it also stops those of users" users_are_stopped
    else
        skip "sockets of users at a removal" "no systemd of a user starts here: $(tail -n 1 "$dir/friend")"
    fi
    check "installed again, it adopts the container once it is enabled" comes_back
    check "a purge leaves nothing but the container" purges
}
