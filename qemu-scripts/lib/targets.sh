# shellcheck shell=bash
# Rust's core and alloc for x86_64-pc-windows-msvc (the driver) and x86_64-unknown-uefi (the guest program).
#
# `rustup target add` where rustup's server can be reached. Elsewhere they are compiled from Debian's package of exactly this
# compiler's sources and put where rustup would put them, so that plain stable cargo finds them. Source it after private-apt.sh.

targets=(x86_64-pc-windows-msvc x86_64-unknown-uefi)
seed_mark=seeded-by-ringwave                        # a file in each folder that we put into a toolchain
seed_record=$RINGWAVE_CACHE/seeded-targets          # those folders, one a line
rustup_record=$RINGWAVE_CACHE/rustup-targets        # "toolchain-folder target" where rustup added one for us
source_suites=("trixie trixie-backports" "forky" "sid") # where Debian has rust-src of recent compilers, likeliest first

# Asks the compiler the repository's rust-toolchain.toml chooses: sets rust_release, rust_commit, rust_sysroot.
ask_rustc() {
    type rustc cargo >/dev/null 2>&1 || die "no Rust here: install rustup with the stable toolchain"
    local about
    about=$(cd "$repo" && rustc -vV 2>&1 && rustc --print sysroot) || die "rustc does not run: $about"
    rust_release=$(sed -n 's/^release: //p' <<<"$about")
    rust_commit=$(sed -n 's/^commit-hash: //p' <<<"$about")
    rust_sysroot=$(realpath -- "$(tail -n 1 <<<"$about")")
}

target_dir() {
    printf '%s' "$rust_sysroot/lib/rustlib/$1"
}

# What a target's proof was made with; another compiler or a touched folder needs another proof.
target_stamp() {
    printf '%s %s %s' "$rust_commit" "$rust_sysroot" "$(stat -c %Y -- "$(target_dir "$1")/lib" 2>/dev/null)"
}

target_ready() {
    [ "$(cat "$RINGWAVE_CACHE/proofs/$1" 2>/dev/null)" = "$(target_stamp "$1")" ]
}

# Proof that a target is complete: a program against core and alloc is compiled and linked, with LTO as the driver is. $1 target
# $2 where to
link_probe() {
    local flags=()
    case $1 in
    *-windows-*) flags=(-Clinker=rust-lld -Clink-args=/NODEFAULTLIB\ /ENTRY:DriverEntry\ /SUBSYSTEM:NATIVE) ;;
    esac
    logged env -u RUSTFLAGS "$rust_sysroot/bin/rustc" --edition 2024 --target "$1" -Cpanic=abort -O -Clto=fat "${flags[@]}" \
        -o "$2" "$repo/qemu-scripts/lib/probe.rs"
}

# Proves a target and remembers that.
prove_target() {
    mkdir -p "$RINGWAVE_CACHE/proofs"
    link_probe "$1" "$RINGWAVE_CACHE/proofs/probe-$1" || return 1
    target_stamp "$1" >"$RINGWAVE_CACHE/proofs/$1"
}

# Did rustup (or its installer) put this target here, so that it is not ours to replace?
rustup_owns() {
    grep -qsx "rust-std-$1" "$rust_sysroot/lib/rustlib/components"
}

no_rustup_server=

# $1 target
add_by_rustup() {
    command -v rustup >/dev/null && [ -z "$no_rustup_server" ] || return 1
    # One short try: without a way to rustup's server it must not hold a first run up.
    if ! logged env -C "$repo" RUSTUP_MAX_RETRIES=0 timeout --foreground -k 5 120 rustup target add "$1"; then
        no_rustup_server=yes # not asked again for the other target
        return 1
    fi
    prove_target "$1" || return 1
    printf '%s %s\n' "$1" "$rust_sysroot" >>"$rustup_record"
}

