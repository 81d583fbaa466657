# Named checks for the suites in bash: source it, call `check` and `skip`, end with `summary`. $suite, if set, stands before each name.

passed=0 failed=0 skipped=0

# check NAME COMMAND…: one named check. COMMAND runs in a subshell that ends at the first command that fails, and what it
# printed is shown only then, with what the suite's own `diagnose` has to say. Call it as a plain command: within `if`,
# `&&` and `||` bash ignores errexit. COMMAND finds in $began when that was.
check() {
    # shellcheck disable=SC2034 # the checks read it
    local name=$1 output status began=$EPOCHREALTIME
    shift
    output=$(set -eE; trap 'echo "in ${FUNCNAME-}: $BASH_COMMAND"' ERR; "$@" 2>&1)
    status=$?
    if ((status == 0)); then
        passed=$((passed + 1))
        echo "PASS  ${suite-}$name"
    else
        failed=$((failed + 1))
        echo "FAIL  ${suite-}$name"
        { echo "$output"; ! declare -F diagnose >/dev/null || diagnose; } 2>&1 | sed 's/^/      | /'
    fi
}

# skip NAME REASON: what could not be tried, by name; it never counts as passed.
skip() {
    skipped=$((skipped + 1))
    echo "SKIP  ${suite-}$1: $2"
}

# The last line; the exit code says whether something failed.
summary() {
    echo "$passed passed, $failed failed, $skipped skipped"
    ((failed == 0))
}

# within SECONDS COMMAND…: looks again and again until COMMAND succeeds. Says what it waited for if it never does.
within() {
    local deadline=$((SECONDS + $1 + 1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || { echo "not in time: $*"; return 1; }
        sleep 0.05
    done
}

# is ACTUAL EXPECTED, has TEXT PART, not COMMAND…: say what was wrong. (`! COMMAND` would not end a check.)
is() { [[ $1 == "$2" ]] || { echo "got '$1', not '$2'" && return 1; }; }
has() { [[ $1 == *"$2"* ]] || { echo "'$2' is not in: $1" && return 1; }; }
not() { if "$@"; then echo "should have failed: $*" && return 1; fi; }
