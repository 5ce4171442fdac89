# shellcheck shell=bash
# The card as a Debian package. Source it after build.sh, common.sh and packages.sh.

cargo_deb_version=3.8.0
cargo_deb=$RINGWAVE_CACHE/cargo-deb-$cargo_deb_version/bin/cargo-deb

missing_deb_tools() {
    local missing=()
    { command -v pkg-config && pkg-config --exists alsa; } >/dev/null 2>&1 || missing+=(libasound2-dev pkg-config)
    command -v dpkg-shlibdeps >/dev/null || missing+=(dpkg-dev)
    printf '%s' "${missing[*]}"
}

make_cargo_deb() {
    [ ! -x "$cargo_deb" ] || return 0
    step "cargo-deb: building it, once"
    CARGO_TARGET_DIR=$work/cargo-deb logged cargo install --quiet --locked --version "$cargo_deb_version" --root "${cargo_deb%/bin/*}" cargo-deb
}

# The program with sound, what it writes of itself, and the package of them. $1 the package
make_deb() {
    local release=$target/package-deb/release shell
    step "card: building ringwave with sound"
    CARGO_ENCODED_RUSTFLAGS=$(placeless_flags) CARGO_TARGET_DIR=$target/package-deb build --release -p ringwave --features sound
    step "card: manual pages, completions, package"
    fresh_dir "$release/man"
    fresh_dir "$release/completions"
    "$release/ringwave" man "$release/man"
    gzip -9n -- "$release/man"/*
    for shell in bash:ringwave zsh:_ringwave fish:ringwave.fish; do
        "$release/ringwave" completions "${shell%:*}" >"$release/completions/${shell#*:}"
    done
    CARGO_TARGET_DIR=$target/package-deb logged "$cargo_deb" deb --quiet --no-build --manifest-path "$repo/device/Cargo.toml" --output "$1"
}
