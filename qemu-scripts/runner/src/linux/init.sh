#!/bin/busybox sh
# The first process of the guest of qemu-scripts/linux: loads the card's driver as it is, does the steps of /steps, and says
# on the second serial line how each ended. What it recorded goes to the disk, behind each other.
export PATH=/usr/bin:/bin:/usr/sbin:/sbin
busybox mkdir -p /tmp /proc /sys /dev
busybox mount -t proc proc /proc
busybox mount -t sysfs sysfs /sys
busybox mount -t devtmpfs devtmpfs /dev
# bash's <(...) goes by it.
busybox ln -s /proc/self/fd /dev/fd
busybox --install -s /sbin 2>/dev/null

say() { echo "$*" >/dev/ttyS1; }

load() {
    for folder in /modules /modules-hda; do
        [ -e $folder/load-order ] || continue
        for module in $(cat $folder/load-order); do
            case " $* " in *" ${module%%.*} "*) ;; *) [ $# = 0 ] || continue ;; esac
            case $module in
            *.xz) busybox xzcat "$folder/$module" >/tmp/module.ko ;;
            *) busybox cp "$folder/$module" /tmp/module.ko ;;
            esac
            options=$(busybox sed -n "s/^${module%%.*} //p" /driver-options 2>/dev/null)
            # Several words.
            busybox insmod /tmp/module.ko $options || say "step load-${module%%.*} exit=1"
        done
    done
}

wait_for_card() {
    tries=0
    until [ -e /dev/snd/controlC0 ] && [ -e /dev/snd/pcmC0D0p ]; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] || return 1
        busybox sleep 0.1
    done
}

# Waits until a recorder has begun.
records() {
    tries=0
    until busybox grep -q RUNNING /proc/asound/card0/pcm0c/sub0/status; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] || return 1
        busybox sleep 0.1
    done
}

# Does one step: its name, then its command. What it says goes to the console.
step() {
    name=$1
    shift
    "$@"
    say "step $name exit=$?"
}

# A file that the host wants: its place on the disk is what was written before.
blocks=0
keep() {
    bytes=$(busybox stat -c %s "$2" 2>/dev/null || echo 0)
    busybox dd if="$2" of=/dev/vda bs=65536 seek=$blocks conv=notrunc 2>/dev/null
    say "file $1 offset=$((blocks * 65536)) bytes=$bytes"
    blocks=$((blocks + (bytes + 65535) / 65536))
}

say "kernel $(busybox uname -r)"
load
step card wait_for_card
. /steps
busybox sync
# As the kernel writes them: "PM: suspend debug: Waiting" is no BUG:.
busybox dmesg | busybox grep -E 'virtio_snd|snd_|hdaudio|[Ss]ound|BUG:|WARNING:|Oops' | while read -r line; do say "dmesg $line"; done
say end
busybox reboot -f
