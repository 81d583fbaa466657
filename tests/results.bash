# What `cargo test` has printed, as figures: source it.

# read_results LOG STATUS: of a run that has printed LOG, written its skips to $ROUSE_TEST_SKIPS and ended so. Sets $ok and $bad, how
# many have passed and failed; the arrays $left_out, what could not be done, $reasons, what failed tests have said, and $odd, why
# that is no whole result.
# shellcheck disable=SC2034 # the callers read them
read_results() {
    local log=$1 status=$2 suites results name
    left_out=() odd=()
    suites=$(grep -cE '^ +(Running|Doc-tests) ' "$log")
    results=$(grep -cE '^test result: ' "$log")
    read -r ok bad < <(awk '/^test result: / { ok += $4; bad += $6 } END { print ok + 0, bad + 0 }' "$log")
    # The first words of its first panic.
    mapfile -t reasons < <(awk '
        /^thread .* panicked at / { split($0, words, "\047"); getline; if (!(words[2] in said)) said[words[2]] = $0 }
        /^test .* \.\.\. FAILED$/ { failed[++count] = $2 }
        END { for (i = 1; i <= count; i++) print failed[i] ": " said[failed[i]] }' "$log")
    ((suites == results && results > 0)) || odd+=("$results results of $suites suites")
    ((status == 0 || bad > 0 || suites != results)) || odd+=("exit code $status")
    while read -r name; do left_out+=("$name: ignored"); done < <(sed -nE 's/^test (.*) \.\.\. ignored.*/\1/p' "$log")
    # A test that could not be done has returned as if it had passed.
    while read -r name; do
        left_out+=("$name")
        ok=$((ok - 1))
    done < <([[ ! -e $ROUSE_TEST_SKIPS ]] || sort -u "$ROUSE_TEST_SKIPS")
}
