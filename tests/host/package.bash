# The package arrives on a host: before everything else. How it goes is for package_leaves.bash.
# shellcheck disable=SC2154,SC2016 # whoever sources it assigns them; dpkg-query fills in what is in single quotes

apt() { on_host env DEBIAN_FRONTEND=noninteractive apt-get --quiet --assume-yes --no-install-recommends "$@"; }

# What systemd has in memory of ours, failed or not.
units() { on_host systemctl list-units --no-legend --all 'rouse*'; }
# Not every host has pgrep.
processes() { on_host sh -c 'grep --no-messages --files-with-matches --line-regexp rouse /proc/[0-9]*/comm' || true; }

arrives() {
    # debootstrap on bookworm leaves one that forbids to act on services, for chroots; no host has it.
    on_host rm -f /usr/sbin/policy-rc.d
    apt install /root/rouse.deb
    is "$(on_host dpkg-query --show --showformat '${Status}' rouse)" "install ok installed"
}

its_user() {
    is "$(on_host id --name --groups rouse | xargs -n 1 | sort | xargs)" "docker rouse"
    is "$(on_host stat -c '%a %U %G' /run/rouse)" "2755 root rouse"
}

nothing_runs() {
    local files
    files=$(on_host systemctl list-unit-files --no-legend 'rouse*')
    has "$files" "rouse@.socket"
    is "$(awk '$2 ~ /^enabled/' <<<"$files")" ""
    is "$(units)" ""
}

# A template is read as an instance, and one without a port is none.
units_are_clean() {
    local folder=/etc/systemd/system/rouse@verified.socket.d units said
    units=$(on_host dpkg --listfiles rouse | sed -nE 's|^/usr/lib/systemd/system/(rouse.*)|\1|p' | sed 's/@/@verified/')
    printf '[Socket]\nListenStream=127.0.0.1:8199\n' | write_on_host $folder/listen.conf
    # There is no man to look for the pages that Documentation= names.
    # shellcheck disable=SC2086 # words on purpose
    said=$(on_host systemd-analyze --man=no verify $units 2>&1 || echo "exit code $?")
    on_host rm -r $folder
    has "$units" "rouse@verified.service"
    is "$said" ""
}

events_are_explained() {
    is "$(on_host journalctl --list-catalog | grep -c ' rouse: ')" "$(grep -c '^-- ' units/rouse.catalog)"
}

configuration_is_fine() {
    is "$(on_host rouse check 2>&1)" "configuration is fine: no sidecar has a table, so each runs on the defaults"
}

package() {
    check "apt installs the package" arrives
    check "user rouse is there, in group docker, and so is the folder of the control sockets" its_user
    check "nothing is enabled, and nothing runs" nothing_runs
    check "systemd-analyze verify has nothing to say of its units" units_are_clean
    check "journalctl explains every event" events_are_explained
    check "rouse check finds everything fine" configuration_is_fine
}
