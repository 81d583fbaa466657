# Somebody new to rouse: from `rouse add` to the first connection, looking and acting with each right and with none, what
# goes wrong first, and `rouse remove`.
# shellcheck disable=SC2154 # whoever sources it assigns them

as_nobody() { on_host setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; }
as_member() { on_host setpriv --reuid=nobody --regid=nogroup --groups=rouse "$@"; }

# Which of its helpers was the last one.
last_helper() { property rouse@shop.service ExecMainStartTimestampMonotonic; }
shop_listens() { [[ $(on_host ss -Htln 'sport = :8090') ]]; }
shop_answers() { has "$(on_host curl --silent --show-error --max-time 30 http://127.0.0.1:8090/)" "Welcome to nginx"; }
helper_up() { has "$(as_nobody curl --silent --max-time 10 http://127.0.0.1:18099/metrics)" "rouse_helper_up{sidecar=\"shop\"} $1"; }
# What rouse status says of it to everybody, as a pattern.
says() { [[ $(as_nobody rouse status) =~ shop\ +$1 ]]; }
add_shop() { on_host rouse add shop --container "$web" --listen 127.0.0.1:8090 --idle-timeout 1h "$@"; }

nothing_yet() {
    create_web
    is "$(on_host rouse check 2>&1)" "configuration is fine: no sidecar has a table, so each runs on the defaults"
    has "$(as_nobody rouse status)" "rouse add NAME"
    is "$(as_nobody rouse status --json)" "[]"
    refused 4 "no sidecar is called shop" as_nobody rouse status shop
}

add_is_tried() {
    local said
    said=$(add_shop --dry-run)
    has "$said" "/etc/systemd/system/rouse@shop.socket.d/listen.conf"
    has "$said" "ListenStream=127.0.0.1:8090"
    refused 1 "sudo rouse add shop" as_nobody rouse add shop --container "$web"
    refused 1 "has no container" on_host rouse add "shop-$$"
    not on_host test -e /etc/rouse/rouse.d
    not on_host test -e /etc/systemd/system/rouse@shop.socket.d
}

add_writes() {
    add_shop >"$dir/added"
    is "$(on_host stat -c %a /etc/rouse/rouse.d/shop.toml)" 644
    has "$(<"$dir/added")" "wrote /etc/rouse/rouse.d/shop.toml"
    refused 1 "--force overwrites" add_shop
    refused 1 "rouse@shop.socket is not enabled" on_host rouse check
}

printed_line_turns_on() {
    on_host sh -c "$(tail -n 1 "$dir/added")"
    is "$(on_host systemctl is-enabled rouse@shop.socket)" enabled
    shop_listens
    within 10 helper_gone shop
    # Notes are no warnings.
    on_host rouse check
}

looking_starts_nothing() {
    local before said
    before=$(last_helper)
    says "asleep .* \? "
    has "$(as_nobody rouse status)" "Permission denied"
    has "$(as_nobody rouse status shop)" "the next connection wakes it"
    said=$(as_nobody rouse status --json)
    has "$said" '"state": "asleep"'
    has "$said" '"engine": null'
    said=$(on_host rouse status)
    [[ $said =~ shop\ +asleep\ .*\ stopped\  ]] || is "$said" "a table with shop asleep and its container stopped"
    not running
    is "$(last_helper)" "$before"
    is "$(property rouse@shop.service ActiveState)" inactive
}

first_connection() {
    shop_answers
    running
    within 10 says "awake .* sleeps in "
    has "$(on_host rouse status --json shop)" "\"helper\": $(property rouse@shop.service MainPID)"
    has "$(on_host rouse status shop)" "1 ready"
}

