# A Compose project whose sidecar published its port, before and after: packaging/examples/compose as it ships. Its two images
# are made of $image. Sourced by `run`.
# shellcheck disable=SC2154 # it assigns them

project=/srv/studio
# Compose is a plugin of Docker's client, or the program that Debian 12 has.
compose_command=(docker compose)

project() { on_host env --chdir=$project "${compose_command[@]}" "$@"; }
project_file() { write_on_host "$project/$2" <"packaging/examples/compose/$1"; }

# in_app COMMAND…: what a program in the caller's container does.
in_app() { project exec -T app "$@"; }
# shellcheck disable=SC2016 # the shell in the container fills it in
app_reaches_it() { has "$(in_app sh -c 'curl --silent --show-error --max-time 30 "$KICAD_MCP_URL"')" "KiCad here"; }
host_reaches_it() { has "$(on_host curl --silent --show-error --max-time 30 http://localhost:8808/)" "KiCad here"; }

# What is behind the name kicad-mcp, and what the engine says of it and of other containers.
status_of() { engine inspect --format '{{.State.Status}}' "$1"; }
id_of() { engine inspect --format '{{.Id}}' "$1"; }
is_running() { [[ $(status_of kicad-mcp) == running ]]; }
is_down() { [[ $(status_of kicad-mcp) =~ ^(created|exited)$ ]]; }
helper_is_gone() { [[ $(property rouse@kicad-mcp.service ActiveState) == inactive ]]; }
is_asleep() { is_down && helper_is_gone; }
told() { has "$(on_host journalctl --no-pager --since="@$began" ROUSE_SIDECAR=kicad-mcp ROUSE_EVENT="$1")" "kicad-mcp: $1"; }

# image_of NAME COMMAND [CHANGE]: $image with another command.
image_of() {
    engine create --name compose-image "$image" true
    engine commit --change "CMD $2" ${3:+--change "$3"} compose-image "$1"
    engine rm compose-image
}

make_images() {
    image_of example/kicad-mcp \
        '["sh", "-c", "echo KiCad here >/var/www/html/index.html; sed -i \"s/listen 80 /listen 8808 /; /listen .::/d\" /etc/nginx/sites-enabled/default; exec nginx -g \"daemon off;\""]' \
        "EXPOSE 8808"
    image_of example/app '["sh", "-c", "trap exit TERM; sleep infinity & wait"]'
}

before() {
    project_file before.yaml compose.yaml
    project up --detach
    within 20 app_reaches_it
    within 20 host_reaches_it
}

set_up() {
    project_file compose.yaml compose.yaml
    project_file set-up set-up
    on_host sed -i "s/^docker compose/${compose_command[*]}/" "$project/set-up"
    # The only thing that is not as it ships: nobody waits five minutes here.
    write_on_host /etc/rouse/rouse.d/compose-test.toml <<<$'[defaults]\nidle_timeout = "2s"'
    on_host sh -c "cd $project && sh ./set-up"
    is "$(on_host systemctl is-enabled rouse@kicad-mcp.socket)" enabled
    is_asleep
    on_host rouse check
}

wakes_for_the_name() {
    is_asleep
    app_reaches_it
    told ready
}

wakes_for_the_host() {
    is_asleep
    host_reaches_it
    told ready
    put_to_sleep
}

put_to_sleep() {
    on_host rouse sleep kicad-mcp
    within 10 is_asleep
}

falls_asleep_again() {
    within 20 is_asleep
    has "$(on_host journalctl --no-pager --lines=1 --output=cat ROUSE_SIDECAR=kicad-mcp)" "kicad-mcp: slept"
}

