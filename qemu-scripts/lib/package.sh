# shellcheck shell=bash
# The steps of qemu-scripts/package. Source it after common.sh, build.sh and signing.sh; needs $repo and $version.
#
# The same sources give the same bytes, wherever they lie: dates are the last commit's, paths are mapped away.

# What packaging needs from the host, beyond set-up.
missing_tools() {
    local missing=() program
    for program in git openssl osslsigncode xorriso; do
        command -v "$program" >/dev/null || missing+=("$program")
    done
    printf '%s' "${missing[*]}"
}

# The time that everything in the packages bears: the last commit's.
find_epoch() {
    [ -n "${SOURCE_DATE_EPOCH-}" ] || SOURCE_DATE_EPOCH=$(git -C "$repo" log -1 --format=%ct 2>/dev/null) ||
        die "no git history here to take the packages' date from; name it in SOURCE_DATE_EPOCH (seconds since 1970)"
    export SOURCE_DATE_EPOCH
    export TZ=UTC
}

build_tools() {
    build --release -p ringwave-inf -p ringwave-catalog --target-dir "${RINGWAVE_TOOLS_TARGET:-$target}"
    tools=${RINGWAVE_TOOLS_TARGET:-$target}/release
}

# The INF, then the catalog of the folder's image and INF. $1 folder
make_catalog() {
    local hwid hwids=()
    while IFS= read -r hwid; do hwids+=(--hwid "$hwid"); done < <("$tools/ringwave-inf" hardware-ids "$1/ringwave.inf")
    "$tools/ringwave-catalog" make --out "$1/ringwave.cat" "${hwids[@]}" --os 10_X64 "$1/ringwave.sys" "$1/ringwave.inf" >>"$log"
}

make_inf() {
    "$tools/ringwave-inf" make --inx "$repo/driver/ringwave.inx" --out "$1/ringwave.inf" --date "$(date -u -d "@$SOURCE_DATE_EPOCH" +%F)" >>"$log"
}

