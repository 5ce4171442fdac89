# shellcheck shell=bash
# QEMU with the device vfio-user-pci (QEMU 10.1 and newer), and OVMF for it: the host's own where they are good, else from a
# private root that Debian's packages are unpacked into. Source it after private-apt.sh.

qemu_suite=trixie-backports # QEMU 11.1; Debian 12 and 13 themselves have none that is new enough
ovmf_suite=trixie
qemu_stamp=$RINGWAVE_CACHE/qemu/stamp

# Does this QEMU have what we need?
has_vfio_user() {
    "$1" -device help 2>/dev/null | grep '"vfio-user-pci"' >/dev/null
}

qemu_version() {
    "$RINGWAVE_QEMU" --version 2>/dev/null | sed -nE '1s/^QEMU emulator version ([^ ]+).*/\1/p'
}

# The host's QEMU when it will do, else nothing.
host_qemu() {
    local path
    path=$(type -P qemu-system-x86_64) || return 0
    if [ "$path" != "$RINGWAVE_QEMU" ] && has_vfio_user "$path"; then printf '%s' "$path"; fi
}

# Finds the host's pair of 4 MiB OVMF volumes (Debian's names, then Arch's): sets ovmf_code and ovmf_vars, or leaves them empty.
find_host_ovmf() {
    local dir=/usr/share/OVMF code=OVMF_CODE_4M.fd vars=OVMF_VARS_4M.fd
    [ -r $dir/$code ] || dir=/usr/share/edk2/x64 code=OVMF_CODE.4m.fd vars=OVMF_VARS.4m.fd
    ovmf_code='' ovmf_vars=''
    if [ -r $dir/$code ] && [ -r $dir/$vars ]; then ovmf_code=$dir/$code ovmf_vars=$dir/$vars; fi
}

qemu_ready() {
    [ -s "$qemu_stamp" ] && [ -s "$RINGWAVE_OVMF_CODE" ] && [ -s "$RINGWAVE_OVMF_VARS" ] && has_vfio_user "$RINGWAVE_QEMU"
}

# Writes the program that everybody calls, by rename: nobody ever runs half of it. $1 its last line
write_wrapper() {
    mkdir -p "$RINGWAVE_CACHE/bin"
    printf '#!/bin/sh\n# Written by qemu-scripts/setup: a QEMU with vfio-user-pci.\n%s\n' "$1" >"$RINGWAVE_QEMU.tmp"
    chmod 755 "$RINGWAVE_QEMU.tmp"
    mv -f "$RINGWAVE_QEMU.tmp" "$RINGWAVE_QEMU"
}

# Runs the private root's QEMU through the root's own dynamic loader and libraries. It needs no chroot, and the host's libraries,
# older or newer, never meet it.
wrap_private_qemu() {
    local q
    q=$(printf %q "$RINGWAVE_CACHE/qemu/root/usr")
    write_wrapper "export QEMU_MODULE_DIR=$q/lib/x86_64-linux-gnu/qemu GIO_MODULE_DIR=$q/lib/x86_64-linux-gnu/gio/modules
exec $q/lib64/ld-linux-x86-64.so.2 --argv0 qemu-system-x86_64 --library-path $q/lib/x86_64-linux-gnu \\
    $q/bin/qemu-system-x86_64 -L $q/share/qemu -L $q/share/seabios -L $q/lib/ipxe/qemu \"\$@\""
}

# Copies one firmware volume into place, by rename. $1 from $2 to
install_volume() {
    mkdir -p "$RINGWAVE_CACHE/ovmf"
    cp -f -- "$1" "$2.tmp" && chmod 644 "$2.tmp" && mv -f -- "$2.tmp" "$2"
}

# Unpacks packages into the private root, all or nothing. $@ packages
make_private_root() {
    local tmp=$RINGWAVE_CACHE/qemu/root.tmp
    step "QEMU: fetching the package lists of Debian $ovmf_suite and $qemu_suite from this machine's mirror"
    open_papt "$ovmf_suite" "$qemu_suite" ||
        die_with_log "no mirror in this machine's apt sources has Debian $qemu_suite: add one, or install QEMU 10.1 or newer and OVMF by hand"
    step "QEMU: fetching $* and what that needs into a private folder (up to 45 MB)"
    fresh_dir "$tmp"
    unpack_packages "$qemu_suite" "$tmp" "$@" ||
        die_with_log "the packages of QEMU could not be fetched: try again, or install QEMU 10.1 or newer and OVMF by hand"
    rm -rf "$RINGWAVE_CACHE/qemu/root"
    mv "$tmp" "$RINGWAVE_CACHE/qemu/root"
}

make_qemu() {
    local host ovmf_code ovmf_vars packages=() root=$RINGWAVE_CACHE/qemu/root
    host=$(host_qemu)
    find_host_ovmf
    # A private QEMU comes with the firmware it is known to boot; the host's may be years older.
    [ -n "$host" ] || packages+=(qemu-system-x86)
    if [ -z "$host" ] || [ -z "$ovmf_code" ]; then
        packages+=(ovmf)
        ovmf_code=$root/usr/share/OVMF/OVMF_CODE_4M.fd ovmf_vars=$root/usr/share/OVMF/OVMF_VARS_4M.fd
    fi
    mkdir -p "$RINGWAVE_CACHE/qemu"
    rm -f "$qemu_stamp"
    [ ${#packages[@]} = 0 ] || make_private_root "${packages[@]}"
    if [ -n "$host" ]; then write_wrapper "exec $(printf %q "$host") \"\$@\""; else wrap_private_qemu; fi
    install_volume "$ovmf_code" "$RINGWAVE_OVMF_CODE"
    install_volume "$ovmf_vars" "$RINGWAVE_OVMF_VARS"
    logged "$RINGWAVE_QEMU" --version || true
    has_vfio_user "$RINGWAVE_QEMU" || die_with_log "$RINGWAVE_QEMU does not run, or lacks vfio-user-pci"
    printf '%s %s\n' "${host:-private}" "$(qemu_version)" >"$qemu_stamp"
}

secure_boot_ready() {
    [ -s "$RINGWAVE_OVMF_SECURE_CODE" ] && [ -s "$RINGWAVE_OVMF_SECURE_VARS" ]
}

# Debian's names alone: others ship no variables with Microsoft's keys in them. From the root that QEMU's firmware came from, the host,
# or the package, in this order.
make_secure_boot() {
    local folder tmp=$RINGWAVE_CACHE/ovmf/unpacked
    for folder in "$RINGWAVE_CACHE/qemu/root/usr/share/OVMF" /usr/share/OVMF; do
        [ -r "$folder/OVMF_CODE_4M.ms.fd" ] && [ -r "$folder/OVMF_VARS_4M.ms.fd" ] && break
        folder=''
    done
    if [ -z "$folder" ]; then
        step "OVMF with Secure Boot: fetching Debian's package"
        open_papt "$ovmf_suite" || die_with_log "no mirror in this machine's apt sources has Debian $ovmf_suite: add one, or install ovmf by hand"
        fresh_dir "$tmp"
        unpack_packages "$ovmf_suite" "$tmp" ovmf || die_with_log "the package ovmf could not be fetched: try again, or install it by hand"
        folder=$tmp/usr/share/OVMF
    fi
    install_volume "$folder/OVMF_CODE_4M.ms.fd" "$RINGWAVE_OVMF_SECURE_CODE"
    install_volume "$folder/OVMF_VARS_4M.ms.fd" "$RINGWAVE_OVMF_SECURE_VARS"
    rm -rf -- "$tmp"
}
