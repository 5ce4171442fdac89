# shellcheck shell=bash
# Tests on the host's clock. A machine that got no processor for a second is late, and a test that plays in real time says so
# as if its subject were: so a test that fails is run once more, alone, and both are told. Source it after build.sh.

# Time of all processors since the host's start, in ticks, and what of it another machine had (steal).
processor_ticks() {
    local _ user nice system idle iowait irq softirq steal
    read -r _ user nice system idle iowait irq softirq steal _ </proc/stat
    printf '%s %s' $((user + nice + system + idle + iowait + irq + softirq + steal)) "$steal"
}

# The tests that failed, of a log of libtest's: the names between the last `failures:` and `test result: FAILED`.
failed_tests() {
    awk '/^failures:$/ { names = "" }
        /^    [a-z0-9_:]+$/ { names = names $1 "\n" }
        /^test result: FAILED/ { printf "%s", names; names = "" }' "$1" | sort -u
}

# Did each program that failed come to the end of its tests? One that was killed names none.
all_came_to_an_end() {
    local failed
    failed=$(grep -c '^test result: FAILED' "$1")
    [ "$failed" -gt 0 ] && [ "$(grep -c '^    `-' "$1")" -eq "$failed" ]
}

# Which tests needed a second attempt; check empties it.
again=()

# $@: the arguments of cargo test, its tests' behind --
attempts() {
    local log=$target/attempt.log cargo=() tests=() failed=() before after passed
    while [ $# -gt 0 ] && [ "$1" != -- ]; do cargo+=("$1") && shift; done
    [ $# -eq 0 ] || tests=("${@:2}")
    mkdir -p -- "$target"
    before=$(processor_ticks)
    if cargo test --quiet --locked --no-fail-fast "${cargo[@]}" -- "${tests[@]}" 2>&1 | tee "$log"; then return 0; fi
    after=$(processor_ticks)
    all_came_to_an_end "$log" || return 1
    mapfile -t failed < <(failed_tests "$log")
    [ ${#failed[@]} -gt 0 ] || return 1
    # shellcheck disable=SC2086 # two numbers each
    set -- $before $after
    printf 'test: once more, alone: %s (others had %d%% of the processors meanwhile)\n' "${failed[*]}" \
        $((($4 - $2) * 100 / ($3 - $1 + 1)))
    cargo test --quiet --locked --no-fail-fast "${cargo[@]}" -- "${tests[@]}" --exact "${failed[@]}" 2>&1 | tee "$log" || return 1
    passed=$(awk '/^test result: ok/ { sum += $4 } END { print sum + 0 }' "$log")
    [ "$passed" -ge ${#failed[@]} ] || { echo "test: $passed of ${#failed[@]} were run again" >&2 && return 1; }
    again=("${failed[@]}")
}
