# shellcheck shell=bash
# PipeWire for the Linux guest: a folder with Debian's packages and all they depend on, which comes over the guest's root. Source it after
# linux-guest.sh, whose Debian it is.

pipewire_dir=$RINGWAVE_PIPEWIRE

pipewire_ready() {
    local file
    for file in pipewire pw-cat pw-link; do [ -x "$pipewire_dir/usr/bin/$file" ] || return 1; done
    [ -s "$pipewire_dir/usr/share/pipewire/client.conf" ] && [ -s "$pipewire_dir/usr/lib/x86_64-linux-gnu/spa-0.2/alsa/libspa-alsa.so" ]
}

make_pipewire() {
    local work=$pipewire_dir.tmp
    step "PipeWire: fetching Debian $linux_guest_suite's (40 MB) from this machine's mirror"
    open_papt "$linux_guest_suite" || die_with_log "no mirror in this machine's apt sources has Debian $linux_guest_suite: add one"
    fresh_dir "$work"
    make_root "$work"
    unpack_packages "$linux_guest_suite" "$work" pipewire-bin || die_with_log "PipeWire could not be fetched: try again"
    # Of what is shared only PipeWire's own settings are read.
    find "$work/usr/share" -mindepth 1 -maxdepth 1 ! -name pipewire -exec rm -rf -- {} +
    rm -rf -- "$work/usr/lib/x86_64-linux-gnu/gconv" "$work"/{etc,var}
    rm -rf -- "$pipewire_dir"
    mv -- "$work" "$pipewire_dir"
}
