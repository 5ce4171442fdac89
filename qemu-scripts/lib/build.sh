# shellcheck shell=bash
# Builds what a run is made of and names it in the environment. Source it after lib/env.sh; needs $repo, the repository's folder.

target=${CARGO_TARGET_DIR:-$repo/target}

# One target folder for all builds, one line each; cargo's own progress shows on a terminal.
build() {
    cargo build --quiet --locked --manifest-path "$repo/Cargo.toml" "$@"
}

build_parts() {
    build --release -p ringwave -p ringwave-e2e
    build --profile kernel -p ringwave-driver --bin ringwave-sys --target x86_64-pc-windows-msvc
    build --profile kernel -p ntguest --bin ntguest --target x86_64-unknown-uefi
    # The driver under test is the driver that ships: this very file.
    cp "$target/x86_64-pc-windows-msvc/kernel/ringwave-sys.exe" "$target/ringwave.sys"
    export RINGWAVE_BIN=$target/release/ringwave
    export RINGWAVE_SYS=$target/ringwave.sys
    export RINGWAVE_NTGUEST=$target/x86_64-unknown-uefi/kernel/ntguest.efi
}
