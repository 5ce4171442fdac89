# shellcheck shell=bash
# Tests that go by the host's clock. A machine that got no processor for a second is late, and a test that plays in
# real time says so as if its subject were: so the tests that fail are run once more, by themselves and one after the
# other, and that is told. Source it after build.sh; works with and without `set -o pipefail`.

# Time of all processors since the host's start, in ticks, and what of it another machine had (steal).
processor_ticks() {
    local _ user nice system idle iowait irq softirq steal
    read -r _ user nice system idle iowait irq softirq steal _ </proc/stat
    printf '%s %s' $((user + nice + system + idle + iowait + irq + softirq + steal)) "$steal"
}

# The tests that failed, of a log of libtest's, a line each: the names between the last `failures:` and
# `test result: FAILED`. Equal names of two programs are two.
failed_tests() {
    awk '/^failures:$/ { names = "" }
        /^    [a-z0-9_:]+$/ { names = names $1 "\n" }
        /^test result: FAILED/ { printf "%s", names; names = "" }' "$1"
}

# Is each failure named? A program that was killed names none, and of documentation the names are others.
all_are_named() {
    local programs named counted
    programs=$(grep -c '^test result: FAILED' "$1") || return 1
    [ "$(grep -c '^    `-' "$1")" -eq "$programs" ] || return 1
    named=$(failed_tests "$1" | wc -l)
    counted=$(awk '/^test result: FAILED/ { sum += $6 } END { print sum + 0 }' "$1")
    [ "$named" -eq "$counted" ]
}

# Which tests of a check needed a second attempt, and how many of all checks; check empties the first.
again=()
attempted_again=0

# $@: the arguments of cargo test, its tests' behind --
attempts() {
    local log=$target/attempt.log cargo=() tests=() failed=() before after passed test
    while [ $# -gt 0 ] && [ "$1" != -- ]; do cargo+=("$1") && shift; done
    [ $# -eq 0 ] || tests=("${@:2}")
    mkdir -p -- "$target"
    before=$(processor_ticks)
    {
        status=0
        cargo test --quiet --locked --no-fail-fast "${cargo[@]}" -- "${tests[@]}" || status=$?
        printf '%s' $status >"$log.status"
    } 2>&1 | tee -- "$log"
    [ "$(<"$log.status")" != 0 ] || return 0
    after=$(processor_ticks)
    all_are_named "$log" || return 1
    mapfile -t failed < <(failed_tests "$log" | sort -u)
    # shellcheck disable=SC2086 # two numbers each
    set -- $before $after
    printf 'test: once more: %s (another machine had %d%% of the processors meanwhile; load %s)\n' "${failed[*]}" \
        $((($4 - $2) * 100 / ($3 - $1 + 1))) "$(cut -d' ' -f1-3 /proc/loadavg)"
    # One after the other; libtest takes that option but once.
    set --
    for test in "${tests[@]}"; do
        case $test in --test-threads=*) ;; *) set -- "$@" "$test" ;; esac
    done
    cargo test --quiet --locked --no-fail-fast "${cargo[@]}" -- "$@" --test-threads=1 --exact "${failed[@]}" >"$log" 2>&1 ||
        { cat -- "$log" && return 1; }
    cat -- "$log"
    passed=$(awk '/^test result: ok/ { sum += $4 } END { print sum + 0 }' "$log")
    [ "$passed" -ge ${#failed[@]} ] || { echo "test: $passed of ${#failed[@]} were run again" >&2 && return 1; }
    again=("${failed[@]}")
    attempted_again=$((attempted_again + ${#failed[@]}))
}
