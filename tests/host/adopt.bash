# Containers that run without a helper: rouse-adopt.timer has their helpers started. Sourced by tests/host/run, whose functions
# it uses; `adopt` makes the checks.

adopt_idle=2 # seconds

# Three sidecars: two that are on, and one that is off.
adopt_set_up() {
    local name port=18470
    for name in hand still off; do
        port=$((port + 1))
        engine create --name "adopt-$name" --expose 80 "$image" nginx -g 'daemon off;'
        write_on_host "/etc/systemd/system/rouse@$name.socket.d/listen.conf" <<<"[Socket]
ListenStream=$port"
        write_on_host "/etc/rouse/rouse.d/$name.toml" <<<"[sidecar.$name]
container = 'adopt-$name'
port = 80
idle_timeout = '${adopt_idle}s'"
    done
    on_host systemctl daemon-reload
    on_host systemctl enable --now rouse@{hand,still}.socket
    # Through its socket's Wants= each helper has run once, and has found nothing to do.
    within 20 adopt_helper_gone hand
    within 20 adopt_helper_gone still
    not on_host systemctl is-enabled rouse-adopt.timer
}

adopt_up() { [[ $(engine inspect --format '{{.State.Running}}' "adopt-$1") == true ]]; }
adopt_down() { not adopt_up "$1"; }
adopt_helper_gone() { [[ $(property "rouse@$1.service" ActiveState) == inactive && $(adopt_started "$1") != 0 ]]; }
adopt_started() { property "rouse@$1.service" ExecMainStartTimestampMonotonic; }
adopt_events() { on_host journalctl --no-pager --quiet --output=cat --since "@$adopt_began" "ROUSE_SIDECAR=$1" ROUSE_EVENT=adopted; }
adopt_runs() { property rouse-adopt.service ExecMainStartTimestampMonotonic; }
adopt_has_run_since() { [[ $(adopt_runs) != "$1" && $(property rouse-adopt.service ActiveState) == inactive ]]; }
# What the service has said, and what systemd has said of it; except of the cgroup controllers that a host in a container lacks.
adopt_journal() {
    on_host journalctl --no-pager --quiet --output=cat --since "@$began" --unit rouse-adopt.service | grep -v pids.max || true
}

adopt_looks_in_vain() {
    local before
    before=$(adopt_started hand)
    on_host systemctl start rouse-adopt.service
    is "$(property rouse-adopt.service Result)" success
    is "$(adopt_started hand)" "$before"
    # Nothing to tell: not even, minute by minute, that it was started.
    on_host journalctl --sync
    is "$(adopt_journal)" ""
}

# Its socket stays, and a call there would start it again.
adopt_wakes_no_engine() {
    on_host systemctl stop docker.service
    is "$(property docker.socket ActiveState)" active
    on_host systemctl start rouse-adopt.service
    is "$(property docker.service ActiveState)" inactive
    on_host systemctl start docker.service
}

adopt_by_service() {
    local untouched
    untouched=$(adopt_started still)
    engine start adopt-hand adopt-off
    on_host systemctl start rouse-adopt.service
    within 10 adopt_journal_has "hand: container adopt-hand was up without a helper, and has one now"
    within 10 adopt_adopted hand 1
    within $((adopt_idle + 20)) adopt_down hand
    within 10 adopt_helper_gone hand
    is "$(adopt_started still)" "$untouched"
    # One that is off is nobody's business.
    adopt_up off
    is "$(property rouse@off.service ActiveState)" inactive
}
adopt_journal_has() { has "$(adopt_journal)" "$1"; }
adopt_adopted() { [[ $(adopt_events "$1" | wc -l) == "$2" ]]; }

# Every second instead of every minute, so that nobody has to wait for it.
adopt_by_timer() {
    local before
    write_on_host /etc/systemd/system/rouse-adopt.timer.d/soon.conf <<<'[Timer]
OnActiveSec=
OnActiveSec=1s
OnUnitInactiveSec=1s
AccuracySec=100ms'
    on_host systemctl daemon-reload
    on_host systemctl enable --now rouse-adopt.timer
    before=$(adopt_runs)
    within 15 adopt_has_run_since "$before"
    before=$(adopt_runs)
    within 15 adopt_has_run_since "$before"
    engine start adopt-hand
    within 15 adopt_adopted hand 2
    within $((adopt_idle + 20)) adopt_down hand
}

# Without an engine each look fails, and the looks go on: the first one after its return finds what runs.
adopt_outlives_the_engine() {
    write_on_host /etc/rouse/rouse.d/still.toml <<<"[sidecar.still]
engine = 'unix:///run/rouse-adopt-none.sock'"
    within 15 adopt_failed
    adopt_journal_has "the engine at /run/rouse-adopt-none.sock cannot be reached"
    engine start adopt-hand
    within 15 adopt_adopted hand 3
    within $((adopt_idle + 20)) adopt_down hand
    on_host rm /etc/rouse/rouse.d/still.toml
    within 15 adopt_succeeded
}
adopt_failed() { [[ $(property rouse-adopt.service Result) == exit-code ]]; }
adopt_succeeded() { [[ $(property rouse-adopt.service Result) == success ]]; }

# As it ships, the next look is a minute away at most.
adopt_every_minute() {
    local minute=60000000 next
    on_host rm -r /etc/systemd/system/rouse-adopt.timer.d
    on_host systemctl daemon-reload
    on_host systemctl restart rouse-adopt.timer
    next=$(property rouse-adopt.timer NextElapseUSecMonotonic)
    [[ $next ]]
    is "$(property rouse-adopt.timer AccuracyUSec)" 15s
    has "$(property rouse-adopt.timer TimersMonotonic)" "OnUnitInactiveUSec=1min"
    on_host systemctl is-active rouse-adopt.timer
}

adopt_security() {
    local score
    score=$(on_host systemd-analyze security --no-pager rouse-adopt.service | sed -nE 's/.*Overall exposure level.*: ([0-9.]+) .*/\1/p')
    [[ $score ]]
    (($(tr -d . <<<"$score") <= 14)) || is "$score" "1.4 or less"
}

adopt_turn_off() {
    local before
    on_host systemctl disable --now rouse-adopt.timer
    before=$(adopt_runs)
    sleep 2
    is "$(adopt_runs)" "$before"
}

adopt_clean_up() {
    on_host systemctl disable --now rouse-adopt.timer rouse@{hand,still}.socket
    on_host rm -rf /etc/systemd/system/rouse{@hand.socket,@still.socket,@off.socket,-adopt.timer}.d /etc/rouse/rouse.d/{hand,still,off}.toml
    on_host systemctl daemon-reload
    engine rm --force --volumes adopt-{hand,still,off}
    on_host rm -f /var/lib/rouse/{hand,still,off}.{json,lock}
}

adopt() {
    local adopt_began=$EPOCHREALTIME
    check "two sidecars are on, a third one is off, and the timer is off too" adopt_set_up
    check "a look that finds nothing starts no helper and tells nothing" adopt_looks_in_vain
    check "a Docker that somebody has stopped is not started by a look" adopt_wakes_no_engine
    check "a container started by hand is adopted and sleeps when idle; those asleep and off are left alone" adopt_by_service
    check "the timer looks again and again by itself" adopt_by_timer
    check "an engine that is not there stops neither the other sidecars nor the timer" adopt_outlives_the_engine
    check "as it ships it looks every minute" adopt_every_minute
    check "what it starts has 1.4 or less in systemd-analyze security" adopt_security
    check "turned off, it looks no more" adopt_turn_off
    check "nothing of this is left" adopt_clean_up
}
