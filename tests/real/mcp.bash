# An MCP server behind port 8809, and a real MCP client: what becomes of sessions when it sleeps. Sourced by `run`.
#
# Before 2026 the protocol has sessions: `legacy` makes one, with an open stream for what the server may say. From 2026 on
# there are none: `auto` chooses that with this server.
# shellcheck disable=SC2154 # it assigns them

server=rouse-real-mcp-$$ client=rouse-real-client-$$
containers+=("$server" "$client")

# keys KEY…: the table of notes-mcp, each key a line. It is asleep then, whatever a check that has failed has left.
keys() {
    printf '%s\n' "ready = 'http:/'" "stop_timeout = '2s'" "$@" | configure notes-mcp "$server" 8809
    on_host rouse sleep --force notes-mcp
    within 20 is_asleep notes-mcp
}

# open_session MODE: a client with a session. `call` is for the first one that it opens.
open_session() {
    # A check that has failed may have left one.
    docker rm --force "$client" &>/dev/null || true
    coproc CLIENT {
        exec docker run --rm --interactive --name "$client" --network "container:$host" rouse-test:mcp \
            python3 /client.py http://localhost:8809/mcp "$1" 2>"$dir/client"
    }
    hear || { cat "$dir/client" && return 1; }
}
# Its next line, into $told.
hear() { read -r -t 60 told <&"${CLIENT[0]}"; }
call() { echo "$*" >&"${CLIENT[1]}" && hear; }
close_session() {
    local client_pid=$CLIENT_PID to=${CLIENT[1]}
    exec {to}>&-
    wait "$client_pid"
}
succeeds() { has "$told" '"result": '"$1"; }
fails() { has "$told" '"error": "'"$1"; }
seconds() { sed 's/.*"seconds": \([0-9.]*\).*/\1/' <<<"$told"; }

server_is_set_up() {
    docker create --name "$server" --expose 8809 rouse-test:mcp python3 /server.py
    turn_on notes-mcp "$server" 8809
    keys "idle_timeout = '${idle}s'"
}

# client_wakes MODE: initialize or discover, the list of its tools, a call.
client_wakes() {
    is_asleep notes-mcp
    open_session "$1"
    succeeds '"20'
    figure "notes-mcp: a client of kind “$1” connected, asleep before: $(seconds) s (protocol $(sed 's/.*"result": "\(.*\)"}/\1/' <<<"$told"))"
    call tools
    succeeds '["note", "recall"]'
    call note '{"text": "first"}'
    succeeds 1
    call recall
    succeeds '["first"]'
    close_session
    within 20 is_asleep notes-mcp
}

# Its stream is quiet between the server's pings, which come every 15 s.
session_ends_with_sleep() {
    local slept woken
    open_session legacy
    call note '{"text": "first"}'
    succeeds 1
    slept=$(count notes-mcp slept) woken=$(count notes-mcp waking)
    within 20 more notes-mcp slept "$slept"
    # Nobody calls: the client opens its stream anew.
    within 20 more notes-mcp waking "$woken"
    call recall
    fails "MCPError: Session not found"
    close_session
    open_session legacy
    call recall
    succeeds '[]'
    close_session
    within 30 is_asleep notes-mcp
}
# more NAME EVENT COUNT: that has happened to it again.
more() { (($(count "$1" "$2") > $3)); }

connections_keep_session() {
    keys "idle_timeout = '${idle}s'" "idle = 'connections'"
    open_session legacy
    call note '{"text": "kept"}'
    sleep $((3 * idle)) # time in which nothing may happen
    # What is told of it is ten seconds old at most.
    within 15 is_reason notes-mcp connected
    call recall
    succeeds '["kept"]'
    close_session
    within 20 is_asleep notes-mcp
}

session_survives_pause() {
    keys "idle_timeout = '1h'" "pause_after = '1s'"
    open_session legacy
    call note '{"text": "frozen"}'
    within 20 is_state notes-mcp paused
    call recall
    succeeds '["frozen"]'
    figure "notes-mcp: a call to a paused server, with its session: $(seconds) s"
    within 20 is_state notes-mcp paused
    close_session
    on_host rouse sleep notes-mcp
    within 20 is_asleep notes-mcp
}

# Pings are bytes, and bytes are use.
pings_are_use() {
    keys "idle_timeout = '20s'"
    local slept
    slept=$(count notes-mcp slept)
    open_session legacy
    call note '{"text": "pinged"}'
    sleep 35 # more than the timeout and a ping
    is "$(count notes-mcp slept)" "$slept"
    call recall
    succeeds '["pinged"]'
    close_session
    on_host rouse sleep notes-mcp
    within 20 is_asleep notes-mcp
}

no_session_to_lose() {
    keys "idle_timeout = '${idle}s'"
    open_session auto
    call note '{"text": "first"}'
    within 20 is_asleep notes-mcp
    call recall
    succeeds '[]'
    figure "notes-mcp: the next call of one of kind “auto”, asleep before: $(seconds) s"
    close_session
    within 20 is_asleep notes-mcp
}

mcp() {
    check "notes-mcp is set up with rouse add" server_is_set_up
    check "an MCP client with a session wakes it, lists its tools and calls them" client_wakes legacy
    check "and so does one without" client_wakes auto
    check "idle: a session ends with the process that has it, and the client is told" session_ends_with_sleep
    check "the server's pings on an open stream are use" pings_are_use
    check "idle = \"connections\": an open session keeps it awake until it is closed" connections_keep_session
    check "pause_after: a session survives the freezing" session_survives_pause
    check "without sessions there is none to lose: the next call wakes it" no_session_to_lose
}
