# shellcheck shell=bash
# The last step of set-up: its parts work together. A UEFI program that this compiler links is booted by this OVMF in this QEMU,
# with the machine the tests use.

boot_stamp=$RINGWAVE_CACHE/proofs/boot

# What the proof was made with.
boot_parts() {
    printf '%s %s %s' "$RINGWAVE_ACCEL" "$(cat "$qemu_stamp" 2>/dev/null)" "$(target_stamp x86_64-unknown-uefi)"
}

boot_ready() {
    [ "$(cat "$boot_stamp" 2>/dev/null)" = "$(boot_parts)" ]
}

make_boot() {
    local work=$RINGWAVE_CACHE/boot.tmp cpu=max accel=tcg,thread=multi status=0
    step "proof: booting a UEFI program in QEMU ($RINGWAVE_ACCEL)"
    fresh_dir "$work/esp/EFI/BOOT"
    link_probe x86_64-unknown-uefi "$work/esp/EFI/BOOT/BOOTX64.EFI" || die_with_log "the UEFI program could not be linked"
    cp -- "$RINGWAVE_OVMF_VARS" "$work/vars.fd"
    cp -- "$RINGWAVE_OVMF_CODE" "$work/code.fd"
    if [ "$RINGWAVE_ACCEL" = kvm ]; then cpu=host accel=kvm; fi
    # Relative names: a comma or colon in the cache's path would mean something to -drive.
    logged env -C "$work" timeout --foreground -k 5 180 "$RINGWAVE_QEMU" -nodefaults -no-user-config -display none -no-reboot \
        -machine q35,memory-backend=m -object memory-backend-memfd,id=m,size=256M,share=on -accel "$accel" -cpu "$cpu" \
        -drive if=pflash,format=raw,readonly=on,file=code.fd -drive if=pflash,format=raw,file=vars.fd \
        -drive format=raw,file=fat:rw:esp -device isa-debug-exit,iobase=0x501,iosize=4 || status=$?
    [ "$status" = 43 ] || die_with_log "QEMU did not boot the UEFI program (exit status $status instead of 43)"
    rm -rf "$work"
    boot_parts >"$boot_stamp"
}