# Brings the compiler's own library sources into the cache: sets library to that folder.
fetch_library() {
    local deb suites
    library=$RINGWAVE_CACHE/rust-src/$rust_release
    [ ! -d "$library" ] || return 0
    mkdir -p "$RINGWAVE_CACHE/deb"
    deb=$(find "$RINGWAVE_CACHE/deb" -name "rust-src_${rust_release}*.deb" | head -n 1)
    if [ -z "$deb" ]; then
        step "targets: no way to rustup's server; fetching rust-src $rust_release from this machine's mirror (45 MB)"
        for suites in "${source_suites[@]}"; do
            # shellcheck disable=SC2086 # names of suites, one word each
            open_papt $suites || continue
            fresh_dir "$RINGWAVE_CACHE/deb/tmp"
            if logged env -C "$RINGWAVE_CACHE/deb/tmp" apt-get -q -c "$papt/etc/apt.conf" download "rust-src=$rust_release*"; then
                mv "$RINGWAVE_CACHE"/deb/tmp/*.deb "$RINGWAVE_CACHE/deb/"
                break
            fi
        done
        rm -rf "$RINGWAVE_CACHE/deb/tmp"
        deb=$(find "$RINGWAVE_CACHE/deb" -name "rust-src_${rust_release}*.deb" | head -n 1)
        [ -n "$deb" ] || return 1
    fi
    fresh_dir "$library.tmp"
    if ! dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$library.tmp" --no-same-owner --strip-components=5 "./usr/src/rustc-$rust_release/library"; then
        rm -rf "$library.tmp" "$deb" # a broken download is fetched anew by the next run
        return 1
    fi
    mv "$library.tmp" "$library"
}

# Compiles core, alloc and compiler_builtins for a target into a folder of the cache. $1 target $2 folder
compile_seed() {
    local work=$RINGWAVE_CACHE/seed.tmp
    fresh_dir "$work/src"
    printf '[package]\nname = "seed"\nversion = "0.0.0"\nedition = "2024"\n[workspace]\n' >"$work/Cargo.toml"
    printf '#![no_std]\nextern crate alloc;\n' >"$work/src/lib.rs"
    # Bitcode, because the driver is built with LTO.
    # RUSTC_BOOTSTRAP opens -Zbuild-std, and __CARGO_TESTS_ONLY_SRC_ROOT names its sources, on the stable compiler.
    logged env -C "$work" -u CARGO_ENCODED_RUSTFLAGS -u CARGO_BUILD_TARGET -u CARGO_BUILD_RUSTFLAGS -u RUSTC_WRAPPER -u RUSTUP_TOOLCHAIN \
        PATH="$rust_sysroot/bin:$PATH" RUSTC="$rust_sysroot/bin/rustc" CARGO_HOME="$work/home" CARGO_TARGET_DIR="$work/target" \
        RUSTC_BOOTSTRAP=1 __CARGO_TESTS_ONLY_SRC_ROOT="$library" RUSTFLAGS="-Cembed-bitcode=yes" \
        "$rust_sysroot/bin/cargo" build --offline --release -Zbuild-std=core,alloc --target "$1" \
        --config 'source.crates-io.replace-with="debian"' --config "source.debian.directory=\"$library/vendor\"" || return 1
    fresh_dir "$2.tmp/lib"
    cp "$work/target/$1/release/deps"/lib{core,alloc,compiler_builtins}-*.rlib "$2.tmp/lib/" || return 1
    printf 'qemu-scripts/setup compiled these for rustc %s. It removes them with --remove.\n' "$rust_release $rust_commit" >"$2.tmp/$seed_mark"
    rm -rf "$2" "$work"
    mv "$2.tmp" "$2"
}

# Puts a target into the toolchain without rustup's server. $1 target
seed_target() {
    local seed=$RINGWAVE_CACHE/seeds/$rust_commit/$1 dir
    dir=$(target_dir "$1")
    if [ ! -e "$seed/$seed_mark" ]; then
        fetch_library || die_with_log "no Debian mirror here has rust-src $rust_release; with a way to rustup's server: rustup target add ${targets[*]}"
        step "targets: compiling core and alloc for $1 (half a minute)"
        compile_seed "$1" "$seed" || die_with_log "core and alloc could not be compiled for $1"
    fi
    step "targets: putting $1 into $rust_sysroot"
    rm -rf "$dir.ringwave-tmp"
    cp -r -- "$seed" "$dir.ringwave-tmp"
    rm -rf "$dir"
    mv -- "$dir.ringwave-tmp" "$dir"
    grep -qsxF -- "$dir" "$seed_record" || printf '%s\n' "$dir" >>"$seed_record"
}

# $1 target
make_target() {
    local dir
    dir=$(target_dir "$1")
    if [ -d "$dir/lib" ] && prove_target "$1"; then return 0; fi
    if rustup_owns "$1"; then
        die_with_log "$1 is installed but does not compile; try: rustup target remove $1 && rustup target add $1"
    fi
    if [ -d "$dir" ] && [ ! -e "$dir/$seed_mark" ]; then
        die_with_log "$dir does not serve this compiler, and neither rustup nor this script put it there: remove it and try again"
    fi
    [ -w "${dir%/*}" ] || die "$rust_sysroot is not writable: as its owner, run this script or: rustup target add ${targets[*]}"
    step "targets: adding $1"
    # What is there now is our own, for another release of the compiler.
    rm -rf -- "$dir"
    if add_by_rustup "$1"; then return 0; fi
    seed_target "$1"
    prove_target "$1" || die_with_log "$1 was put into $rust_sysroot and still does not compile"
}

# The folders that may carry our mark: those on record, and the present toolchain's should the record be lost.
seeded_folders() {
    local sysroot target
    cat "$seed_record" 2>/dev/null || true
    sysroot=$(cd "$repo" && realpath -- "$(rustc --print sysroot 2>/dev/null)" 2>/dev/null) || return 0
    for target in "${targets[@]}"; do printf '%s\n' "$sysroot/lib/rustlib/$target"; done
}

# Takes out what set-up put into toolchains, and nothing else.
remove_targets() {
    local dir target sysroot
    while read -r dir; do
        if [ -e "$dir/$seed_mark" ]; then
            rm -rf -- "$dir"
            printf 'removed %s\n' "$dir"
        fi
    done < <(seeded_folders)
    while read -r target sysroot; do
        if [ -d "$sysroot/lib/rustlib/$target" ]; then
            rustup target remove --toolchain "${sysroot##*/}" "$target" >/dev/null 2>&1 && printf 'removed target %s from %s\n' "$target" "$sysroot" ||
                printf 'could not remove target %s from %s; try rustup target remove\n' "$target" "$sysroot"
        fi
    done < <(cat "$rustup_record" 2>/dev/null || true)
}
