# The tests of `it/` that tell most about an engine, run on the host against both of its own: Docker and Podman of each release. The
# test binary is the checkout's, which is mounted at its own path, as is the folder that it was built in.
# shellcheck disable=SC2154 # `on` and its parts assign them

# The whole list is for tests/podman and `cargo test`; these are the modules that have shown each engine's own ways.
telling=(engine:: containers:: by_hand:: wake::)

engines() {
    check "the test binary runs on the host" tests_run_here
    run_against Docker docker /run/docker.sock
    check "Podman has the servers' image, and its socket answers" podman_answers
    run_against Podman podman /run/podman/podman.sock
    # CNI keeps a folder for each network that there ever was.
    on_host sh -c 'rm -rf /etc/containers/containers.conf.d/rouse-test.conf /root/skips /var/lib/cni/networks/rouse-it-*'
    on_host systemctl stop podman.socket podman.service
}

# The newest, if cargo has left several.
test_binary() {
    local built
    built=$(ls -t "$target"/debug/deps/it-* | grep -v '\.d$' | head -n 1)
    [[ -x $built ]] && echo "$built"
}

tests_run_here() { has "$(on_host "$(test_binary)" --list)" "engine::the_version_is_the_engines_own: test"; }

podman_answers() {
    podman_for_this_machine
    import_servers podman
    on_host systemctl start podman.socket
    has "$(on_host curl --silent --include --unix-socket /run/podman/podman.sock http://podman/_ping)" Libpod-Api-Version
}

# run_against NAME RUN SOCKET: each test is a check or a skip of its own.
run_against() {
    local name=$1 run=$2 socket=$3 line module test reason log=$dir/$2.tests
    on_host rm -f /root/skips
    # Three hosts run at once.
    on_host env ROUSE_TEST_ENGINE="$socket" ROUSE_TEST_SLACK=5 ROUSE_TEST_RUN="$run" ROUSE_TEST_SKIPS=/root/skips \
        timeout 300 "$(test_binary)" --test-threads=3 "${telling[@]}" &>"$log"
    on_host sh -c 'cat /root/skips 2>/dev/null' | sort -u >"$dir/$run.skips"
    grep -q '^test result: ' "$log" || { failed=$((failed + 1)) && echo "FAIL  ${suite-}$name: the tests did not end: $(tail -n 1 "$log")"; }
    # A module of another name would be none.
    for module in "${telling[@]}"; do grep -q "^test $module" "$log" || { failed=$((failed + 1)) && echo "FAIL  ${suite-}$name: no test of $module has run"; }; done
    while read -r line; do
        test=${line#test } && test=${test%% ... *}
        reason=$(sed -n "s/^$test: //p" "$dir/$run.skips")
        if [[ $reason ]]; then
            skip "$name: $test" "$reason"
        elif [[ $line == *"... ok" ]]; then
            check "$name: $test" true
        else
            check "$name: $test" show "$test" "$log"
        fi
    done < <(grep -E '^test .* \.\.\. (ok|FAILED)' "$log")
}

# show TEST LOG: what it printed; fails.
show() {
    sed -n "/^---- $1 stdout ----/,/^---- /p" "$2"
    return 1
}
