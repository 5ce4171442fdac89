# shellcheck shell=bash
# Builds what a run is made of and names it in the environment. Source it after lib/env.sh; needs $repo, the repository's folder.

target=${CARGO_TARGET_DIR:-$repo/target}

# One target folder for all builds, one line each; cargo's own progress shows on a terminal. Never incremental, whatever the
# environment says: an image that was built so has other bytes. The linker for Windows is that of .cargo/config.toml, which cargo
# looks for from the folder that it is started in; named by the environment, because build_image names another one there, and
# `--config` would come before both.
build() {
    CARGO_INCREMENTAL=0 CARGO_TARGET_X86_64_PC_WINDOWS_MSVC_LINKER=${CARGO_TARGET_X86_64_PC_WINDOWS_MSVC_LINKER:-rust-lld} \
        cargo build --quiet --locked --manifest-path "$repo/Cargo.toml" "$@"
}

# Flags that keep this machine's folders out of what rustc makes, and $@; in cargo's encoding, for folders with spaces in their names.
placeless_flags() {
    local IFS=$'\x1f'
    set -- "--remap-path-prefix=$repo=/ringwave" "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo" \
        "--remap-path-prefix=$(rustc --print sysroot)=/rust" "--remap-path-prefix=$target=/target" "$@"
    printf '%s' "$*"
}

# The driver's image, as the repository's place cannot change it, with its symbols. $1 folder
build_image() {
    CARGO_TARGET_X86_64_PC_WINDOWS_MSVC_LINKER=$repo/qemu-scripts/lib/link-image CARGO_ENCODED_RUSTFLAGS=$(placeless_flags) \
        build --profile kernel -p ringwave-driver --bin ringwave-sys --target x86_64-pc-windows-msvc --target-dir "$target/image"
    install -m 644 -- "$target/image/x86_64-pc-windows-msvc/kernel/ringwave-sys.exe" "$1/ringwave.sys"
    # Under the name that the image knows it by.
    install -m 644 -- "$target/image/x86_64-pc-windows-msvc/kernel/ringwave_sys.pdb" "$1/"
}

# Says once that a first build takes long: cargo is quiet.
tell_first_build() {
    [ -x "$target/release/ringwave" ] || printf 'building card, driver and guest: two to five minutes the first time, seconds later\n' >&2
}

build_artefacts() {
    tell_first_build
    build --release -p ringwave -p ringwave-runner
    build --profile kernel -p ntguest --bin ntguest --target x86_64-unknown-uefi
    build --profile kernel -p bareguest --bin bareguest --target x86_64-unknown-uefi
    # The driver under test is the driver that ships: qemu-scripts/package makes the same bytes, and only signs them.
    build_image "$target"
    export RINGWAVE_BIN=$target/release/ringwave
    export RINGWAVE_SYS=$target/ringwave.sys
    export RINGWAVE_NTGUEST=$target/x86_64-unknown-uefi/kernel/ntguest.efi
    export RINGWAVE_BAREGUEST=$target/x86_64-unknown-uefi/kernel/bareguest.efi
}

# The driver that somebody else might have written for this card.
build_foreign_driver() {
    "$repo/tests/foreign/build" "$target/foreign" >/dev/null
    export RINGWAVE_FOREIGN_SYS=$target/foreign/plainwave.sys
}

# The example of portcls-sys: a driver without hardware.
build_example_driver() {
    build --profile kernel -p portcls-sys --example sine --target x86_64-pc-windows-msvc
    install -m 644 -- "$target/x86_64-pc-windows-msvc/kernel/examples/sine.exe" "$target/sine.sys"
    export RINGWAVE_SINE_SYS=$target/sine.sys
}

# A package's programs without libraries, in the folder and with the flags of qemu-scripts/package, so that one build serves both. $1 package
build_static() {
    CARGO_ENCODED_RUSTFLAGS=$(placeless_flags -Ctarget-feature=+crt-static) build --release -p "$1" --bins \
        --target x86_64-unknown-linux-gnu --target-dir "$target/package-static"
}

# The program that plays inside Windows.
build_winplay() {
    build --profile kernel -p ringwave-winplay --target x86_64-pc-windows-msvc
    export RINGWAVE_WINPLAY=$target/x86_64-pc-windows-msvc/kernel/winplay.exe
}

# The signed package that qemu-scripts/package has made; the newest version, if there are several.
find_package() {
    local folder found=''
    for folder in "$target"/package/ringwave-driver-*; do
        case $folder in *-unsigned) ;; *) [ ! -s "$folder/install.cmd" ] || found=$folder ;; esac
    done
    printf '%s' "$found"
}

# What plays and measures in the Linux guests of qemu-scripts/bench-cards.
build_guest_pcm() {
    build_static ringwave-guest-pcm
    export RINGWAVE_GUEST_PCM=$target/package-static/x86_64-unknown-linux-gnu/release/guest-pcm
}

# What qemu-scripts/bringup needs: the card, the program that boots, and what runs in the guest, static, for there are no libraries.
build_linux_guest() {
    tell_first_build
    local static=$target/package-static package
    build --release -p ringwave -p ringwave-runner
    for package in ringwave ringwave-guest-init; do build_static "$package"; done
    export RINGWAVE_BIN=$target/release/ringwave
    export RINGWAVE_STATIC=$static/x86_64-unknown-linux-gnu/release/ringwave
    export RINGWAVE_GUEST_INIT=$static/x86_64-unknown-linux-gnu/release/guest-init
}
