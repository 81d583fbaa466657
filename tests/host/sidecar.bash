# One sidecar from its first line of configuration to its sleep, as its admin sees it; then what goes with it: a second one,
# requirements, groups, reloads.

set_up_by_hand() {
    create_web
    create_db
    web_alone 10m
    listen web 8080
}

# web_alone IDLE_TIMEOUT: nothing is said of db yet.
web_alone() {
    write_on_host /etc/rouse/rouse.d/two.toml <<-TOML
		[sidecar.web]
		container = "$web"
		port = 80
		idle_timeout = "$1"
	TOML
}

# Its socket is not enabled yet, of which it warns.
config_is_good() { refused 1 "rouse@web.socket is not enabled" on_host rouse check; }

turned_on() {
    turn_on web
    on_host systemctl is-enabled rouse@web.socket
}

first_helper_exits() {
    # It has run, and it is gone.
    within 10 ran_once
    within 10 helper_gone
    is "$(property rouse@web.service Result)" success
    is "$(property rouse@web.service ExecMainStatus)" 0
}
ran_once() { [[ $(property rouse@web.service ExecMainStartTimestampMonotonic) != 0 ]]; }

asleep_at_first() {
    port_open
    not running
    has "$(status_line)" "asleep"
}

state_while_awake() {
    running
    local line
    line=$(status_line)
    [[ $line && $line != *asleep* ]] || is "$line" "a line about an awake sidecar"
}

