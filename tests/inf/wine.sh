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

# Tells Wine's server to end (-k), or waits until it has ended (-w). $1
wine_server() {
    local server
    for server in "$(dirname "$(realpath "$wine")")"/wineserver*; do
        if [ -x "$server" ]; then timeout -k 5 60 "$server" "$1" 2>/dev/null && break; fi
    done || true
}

finish_wine() {
    wine_server -k
    rm -rf -- "$work"
}

# Has a first program make the prefix. Wine was once not able to (in CI, without a word that anybody kept), so a prefix
# that was not made is made anew, three times at most; what Wine said of it is told each time.
make_prefix() {
    local try code
    for try in 1 2 3; do
        code=0
        timeout -k 5 120 "$wine" cmd /c exit >"$work/prefix.txt" 2>&1 </dev/null || code=$?
        [ $code -ne 0 ] || return 0
        echo "wine: no prefix at try $try of 3: exit code $code: $(tail -n 3 "$work/prefix.txt" | tr -d '\r' | tr '\n' ' ')" >&2
        wine_server -k
        rm -rf -- "$WINEPREFIX"
    done
    return 1
}

# Sets wine, the program, and work, a folder of our own, with a prefix; all are gone when the shell ends. Needs packages.sh.
start_wine() {
    need_packages missing_wine
    wine=$(find_wine)
    work=$(mktemp -d "${TMPDIR:-/tmp}/ringwave-inf.XXXXXX")
    # Debian's Wine makes a folder for its server in $TMPDIR, and leaves it there.
    export TMPDIR=$work
    export WINEPREFIX=$work/prefix WINEDEBUG=-all WINEDLLOVERRIDES='mscoree,mshtml=' DISPLAY=
    trap finish_wine EXIT
    make_prefix
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

# Puts stand_in.rs into Wine's path under these names, for what Wine has not. $work/calls.txt is where each writes how it was called. Needs
# build.sh. $@ names
make_stand_ins() {
    local name
    build --profile kernel -p ringwave-inf-probe --bin stand-in --target x86_64-pc-windows-msvc
    mkdir -- "$work/tools"
    for name; do cp -- "$target/x86_64-pc-windows-msvc/kernel/stand-in.exe" "$work/tools/$name.exe"; done
    stand_in_calls=$(windows_path "$work/calls.txt")
    WINEPATH=$(windows_path "$work/tools")
    export stand_in_calls WINEPATH
    # The server that made the prefix may be about to end.
    wine_server -w
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