# acts WHO: each command ends as it should, for one who may.
acts() {
    is "$(code "$1" rouse wake shop)" 0
    is "$(code "$1" rouse touch shop)" 0
    is "$(code "$1" rouse is-running shop)" 0
    is "$(code "$1" rouse hold shop --for 1h)" 0
    refused 1 "held by pid" "$1" rouse sleep shop
    within 10 says "awake .* held by pid"
    running
    is "$(code "$1" rouse sleep shop --force)" 0
    not running
    is "$(code "$1" rouse is-running shop)" 3
    is "$(code "$1" rouse touch shop)" 0
    not running
    is "$(code "$1" rouse wake shop)" 0
    is "$(code "$1" rouse sleep shop)" 0
    not running
    is "$(code "$1" rouse is-running ship)" 4
    refused 1 "systemctl enable --now rouse@ship.socket" "$1" rouse wake ship
}

# A hold without an end of its own lasts as long as its command.
hold_is_let_go() {
    # shellcheck disable=SC2016 # the shell on the host fills it in
    as_member timeout 20 sh -c 'rouse hold shop & hold=$!
        until rouse status | grep -q "held by pid $hold"; do sleep 0.05; done
        kill $hold && wait $hold'
    within 10 says "awake .* sleeps in "
    as_member rouse sleep shop
}

nobody_may_not_act() {
    within 10 helper_gone shop
    local before command
    before=$(last_helper)
    for command in wake touch sleep "sleep --force" hold "hold --for 1h"; do
        # shellcheck disable=SC2086 # words on purpose
        refused 1 "be root or a member of group rouse" as_nobody rouse $command shop
    done
    refused 1 "Permission denied" as_nobody rouse is-running shop
    refused 1 "sudo rouse remove shop" as_nobody rouse remove shop
    is "$(last_helper)" "$before"
    not running
}

journal_says_told() {
    local entry said
    entry=$(on_host journalctl --no-pager --output=json ROUSE_SIDECAR=shop ROUSE_EVENT=slept | tail -n 1)
    has "$entry" '"ROUSE_REASON":"told to"'
    said=$(on_host journalctl --no-pager --catalog ROUSE_SIDECAR=shop ROUSE_EVENT=slept)
    has "$said" "Subject: Sidecar shop sleeps"
    has "$said" 'somebody has said "rouse sleep"'
}

programs_call() {
    local url=http://rouse/v1/sidecars/shop
    curl_shop() { as_member curl --silent --max-time 30 --unix-socket /run/rouse/shop.sock "$@"; }
    is "$(curl_shop -X POST $url/touch)" '{"state":"asleep"}'
    has "$(curl_shop $url)" '"state":"asleep"'
    is "$(curl_shop -X POST $url/wake)" '{"state":"awake"}'
    is "$(curl_shop -X POST $url/sleep)" '{"state":"asleep"}'
}

