# shellcheck shell=bash
# A Linux guest with a sound driver of its own, for qemu-scripts/linux: Debian's full kernel (the cloud kernel has no sound), of which
# the image and the modules of its sound drivers are kept, and a root folder with alsa-utils, what alsa-info wants, hda-verb, and busybox. Source
# it after private-apt.sh.

linux_guest_suite=trixie
linux_guest_kernel=linux-image-amd64
linux_guest_dir=$RINGWAVE_LINUX_GUEST
linux_guest_packages=(alsa-tools alsa-utils bash busybox-static pciutils procps)
# What the guest loads, each after what it depends on.
linux_guest_modules=(virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk soundcore snd snd-timer snd-pcm virtio_snd)
# What a guest with an HD Audio card loads after them.
linux_guest_hda_modules=(snd-intel-sdw-acpi snd-intel-dspcfg snd-hwdep snd-hda-core snd-hda-codec snd-hda-codec-generic snd-hda-intel)

linux_guest_ready() {
    local file folder
    [ -s "$linux_guest_dir/version" ] && [ -s "$linux_guest_dir/vmlinuz" ] || return 1
    for file in aplay bash busybox hda-verb lspci pgrep; do [ -x "$linux_guest_dir/root/usr/bin/$file" ] || return 1; done
    for folder in "$linux_guest_dir"/modules{,-hda}; do
        [ -s "$folder/load-order" ] || return 1
        while read -r file; do [ -s "$folder/$file" ] || return 1; done <"$folder/load-order"
    done
}

make_linux_guest() {
    local work=$linux_guest_dir.tmp image module
    # Names of kernel.sh, for its take_module.
    local kernel_package=$linux_guest_kernel kernel_suite=$linux_guest_suite
    step "linux guest: fetching the package lists of Debian $linux_guest_suite from this machine's mirror"
    open_papt "$linux_guest_suite" || die_with_log "no mirror in this machine's apt sources has Debian $linux_guest_suite: add one"
    image=$(apt-cache -c "$papt/etc/apt.conf" show "$linux_guest_kernel" | sed -nE '/^Depends:/s/.*[ ,](linux-image-[^ ,]+).*/\1/p' | head -n 1)
    [ -n "$image" ] || die_with_log "Debian $linux_guest_suite has no package $linux_guest_kernel"
    step "linux guest: fetching $image (100 MB) and ${linux_guest_packages[*]}"
    fresh_dir "$work"
    mkdir -- "$work/unpacked" "$work/guest" "$work/guest"/modules{,-hda}
    make_root "$work/guest/root"
    unpack_packages "$linux_guest_suite" "$work/guest/root" "${linux_guest_packages[@]}" || die_with_log "alsa-utils could not be fetched: try again"
    # Not unpack_packages: what the kernel's package depends on is for a machine that installs it.
    logged env -C "$work" apt-get -q -c "$papt/etc/apt.conf" download "$image" || die_with_log "$image could not be fetched: try again"
    dpkg-deb --fsys-tarfile "$work"/*.deb | tar -x -C "$work/unpacked" --no-same-owner --exclude='./usr/share/doc/*'
    mv -- "$work"/unpacked/boot/vmlinuz-* "$work/guest/vmlinuz"
    for module in "${linux_guest_modules[@]}"; do take_module "$work/unpacked" "$work/guest/modules" "$module"; done
    for module in "${linux_guest_hda_modules[@]}"; do take_module "$work/unpacked" "$work/guest/modules-hda" "$module"; done
    # Character sets, locales and terminals that nobody has here: three quarters of the space.
    rm -rf -- "$work/guest/root/usr"/{lib/x86_64-linux-gnu/gconv,share/{terminfo,bash-completion,sounds,zoneinfo},lib/locale}
    printf '%s\n' "${image#linux-image-}" >"$work/guest/version"
    rm -rf -- "$linux_guest_dir"
    mv -- "$work/guest" "$linux_guest_dir"
    rm -rf -- "$work"
}
