# Blender behind blender-worker: its renders outlive their clients. Sourced by `run`.
# shellcheck disable=SC2154 # it assigns them

worker=rouse-real-blender-$$
containers+=("$worker")
volumes+=("$worker")

blender_keys() { configure blender-worker "$worker" 8810; }
ask_worker() { on_host curl --silent --show-error --fail --max-time 60 "$@"; }
log_of_worker() { docker logs "$worker" 2>&1; }
# The seconds that this picture took, once it is there.
rendered() { log_of_worker | sed -n "s/^$1: rendered in \(.*\) s$/\1/p"; }

worker_is_set_up() {
    docker create --name "$worker" --volume "$worker:/pictures" --expose 8810 rouse-test:blender python3 /worker.py
    turn_on blender-worker "$worker" 8810
    blender_keys <<<"ready = 'http:/health'
idle_timeout = '${idle}s'"
    within 10 is_asleep blender-worker
}

worker_wakes() {
    local first
    first=$(ask_worker --output /dev/null --write-out '%{time_starttransfer}' http://localhost:8810/health)
    is_state blender-worker awake
    figure "blender-worker: from connect to the first byte, asleep before: $first s"
    within 20 is_asleep blender-worker
}

# A render that takes far longer than an unused sidecar would stay awake, whatever the machine, and long enough for what is
# told of it, which is ten seconds old at most.
render_outlives_client() {
    local name asked left samples seconds=0 why=''
    for samples in 128 1024 8192; do
        name=$(ask_worker --request POST "http://localhost:8810/render?samples=$samples")
        asked=$EPOCHREALTIME
        within 60 is_busy_or_asleep
        within 300 is_asleep blender-worker
        left=$(since "$asked")
        # Nobody asked again, so what was not rendered before the sleep never will be.
        seconds=$(rendered "$name")
        [[ $seconds ]] || { echo "$name was cut off" && return 1; }
        ((${seconds%.*} < 15)) || break
    done
    ((${seconds%.*} >= 15))
    is "$why" busy
    # Not for longer than the work and the timeout: what is left is how often the CPU is looked at, and the stop.
    ((${left%.*} < ${seconds%.*} + idle + 8))
    echo "$name" >"$dir/picture"
    figure "blender-worker: $samples samples rendered in $seconds s without a client; asleep $left s after they were asked for (idle_timeout ${idle} s)"
}

is_busy_or_asleep() {
    why=$(reason blender-worker)
    [[ $why == busy ]] || is_asleep blender-worker
}

picture_is_fetched() {
    local name said
    name=$(<"$dir/picture")
    is_asleep blender-worker
    docker exec "$host" curl --silent --show-error --fail --max-time 60 "http://localhost:8810/$name" >"$dir/picture.png"
    said=$(docker run --rm --interactive rouse-test:blender python3 /png.py <"$dir/picture.png")
    [[ $said =~ ^320x240\ ([0-9]+)$ ]]
    ((BASH_REMATCH[1] > 50))
    figure "blender-worker: the picture, fetched by the next client: $said colours, $(stat -c %s "$dir/picture.png") bytes"
    within 20 is_asleep blender-worker
}

# What would happen without it, with as much to do.
cut_off_without() {
    local name
    blender_keys <<<"ready = 'http:/health'
idle_timeout = '${idle}s'
busy_cpu = 0"
    name=$(ask_worker --request POST "http://localhost:8810/render?samples=4096")
    within $((idle + 20)) is_asleep blender-worker
    is "$(rendered "$name")" ""
}

blender() {
    check "blender-worker is set up with rouse add" worker_is_set_up
    check "a client wakes it and is answered" worker_wakes
    check "busy_cpu: a render outlives its client, and then it falls asleep" render_outlives_client
    check "the next client wakes it and fetches the picture, which shows something" picture_is_fetched
    check "without busy_cpu the render is cut off" cut_off_without
}