# That it leaves when nobody scrapes any more is for it/metrics.rs: it takes a minute.
metrics_are_served() {
    on_host systemctl enable --now rouse-metrics.socket
    not on_host systemctl is-active rouse-metrics.service
    within 10 helper_gone shop
    helper_up 0
    on_host systemctl is-active rouse-metrics.service
    # What it shows is of systemd's own choice of a user.
    on_host rouse wake shop
    helper_up 1
    local said
    said=$(as_nobody curl --silent --max-time 10 http://127.0.0.1:18099/metrics)
    [[ $said =~ rouse_wakes_total\{sidecar=\"shop\",result=\"ready\"\}\ [1-9] ]]
    [[ $said =~ rouse_bytes_total\{sidecar=\"shop\",direction=\"down\"\}\ [1-9] ]]
    said=$(as_nobody rouse metrics)
    has "$said" 'rouse_helper_up{sidecar="shop"} 1'
    has "$said" "# EOF"
    on_host systemctl disable --now rouse-metrics.socket
    is "$(property rouse-metrics.service ActiveState)" inactive
    is "$(property rouse-metrics.service Result)" success
    on_host rouse sleep shop
}

unreadable_file_is_found() {
    on_host chmod 0640 /etc/rouse/rouse.d/shop.toml
    has "$(as_nobody rouse status)" "/etc/rouse/rouse.d/shop.toml:1:1: cannot be read: Permission denied"
    refused 78 "chmod o+r /etc/rouse/rouse.d/shop.toml" on_host rouse check
    refused 1 "cannot be read: Permission denied" on_host rouse wake shop
    on_host chmod 0644 /etc/rouse/rouse.d/shop.toml
    # The helper that was started over the error reads it again.
    on_host rouse wake shop
    on_host rouse sleep shop
    on_host rouse check
}

published_port_is_found() {
    engine rm "$web"
    # Never started, it takes the port from nobody.
    create_web --publish 127.0.0.1:8090:80
    refused 78 "publishes port 8090, where rouse@shop.socket listens" on_host rouse check
    engine rm "$web"
    create_web
    on_host rouse check
}

mistyped_drop_in_is_found() {
    on_host mv /etc/systemd/system/rouse@{shop,shpo}.socket.d
    refused 78 "if /etc/systemd/system/rouse@shpo.socket.d was meant for it" on_host rouse check
    on_host mv /etc/systemd/system/rouse@{shpo,shop}.socket.d
    on_host rouse check
}

# Of the sidecar only its state file may be left.
shop_is_gone() {
    is "$(on_host find /etc/rouse /etc/systemd /run/rouse -name '*shop*')" ""
    not shop_listens
    on_host rouse check
    is "$(on_host systemctl --no-legend list-units --all 'rouse*shop*')" ""
    # Its state is forgotten too.
    not says ""
}

turned_off_and_removed() {
    on_host systemctl disable --now rouse@shop.socket
    refused 1 "rouse@shop.socket is not enabled" on_host rouse check
    on_host rouse remove shop
    on_host systemctl daemon-reload
    shop_is_gone
    refused 1 "nothing to remove" on_host rouse remove shop
}

# Nobody has a socket for it, so the command does it, as root: the helper must get along with what that leaves.
sleeps_while_off() {
    add_shop >"$dir/added"
    engine start "$web"
    [[ $(on_host rouse status) =~ shop\ +awake\ .*\ not\ enabled ]]
    on_host rouse sleep shop
    not running
    on_host sh -c "$(tail -n 1 "$dir/added")"
    shop_answers
    within 10 says "awake .* sleeps in "
    is "$(on_host stat -c %U /var/lib/rouse/shop.json)" rouse
    on_host rouse sleep shop
}

removed_and_turned_off() {
    # While a helper lives its state stays.
    within 10 helper_gone shop
    on_host rouse remove shop >"$dir/removed"
    on_host sh -c "$(tail -n 1 "$dir/removed")"
    shop_is_gone
    engine rm "$web"
}

newcomer() {
    check "a fresh host: rouse check has nothing to say, rouse status names rouse add" nothing_yet
    check "rouse add --dry-run, and without the right to write, writes nothing" add_is_tried
    check "rouse add writes both files, and not twice" add_writes
    check "the line that it prints turns the sidecar on" printed_line_turns_on
    check "rouse status shows it to everybody, and starts nothing" looking_starts_nothing
    check "the first connection is answered, and rouse status tells so" first_connection
    check "wake, touch, hold, sleep, is-running: as root" acts on_host
    check "wake, touch, hold, sleep, is-running: as a member of group rouse" acts as_member
    check "rouse hold keeps it awake until it is interrupted" hold_is_let_go
    check "whoever is neither is told so, and starts nothing" nobody_may_not_act
    check "the journal says that it was told to sleep, and explains" journal_says_told
    check "curl does over the control socket what the commands do" programs_call
    check "a scraper finds the counters, and whether a helper lives" metrics_are_served
    check "rouse check finds a file that the helper may not read" unreadable_file_is_found
    check "rouse check finds the port that the container publishes" published_port_is_found
    check "rouse check finds a drop-in whose name is mistyped" mistyped_drop_in_is_found
    check "disable --now, then rouse remove: nothing is left" turned_off_and_removed
    check "rouse sleep stops it also while it is turned off" sleeps_while_off
    check "rouse remove, then the line that it prints: nothing is left" removed_and_turned_off
}
