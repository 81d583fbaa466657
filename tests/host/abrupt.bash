# What nobody asked for: helpers killed and stuck, an engine that restarts, clients in quick succession, reboots. Goes on with the
# sidecar of sidecar.bash.

killed_helper_is_replaced() {
    stay
    fetch
    local before pid
    before=$(start_of_container) pid=$(helper)
    on_host systemctl kill --signal=KILL rouse@web.service
    within 10 happened adopted
    [[ $(helper) != "$pid" ]]
    running
    is "$(start_of_container)" "$before"
    fetch
    is "$(start_of_container)" "$before"
}

# The unit's own 30 s, shortened; systemd reads it with the helper's next start.
stuck_helper_is_replaced() {
    local before pid
    write_on_host /run/systemd/system/rouse@web.service.d/watchdog.conf <<<$'[Service]\nWatchdogSec=4s'
    on_host systemctl daemon-reload
    on_host systemctl restart rouse@web.service
    fetch
    before=$(start_of_container) pid=$(helper)
    began=$EPOCHREALTIME
    on_host systemctl kill --signal=STOP rouse@web.service
    within 20 happened adopted
    [[ $(helper) != "$pid" ]]
    has "$(on_host journalctl --no-pager --since="@$began" -u rouse@web.service)" "Watchdog timeout"
    is "$(start_of_container)" "$before"
    fetch
    is "$(start_of_container)" "$before"
    on_host rm -r /run/systemd/system/rouse@web.service.d
    on_host systemctl daemon-reload
}

# Its containers go down with it.
engine_restarts() {
    fetch
    local before
    before=$(start_of_container)
    on_host systemctl restart docker.service
    fetch
    running
    [[ $(start_of_container) != "$before" ]]
    settle
    falls_asleep
}

# Each client comes as soon as the helper before it is gone: systemd's own limits are 5 starts in 10 s and 20 triggers in 2 s.
sixty_wakes() {
    configure "idle_timeout = '100ms'" ""
    # shellcheck disable=SC2016 # the shell on the host fills it in
    on_host timeout 600 bash -c 'for ((i = 0; i < 60; i++)); do
        curl --silent --show-error --fail --max-time 30 --output /dev/null http://127.0.0.1:8080/ || exit
        until [[ $(systemctl show -P ActiveState rouse@web.service) == inactive ]]; do sleep 0.01; done
    done'
    within 5 counted 60 ready
    within 5 counted 60 slept
    not happened wake-failed
    nothing_tripped
}

counted() { is "$(happened "$2" | wc -l)" "$1"; }

# A look at the control socket is a helper's start and exit without a wake.
sixty_starts() {
    # shellcheck disable=SC2016
    on_host timeout 300 bash -c 'for ((i = 0; i < 60; i++)); do
        curl --silent --show-error --fail --max-time 10 --output /dev/null --unix-socket /run/rouse/web.sock http://rouse/v1/sidecars/web ||
            exit
        until [[ $(systemctl show -P ActiveState rouse@web.service) == inactive ]]; do sleep 0.01; done
    done'
    within 5 started 60
    not running
    nothing_tripped
    configure "idle_timeout = '${idle}s'" ""
}

started() { is "$(on_host journalctl --no-pager --output=cat --since="@$began" -u rouse@web.service | grep -c '^Started ')" "$1"; }

nothing_tripped() {
    local unit
    for unit in rouse@web.socket rouse-control@web.socket; do
        is "$(property $unit ActiveState) $(property $unit Result)" "active success"
    done
    is "$(property rouse@web.service Result)" success
    not grep -E 'start-limit-hit|trigger-limit-hit|too quickly' <(on_host journalctl --no-pager --since="@$began" -u 'rouse*@web.*')
}

address_changes_while_asleep() {
    within $((idle + 20)) asleep
    stay
    listen web 8081
    on_host systemctl restart rouse@web.socket
    not port_open 8080
    fetch 8081
}

address_changes_while_awake() {
    running # since the check before
    local before
    before=$(start_of_container)
    listen web 8080
    on_host systemctl restart rouse@web.socket
    not port_open 8081
    fetch
    is "$(start_of_container)" "$before"
    on_host test -S /run/rouse/web.sock
}

off_at_once() {
    fetch
    local before
    before=$(start_of_container)
    turn_off web
    not port_open
    not on_host test -e /run/rouse/web.sock
    on_host test -d /run/rouse
    helper_gone
    running
    is "$(start_of_container)" "$before"
}

leftover_sleeps() {
    running # since the check before
    settle
    turn_on web
    within 10 happened adopted
    falls_asleep
}

# The engine starts a container that is to run always before anybody asks for it; the address comes when the boot is over.
reboot_brings_all_back() {
    engine update --restart always "$web"
    engine start "$web"
    listen web 10.99.99.1:8080
    began=$EPOCHREALTIME
    reboot
    # What waits for itself would wait for ever.
    within 30 no_jobs
    not grep -i 'ordering cycle' <(on_host journalctl --no-pager --boot)
    is "$(property rouse@web.socket ActiveState) $(property rouse-control@web.socket ActiveState)" "active active"
    on_host test -S /run/rouse/web.sock
    within 30 happened adopted
    within $((idle + 20)) asleep
    within 5 last_event_is slept
}

no_jobs() { is "$(on_host systemctl --no-legend list-jobs)" ""; }

late_address_is_served() {
    is "$(on_host ip -brief address show to 10.99.99.1)" ""
    on_host ip address add 10.99.99.1/32 dev lo
    has "$(on_host curl --silent --show-error --max-time 30 http://10.99.99.1:8080/)" "Welcome to nginx"
    falls_asleep
}

all_taken_away() {
    forget web
    on_host rm /etc/rouse/rouse.d/two.toml
    engine rm --force "$web" "$db"
    is "$(on_host systemctl --no-legend list-units --all 'rouse*@*')" ""
    on_host rouse check
}

abrupt() {
    check "a killed helper is replaced, the container untouched" killed_helper_is_replaced
    check "a stuck helper is ended by the watchdog and replaced, the container untouched" stuck_helper_is_replaced
    check "an engine that restarts is waited for" engine_restarts
    check "sixty quick wakes and exits trip no limit of systemd's" sixty_wakes
    check "nor do sixty starts and exits" sixty_starts
    check "a changed listen.conf counts from the socket's restart on" address_changes_while_asleep
    check "also while it is awake, which it remains" address_changes_while_awake
    check "disable --now closes both sockets and leaves the container running" off_at_once
    check "a leftover is adopted at enable --now and put to sleep" leftover_sleeps
    check "a reboot brings the sockets back and puts what runs to sleep" reboot_brings_all_back
    check "an address that came after the boot is served" late_address_is_served
    check "and all of it can be taken away" all_taken_away
}
