# shellcheck shell=bash
# A bare Debian 12 root to try things in: made once in the cache, used through an overlay that is thrown away. Needs root, and
# debootstrap, which is installed if it is missing. Source it; it wants $cache, and a function `skip REASON` that ends the script.

[ "$(id -u)" = 0 ] || skip "it needs root, for chroot"
command -v debootstrap >/dev/null || apt-get -q -y install --no-install-recommends debootstrap >/dev/null 2>&1 || skip "no debootstrap"

# Makes the root that all others lie upon, from one line of what the host's apt fetches from, without its suites.
make_bare_root() {
    local mirror
    mirror=$(apt-get update --print-uris 2>/dev/null | sed -nE "s,^'([^']*/)dists/bookworm/(In)?Release' .*,\1,p" | head -n 1)
    [ -n "$mirror" ] || skip "the host's apt names no mirror of Debian 12"
    if [ ! -e "$cache/deb-root/ready" ]; then
        rm -rf -- "${cache:?}/deb-root"
        debootstrap --variant=minbase --include=systemd,man-db bookworm "$cache/deb-root" "$mirror" >"$cache/deb-root.log" 2>&1 ||
            skip "debootstrap failed: $cache/deb-root.log"
        touch "$cache/deb-root/ready"
    fi
}

# A fresh root at $1/root; what is written there is in memory. It reaches what the host's apt and resolver reach.
open_root() {
    mkdir -p "$1/over" "$1/root"
    mount -t tmpfs bare-root "$1/over"
    mkdir "$1/over/upper" "$1/over/work"
    mount -t overlay -o "lowerdir=$cache/deb-root,upperdir=$1/over/upper,workdir=$1/over/work" bare-root "$1/root"
    mount -t proc proc "$1/root/proc"
    cp -- /etc/apt/apt.conf.d/* "$1/root/etc/apt/apt.conf.d/" 2>/dev/null || true
    cp -- /etc/resolv.conf "$1/root/etc/" 2>/dev/null || true
}

# Whatever of it is there goes; what somebody still has open, when that one ends.
close_root() {
    local mount
    for mount in root/proc root over; do umount "$1/$mount" 2>/dev/null || umount -l "$1/$mount" 2>/dev/null || true; done
}