# Copies a text, with its @MARKS@ filled and in CR LF, as Windows' own tools want it. $1 from $2 to $3 the variant: signed or unsigned
copy_text() {
    local text key
    text=$(cat -- "$1")
    for key in VARIANT FILES INSTALL; do
        text=${text//@$key@/"$(sed -n "s/^$key=//p" "$repo/driver/package/$3.txt")"}
    done
    text=${text//@VERSION@/"$version"}
    text=${text//@HARDWARE_ID@/"${hardware_ids[0]}"}
    text=${text//@VIRTIO_HARDWARE_ID@/"${hardware_ids[1]}"}
    text=${text//@OLDEST_BUILD@/"$oldest_build"}
    printf '%s\n' "$text" | sed 's/\r*$/\r/' >"$2"
}

# Everything for people. $1 folder $2 the variant
add_texts() {
    local name hardware_ids oldest_build
    mapfile -t hardware_ids < <("$tools/ringwave-inf" hardware-ids "$1/ringwave.inf")
    [ "${#hardware_ids[@]}" = 2 ] || die "not two hardware ids in $1/ringwave.inf"
    oldest_build=$(sed -nE 's/^%Provider% = .*NTamd64\.10\.0\.\.\.([0-9]+).*/\1/p' "$1/ringwave.inf")
    [ -n "$oldest_build" ] || die "no oldest Windows in the manufacturer's line of $1/ringwave.inf"
    for name in install.cmd uninstall.cmd README.txt; do copy_text "$repo/driver/package/$name" "$1/$name" "$2"; done
    for name in LICENSE-APACHE LICENSE-MIT; do copy_text "$repo/$name" "$1/$name" "$2"; done
}

# Same bytes for the same files: order, owners, modes, dates and identity are fixed. $1 folder $2 ISO
make_iso() {
    find "$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    logged xorriso -as mkisofs -quiet -volid RINGWAVE -joliet -rational-rock -iso-level 3 -o "$2" "$1" ||
        die_with_log "xorriso could not write $2"
}

# The ISO holds the folder's files and nothing else. $1 folder $2 ISO $3 scratch folder
check_iso() {
    rm -rf -- "$3"
    logged xorriso -osirrox on -indev "$2" -extract / "$3" || die_with_log "xorriso does not read $2"
    logged chmod -R u+w "$3"
    diff -r -- "$1" "$3" || die "$2 does not hold the files of $1"
}

# The card's program, with no library beside it. $1 folder
build_static() {
    CARGO_ENCODED_RUSTFLAGS=$(placeless_flags -Ctarget-feature=+crt-static) build --release -p ringwave --bin ringwave \
        --target x86_64-unknown-linux-gnu --target-dir "$target/package-static"
    cp -- "$target/package-static/x86_64-unknown-linux-gnu/release/ringwave" "$1/"
    strip --strip-debug "$1/ringwave"
    ldd "$1/ringwave" 2>&1 | grep -q 'statically linked' || die "$1/ringwave is not static"
    "$1/ringwave" --version >>"$log"
}

# $1 folder $2 archive
make_tarball() {
    tar -C "${1%/*}" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX -c "${1##*/}" |
        gzip -9n >"$2"
}

# The names of all that this version is made of, in the folder of packages.
package_names() {
    local driver=ringwave-driver-$version
    printf '%s\n' "$driver" "$driver.iso" "$driver-unsigned" "$driver-unsigned.iso" "ringwave-$version-linux-x86_64.tar.gz" "ringwave_${version}_amd64.deb"
}

# The sums of every file of these that is there, and of nothing else. $1 folder $2 where the sums go
write_sums() {
    (
        cd -- "$1"
        package_names | while IFS= read -r name; do [ ! -e "$name" ] || find "$name" -type f -print0; done | sort -z | xargs -0r sha256sum --
    ) >"$2"
    [ -s "$2" ] || die "nothing to make sums of in $1"
    (cd -- "$1" && sha256sum --quiet --check -- "$2") >>"$log" 2>&1 || die_with_log "the sums in $2 are not those of the files in $1"
}

# Checks a driver package: image, INF, catalog; each by a program that says what is wrong. $1 folder
check_package() {
    "$tools/ringwave-catalog" check-pe --forbid "$repo" --forbid "$HOME" "$1/ringwave.sys" >>"$log" 2>&1 || die_with_log "$1/ringwave.sys breaks a rule"
    "$tools/ringwave-inf" check "$1/ringwave.inf" >>"$log" 2>&1 || die_with_log "$1/ringwave.inf breaks a rule"
    "$tools/ringwave-catalog" verify "$1/ringwave.cat" "$1/ringwave.sys" "$1/ringwave.inf" >>"$log" 2>&1 ||
        die_with_log "$1/ringwave.cat is not the catalog of its files"
}

# One changed byte in any member must be seen by our verifier and, in a signed image, by osslsigncode too, which hashes images only.
# $1 folder $2 scratch folder
check_tampering() {
    local name at size
    for name in ringwave.sys ringwave.inf; do
        fresh_dir "$2"
        cp -- "$1"/ringwave.{sys,inf,cat} "$2/"
        size=$(stat -c %s "$2/$name")
        at=$((size / 3))
        flip_byte "$2/$name" $at
        if "$tools/ringwave-catalog" verify "$2/ringwave.cat" "$2/ringwave.sys" "$2/ringwave.inf" >>"$log" 2>&1; then
            die "byte $at of $name was changed and the catalog still verifies"
        fi
        if [ -e "$1/ringwave-test.cer" ] && [ $name = ringwave.sys ]; then
            signature_holds "$1/ringwave.cat" "$1/$name" || die_with_log "osslsigncode does not accept $1/ringwave.cat for $name"
            if signature_holds "$1/ringwave.cat" "$2/$name"; then die "byte $at of $name was changed and osslsigncode accepts it"; fi
        fi
    done
}

# Changes one byte. $1 file $2 offset
flip_byte() {
    local old
    old=$(od -An -tu1 -j "$2" -N 1 -- "$1")
    # shellcheck disable=SC2059 # an octal escape, made here
    printf "\\$(printf %03o $((old ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