# Its address answers the host, and no caller.
not_past_rouse() {
    local address
    on_host rouse hold kicad-mcp --for 1m
    is "$(in_app getent ahostsv4 kicad-mcp | cut -d ' ' -f 1 | sort -u)" "$(gateway)"
    address=$(engine inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' kicad-mcp)
    has "$(on_host curl --silent --max-time 10 "http://$address:8808/")" "KiCad here"
    not in_app curl --silent --max-time 3 "http://$address:8808/"
    on_host rouse sleep kicad-mcp --force
    within 10 is_asleep
}
gateway() { on_host ip -4 -oneline address show docker0 | sed -n 's|.* inet \([^/]*\)/.*|\1|p'; }

up_leaves_it_asleep() {
    is_asleep
    project up --detach
    is_asleep
    project stop
    project up --detach
    is_asleep
    app_reaches_it
}

recreated_asleep() {
    local before
    put_to_sleep
    before=$(id_of kicad-mcp)
    project up --no-start --force-recreate kicad-mcp
    not is "$(id_of kicad-mcp)" "$before"
    is_asleep
    app_reaches_it
}

recreated_awake() {
    local before
    on_host rouse hold kicad-mcp --for 10s
    before=$(id_of kicad-mcp)
    project up --detach --force-recreate kicad-mcp
    not is "$(id_of kicad-mcp)" "$before"
    told died
    app_reaches_it
}

# Nobody runs when it is made, so that the next client finds it running.
recreated_and_started() {
    put_to_sleep
    project up --detach --force-recreate kicad-mcp
    is_running
    app_reaches_it
    told adopted
    falls_asleep_again
}

stopped_by_compose() {
    on_host rouse wake kicad-mcp
    project stop kicad-mcp
    within 20 is_asleep
    app_reaches_it
    put_to_sleep
}

# Its profile is off, so that it and its network are none of that project's.
down_leaves_it() {
    project down
    is_down
    host_reaches_it
    put_to_sleep
}

down_and_up() {
    project --profile sidecar down
    not engine inspect kicad-mcp
    not host_reaches_it
    told wake-failed
    refused 78 'there is no container "kicad-mcp"' on_host rouse check
    project up --no-start kicad-mcp
    project up --detach
    # The next one may try a second after the one that failed.
    within 20 app_reaches_it
}

leave() {
    on_host systemctl disable --now rouse@kicad-mcp.socket
    on_host rouse remove kicad-mcp
    project --profile sidecar down
    engine image rm example/app example/kicad-mcp
    on_host rm -r "$project" /etc/rouse/rouse.d/compose-test.toml
    on_host systemctl daemon-reload
}

find_compose() {
    ! on_host docker compose version &>/dev/null || return 0
    compose_command=(docker-compose)
    on_host docker-compose version &>/dev/null
}

compose() {
    if ! find_compose; then
        skip "a Compose project with rouse" "this host has no Compose (package docker-compose)"
        return
    fi
    check "images for the Compose project" make_images
    check "before rouse: app and host reach the sidecar, which runs all day" before
    check "the example's set-up puts rouse in front of it, asleep" set_up
    check "the caller's connection to the old name wakes it" wakes_for_the_name
    check "idle: it falls asleep" falls_asleep_again
    check "the name leads to the host alone, and no other way to the sidecar" not_past_rouse
    check "the host's connection to the old port wakes it" wakes_for_the_host
    check "docker compose up and stop leave it asleep" up_leaves_it_asleep
    check "made anew while it sleeps, it sleeps on until somebody connects" recreated_asleep
    check "made anew while it is awake, it is followed by its name" recreated_awake
    check "made anew and started by Compose, it is adopted by the next client" recreated_and_started
    check "stopped by Compose, the next connection wakes it" stopped_by_compose
    if [[ ${compose_command[*]} == docker-compose ]]; then
        skip "docker compose down leaves it, and rouse goes on" "Compose 1 takes what is in profiles that are off down too"
    else
        check "docker compose down leaves it, and rouse goes on" down_leaves_it
    fi
    check "docker compose --profile sidecar down: clients are reset until it is made again" down_and_up
    check "the project leaves the host as it was" leave
}
