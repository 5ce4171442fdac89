# shellcheck shell=bash
# A Windows of our own in Wine, that nobody else sees and nothing of which stays. Source it, then call start_wine.

# Debian's wine64 keeps its programs beside the PATH, and so do others.
find_wine() {
    local place
    for place in wine64 wine /usr/lib/wine/wine64; do
        if type -P "$place"; then return 0; fi
    done
    return 1
}
missing_wine() {
    find_wine >/dev/null || printf wine64
}

finish_wine() {
    local server
    for server in "$(dirname "$(realpath "$wine")")"/wineserver*; do
        if [ -x "$server" ]; then "$server" -k 2>/dev/null && break; fi
    done || true
    rm -rf -- "$work"
}

# Sets wine, the program, and work, a folder of our own; both are gone when the shell ends. Needs packages.sh.
start_wine() {
    need_packages missing_wine
    wine=$(find_wine)
    work=$(mktemp -d "${TMPDIR:-/tmp}/ringwave-inf.XXXXXX")
    # Debian's Wine makes a folder for its server in $TMPDIR, and leaves it there.
    export TMPDIR=$work
    export WINEPREFIX=$work/prefix WINEDEBUG=-all WINEDLLOVERRIDES='mscoree,mshtml=' DISPLAY=
    trap finish_wine EXIT
}

# Has a program wait until the end, so that Wine's server does not end between two others: one that came just then was
# seen not to start. Its input is a pipe that nobody writes to.
keep_wine() {
    mkfifo -- "$work/nothing"
    "$wine" cmd <"$work/nothing" >/dev/null 2>&1 &
    exec 9>"$work/nothing"
}

# A path as Windows has it. $1
windows_path() {
    printf '%s' "Z:$1" | tr / '\\'
}

# Puts stand_in.rs into Wine's path under these names, for what Wine has not, and makes the prefix. $work/calls.txt is where each writes how it
# was called. Needs build.sh. $@ names
make_stand_ins() {
    local name
    build --profile kernel -p ringwave-inf-probe --bin stand-in --target x86_64-pc-windows-msvc
    mkdir -- "$work/tools"
    for name; do cp -- "$target/x86_64-pc-windows-msvc/kernel/stand-in.exe" "$work/tools/$name.exe"; done
    stand_in_calls=$(windows_path "$work/calls.txt")
    WINEPATH=$(windows_path "$work/tools")
    export stand_in_calls WINEPATH
    # The first program makes the prefix.
    "$wine" cmd /c exit >/dev/null 2>&1 </dev/null
    keep_wine
}

# Sets a value of the registry. $1 key $2 name $3 type $4 value
registry() {
    "$wine" reg add "$1" /v "$2" /t "$3" /d "$4" /f >/dev/null 2>&1
}

# $@ each was called, or none of them: a word is no pattern. Needs the script's own fail.
calls() {
    local word
    for word; do grep -qF -- "$word" "$work/calls.txt" || fail "does not call: $word"; done
}
calls_not() {
    local word
    for word; do ! grep -qF -- "$word" "$work/calls.txt" || fail "calls: $word"; done
}