wake_in_journal() {
    local entry
    for event in waking ready; do
        within 5 happened $event 0
        entry=$(events $event | tail -n 1)
        has "$entry" "\"ROUSE_CONTAINER\":\"$web\""
        [[ $entry =~ \"MESSAGE_ID\":\"[0-9a-f]{32}\" ]]
        has "$entry" '"_SYSTEMD_UNIT":"rouse@web.service"'
    done
    [[ $entry =~ \"ROUSE_DURATION_MS\":\"[0-9]+\" ]]
}

state_is_public() {
    is "$(on_host stat -c '%a %U' /var/lib/rouse/web.json)" "644 rouse"
    has "$(on_host cat /var/lib/rouse/web.json)" "\"boot_id\":\"$(</proc/sys/kernel/random/boot_id)\""
}

is_let_go() {
    web_alone "${idle}s"
    reload web
    falls_asleep
}
falls_asleep() {
    within $((idle + 20)) asleep
    has "$(status_line)" "asleep"
    within 5 last_event_is slept
}

control_answers() {
    local code
    code=$(on_host curl --silent --max-time 10 --output /dev/null --write-out '%{http_code}' \
        --unix-socket /run/rouse/web.sock http://rouse/)
    is "$code" 404
    is "$(on_host stat -c '%a %U %G' /run/rouse/web.sock)" "660 root rouse"
    # That was no use of the sidecar.
    within 10 helper_gone
    not running
}

explained() {
    local said
    said=$(on_host journalctl --no-pager --catalog ROUSE_SIDECAR=web)
    has "$said" "Subject: Sidecar web sleeps"
    has "$said" "Container $web was stopped: nobody has used it"
    not has "$said" "@ROUSE_"
}

no_failures() { not grep -E 'code=|Failed with' <(on_host journalctl --no-pager -u rouse@web.service); }

# The first one is awake meanwhile.
second_sidecar() {
    web_alone 10m
    fetch
    local before
    before="$(helper) $(start_of_container)"
    stay
    listen db 6379
    turn_on db
    redis
    running "$db"
    fetch
    is "$(helper) $(start_of_container)" "$before"
    settle
    within $((idle + 20)) helper_gone db
    within $((idle + 20)) helper_gone web
}

# A shared RuntimeDirectory= would take all control sockets with the first helper that ends.
others_keep_their_sockets() {
    local socket=/run/rouse/db.sock
    fetch
    within $((idle + 20)) asleep
    on_host test -S $socket
    is "$(code on_host rouse is-running db)" 3
    turn_off web
    on_host test -S $socket
    redis
    turn_on web
    within $((idle + 20)) helper_gone db
    on_host test -S $socket -a -S /run/rouse/web.sock
}

# Each sidecar has a helper of its own here, so this goes over the control socket, which starts the other helper.
required_is_kept() {
    configure "idle_timeout = '10m'
requires = ['db']" "idle_timeout = '1s'"
    fetch
    running "$db"
    # Longer than its own timeout.
    sleep 3
    running "$db"
    configure "idle_timeout = '1s'
requires = ['db']" "idle_timeout = '1s'"
    reload web
    within 20 asleep
    within 20 helper_gone db
    not running "$db"
}

pauses() {
    configure "idle_timeout = '60s'
pause_after = '1s'" ""
    fetch
    within 15 paused
    within 5 happened paused
    has "$(status_line)" paused
    fetch
    within 5 happened unpaused
}

reload_takes_effect() {
    running # since the check before
    local pid
    pid=$(helper)
    write_on_host /etc/rouse/rouse.d/two.toml <<<"[sidecar.web]
idle_timeout = 5"
    on_host systemctl reload rouse@web.service
    within 10 grumbled
    is "$(helper)" "$pid"
    configure "idle_timeout = '1s'" "idle_timeout = '60s'"
    on_host systemctl reload rouse@web.service
    within 20 asleep
}
grumbled() { grep -q 'two.toml:2:16' <(on_host journalctl --no-pager -u rouse@web.service); }

group_has_one_up() {
    configure "idle_timeout = '60s'
exclusive = 'gpu0'" "idle_timeout = '60s'
exclusive = 'gpu0'"
    fetch
    running
    redis
    running "$db"
    not running
    within 5 happened yielded
    within 10 helper_gone
    fetch
    not running "$db"
    # As it was before, for the checks that follow.
    forget db
    configure "idle_timeout = '${idle}s'" ""
    on_host systemctl reload rouse@web.service
    within $((idle + 20)) asleep
}

examples_verify() {
    on_host sh -c 'cp -r /usr/share/doc/rouse/examples/rouse@*.socket.d /etc/systemd/system/'
    on_host systemctl daemon-reload
    local sidecar units=() said
    for sidecar in kicad-mcp freecad-mcp blender-worker ollama; do
        units+=("rouse@$sidecar.socket" "rouse-control@$sidecar.socket" "rouse@$sidecar.service")
    done
    # There is no man to look for the pages that Documentation= names.
    said=$(on_host systemd-analyze --man=no verify "${units[@]}" 2>&1) || said+=" (exit code $?)"
    on_host sh -c 'cd /usr/share/doc/rouse/examples && for folder in rouse@*.socket.d; do rm -r "/etc/systemd/system/$folder"; done'
    on_host systemctl daemon-reload
    is "$said" ""
}

# Its containers are not here, and its sockets are not enabled.
example_config_is_good() {
    local file=/usr/share/doc/rouse/examples/rouse.toml said
    said=$(on_host rouse check --config $file 2>&1 | grep "^$file:") || true
    is "$(grep -c ': there is no container ' <<<"$said")" 4
    is "$(sed -E '/: there is no container |: warning: /d' <<<"$said")" ""
}

sidecar() {
    check "a sidecar is set up by hand, without rouse add" set_up_by_hand
    check "rouse check warns of nothing but that it is not turned on" config_is_good
    check "systemctl enable --now rouse@web.socket" turned_on
    check "the helper that this starts exits 0 at once" first_helper_exits
    check "the port is open, the container asleep, and systemctl status says so" asleep_at_first
    check "the first connection is answered by the container" fetch
    check "systemctl status shows the state of an awake sidecar" state_while_awake
    check "journalctl ROUSE_SIDECAR= tells of the wake, with fields" wake_in_journal
    check "the state file can be read by everybody and names its boot" state_is_public
    check "idle: container stopped, helper gone, port open, status says asleep" is_let_go
    check "journalctl -x explains what happened" explained
    check "the next connection is answered" fetch
    check "and the sidecar falls asleep again" falls_asleep
    check "the control socket answers and wakes nothing" control_answers
    check "a second sidecar is enabled while the first is awake, which goes on" second_sidecar
    check "the end of one helper and of one sidecar leaves the others' control sockets alone" others_keep_their_sockets
    check "requires: woken over its control socket, kept awake, let go" required_is_kept
    check "pause_after: frozen, and thawed for the next client" pauses
    check "systemctl reload: an error keeps the old settings, new ones take effect" reload_takes_effect
    check "exclusive: the unused one makes room for the other, both ways" group_has_one_up
    check "no helper has failed so far" no_failures
    check "systemd-analyze verify is clean for the four examples" examples_verify
    check "rouse check misses only the containers of the example configuration" example_config_is_good
}
