# shellcheck shell=bash
# A Linux kernel for the guest of qemu-scripts/bringup: Debian's cloud kernel, of which only the image and a handful of modules are
# kept. Nobody but bringup needs it, so set-up fetches it only when asked to. Source it after private-apt.sh.

# The smallest that drives vfio-pci, intel-iommu and virtio-iommu: bookworm's cloud kernel has no virtio-iommu, the other kernels are
# two to four times the size.
kernel_suite=trixie
kernel_package=linux-image-cloud-amd64
kernel_dir=$RINGWAVE_KERNEL

# What the guest loads, each after what it depends on. Debian makes modules.dep only when the package is installed, which it never is
# here; a kernel that wants another order is told by the guest, with the name of the module.
kernel_modules=(irqbypass vfio vfio_iommu_type1 vfio-pci-core vfio-pci virtio-iommu)

# Folder: vmlinuz, the modules, load-order (a module's file name a line), and last version, which says that all is there.
kernel_ready() {
    local file
    [ -s "$kernel_dir/version" ] && [ -s "$kernel_dir/vmlinuz" ] && [ -s "$kernel_dir/load-order" ] || return 1
    while read -r file; do [ -s "$kernel_dir/$file" ] || return 1; done <"$kernel_dir/load-order"
}

# Puts one module of the unpacked kernel $1 into folder $2; one that is built in needs no file. $3 name
take_module() {
    local file
    file=$(find "$1" -type f \( -name "$3.ko" -o -name "$3.ko.*" \) -print -quit)
    if [ -n "$file" ]; then
        mv -- "$file" "$2/"
        basename -- "$file" >>"$2/load-order"
    elif ! find "$1" -name modules.builtin -exec grep -q "/$3\.ko$" {} +; then
        die "the kernel in $kernel_package of Debian $kernel_suite has no module $3: lib/kernel.sh needs another package"
    fi
}

make_kernel() {
    local work=$kernel_dir.tmp image module
    step "kernel: fetching the package lists of Debian $kernel_suite from this machine's mirror"
    open_papt "$kernel_suite" || die_with_log "no mirror in this machine's apt sources has Debian $kernel_suite: add one"
    image=$(apt-cache -c "$papt/etc/apt.conf" show "$kernel_package" | sed -nE '/^Depends:/s/.*[ ,](linux-image-[^ ,]+).*/\1/p' | head -n 1)
    [ -n "$image" ] || die_with_log "Debian $kernel_suite has no package $kernel_package"
    step "kernel: fetching $image (35 MB), for the Linux guest of qemu-scripts/bringup"
    fresh_dir "$work"
    mkdir -- "$work/unpacked" "$work/kernel"
    # Not unpack_packages: what the package depends on is for a machine that installs it.
    logged env -C "$work" apt-get -q -c "$papt/etc/apt.conf" download "$image" || die_with_log "$image could not be fetched: try again"
    dpkg-deb --fsys-tarfile "$work"/*.deb | tar -x -C "$work/unpacked" --no-same-owner --exclude='./usr/share/doc/*'
    mv -- "$work"/unpacked/boot/vmlinuz-* "$work/kernel/vmlinuz"
    for module in "${kernel_modules[@]}"; do take_module "$work/unpacked" "$work/kernel" "$module"; done
    printf '%s\n' "${image#linux-image-}" >"$work/kernel/version"
    rm -rf -- "$kernel_dir"
    mv -- "$work/kernel" "$kernel_dir"
    rm -rf -- "$work"
}
