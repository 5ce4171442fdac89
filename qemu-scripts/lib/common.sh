# shellcheck shell=bash
# How set-up talks, logs, fails and becomes root. Source it after env.sh.

log=$RINGWAVE_CACHE/setup.log
started=$EPOCHREALTIME
worked= # not empty once a step was really done

# Seconds since the start, with tenths.
elapsed() {
    local us=$((${EPOCHREALTIME/./} - ${started/./}))
    printf '%d.%d' $((us / 1000000)) $((us / 100000 % 10))
}

# One step that takes time, announced before it is taken.
step() {
    if [ -z "$worked" ]; then
        worked=yes
        printf 'setup: working in %s (details: %s)\n' "$RINGWAVE_CACHE" "$log"
        : >"$log"
    fi
    printf '[%6s s] %s\n' "$(elapsed)" "$*" | tee -a "$log"
}

# Runs a command with its noise in the log. It runs beside this shell, so that a signal ends it and us at once, and without the
# lock (descriptor 9), so that what it might leave running blocks nobody. Not for use in a subshell.
child=
logged() {
    local status=0
    printf '+ %s\n' "$*" >>"$log"
    "$@" >>"$log" 2>&1 </dev/null 9>&- &
    child=$!
    wait "$child" || status=$?
    child=
    return $status
}

# For Ctrl-C and its kin.
stop() {
    trap - INT TERM HUP ERR
    if [ -n "$child" ]; then
        kill "$child" 2>/dev/null || true
        wait "$child" || true
    fi
    printf 'setup: stopped; the next run takes it up from here\n' >&2
    exit 130
}

# Ends set-up: one line that says what to do. The code is 2: the machine has to change before another try can do better.
die() {
    printf 'setup: %s\n' "$*" >&2
    exit 2
}

# Ends set-up after a logged command failed: shows what it last said.
die_with_log() {
    {
        printf '%s\n' "--- the end of $log:"
        tail -n 15 "$log"
        printf '%s\n' '---'
    } >&2
    die "$@"
}

# Can this script run something as root without a question?
can_root() {
    [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# A fresh folder beside the place it will be renamed to; what an interrupted run left there goes first.
fresh_dir() {
    rm -rf -- "$1"
    mkdir -p -- "$1"
}
