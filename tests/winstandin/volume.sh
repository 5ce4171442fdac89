# shellcheck shell=bash
# What make-iso and make-image share: a FAT volume that starts the stand-in, and the partition table before it. Source it.
# Reads $program (the stand-in), $work (a folder) and $behaviour.

# Runs a program that talks too much; shows what it said when it fails.
quietly() {
    "$@" >"$work/said" 2>&1 || { cat "$work/said" >&2 && echo "${0##*/}: failed: $*" >&2 && exit 1; }
}

# A file with a FAT volume that starts the stand-in. $1 file $2 KiB of the volume $3 KiB before it $4 cd, disk or image
fat_volume() {
    local image=$1@@$(($3 * 1024))
    printf 'from=%s\nbehaviour=%s\n' "$4" "$behaviour" >"$work/STANDIN.CFG"
    truncate -s $((($2 + $3) * 1024)) "$1"
    quietly mformat -i "$image" -T $(($2 * 2)) -h 16 -s 63 ::
    quietly mmd -i "$image" ::EFI ::EFI/BOOT
    quietly mcopy -i "$image" "$program" ::EFI/BOOT/BOOTX64.EFI
    quietly mcopy -i "$image" "$work/STANDIN.CFG" ::STANDIN.CFG
}

# The partition table of a disk with one EFI system partition. $1 file $2 KiB before the partition $3 KiB of it
partition_table() {
    local entry
    # Not active; no cylinders, heads and sectors; type 0xEF; first sector, sectors.
    entry=$(printf '00 00 02 00 ef ff ff ff')$(le32 $(($2 * 2)))$(le32 $(($3 * 2)))
    # shellcheck disable=SC2059 # the bytes themselves
    printf "$(sed 's/ *\([0-9a-f][0-9a-f]\)/\\x\1/g' <<<"$entry")" | dd of="$1" bs=1 seek=446 conv=notrunc status=none
    printf '\x55\xaa' | dd of="$1" bs=1 seek=510 conv=notrunc status=none
}

# Four bytes, the lowest first.
le32() {
    printf ' %02x' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255))
}

# Big-endian numbers of 8, 4 and 2 bytes. $@ them
be64() { be 16 "$@"; }
be32() { be 8 "$@"; }
be16() { be 4 "$@"; }
be() {
    local digits=$1
    shift
    # shellcheck disable=SC2059 # the bytes themselves
    printf "$(printf "%0${digits}x" "$@" | sed 's/../\\x&/g')"
}

# A raw image as qcow2 (QEMU's docs/interop/qcow2.rst), version 3, clusters of 64 KiB: header, refcount table, refcount block, L1
# table, L2 table, and then every cluster in its order. At most 512 MiB, what one L2 table holds. $1 raw image $2 the other
qcow2() {
    local bytes clusters cluster=65536
    bytes=$(stat -c %s "$1")
    clusters=$(((bytes + cluster - 1) / cluster))
    [ "$clusters" -le 8192 ] || { echo "${0##*/}: more than 512 MiB" >&2 && return 1; }
    truncate -s $((5 * cluster)) "$2"
    # Version, no backing file, bits of a cluster; size; no encryption, L1 entries; places of the L1 and the refcount table; clusters of
    # that; no snapshots, no features; bits of a refcount (2^4), length of this header.
    { printf 'QFI\xfb' && be32 3 0 0 0 16 && be64 "$bytes" && be32 0 1 && be64 $((3 * cluster)) $cluster && be32 1 0 && be64 0 0 0 0 && be32 4 104; } |
        dd of="$2" conv=notrunc status=none
    be64 $((2 * cluster)) | dd of="$2" bs=$cluster seek=1 conv=notrunc status=none
    # shellcheck disable=SC2046 # a number each
    be16 $(yes 1 | head -n $((clusters + 5))) | dd of="$2" bs=$cluster seek=2 conv=notrunc status=none
    # Bit 63: the cluster has one owner.
    be64 $((1 << 63 | 4 * cluster)) | dd of="$2" bs=$cluster seek=3 conv=notrunc status=none
    # shellcheck disable=SC2046 # a number each
    be64 $(seq $((1 << 63 | 5 * cluster)) $cluster $((1 << 63 | (clusters + 4) * cluster))) | dd of="$2" bs=$cluster seek=4 conv=notrunc status=none
    dd if="$1" of="$2" bs=$cluster seek=5 conv=notrunc,sparse status=none
    truncate -s $(((clusters + 5) * cluster)) "$2"
}
