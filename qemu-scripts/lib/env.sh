# shellcheck shell=bash
# Where set-up puts things, as environment variables. Source it; it changes nothing on disk and asks nobody anything.
#
#   RINGWAVE_CACHE      the one folder that holds all that qemu-scripts/setup makes
#   RINGWAVE_QEMU       a QEMU with the device vfio-user-pci
#   RINGWAVE_OVMF_CODE  OVMF's code volume (read only)
#   RINGWAVE_OVMF_VARS  OVMF's empty variable store: copy it for each run
#   RINGWAVE_OVMF_SECURE_CODE, RINGWAVE_OVMF_SECURE_VARS  OVMF with Secure Boot, Microsoft's keys enrolled: with setup --secure-boot
#   RINGWAVE_KERNEL     a Linux kernel and its modules, in a folder: there once qemu-scripts/bringup has run
#   RINGWAVE_LINUX_GUEST  a Linux kernel with sound, and a root with alsa-utils: there once qemu-scripts/linux has run
#   RINGWAVE_PIPEWIRE   PipeWire for that guest: with setup --pipewire
#   RINGWAVE_ACCEL      kvm or tcg

# A CI runner may start us without a login: no HOME, and rustup's programs not on the PATH.
: "${HOME:=$(getent passwd "$(id -u)" | cut -d: -f6)}"
export HOME
command -v cargo >/dev/null || PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH

RINGWAVE_CACHE=$(realpath -m -- "${RINGWAVE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ringwave}")
RINGWAVE_QEMU=$RINGWAVE_CACHE/bin/qemu-system-x86_64
RINGWAVE_OVMF_CODE=$RINGWAVE_CACHE/ovmf/OVMF_CODE.fd
RINGWAVE_OVMF_VARS=$RINGWAVE_CACHE/ovmf/OVMF_VARS.fd
RINGWAVE_OVMF_SECURE_CODE=$RINGWAVE_CACHE/ovmf/OVMF_CODE.secure.fd
RINGWAVE_OVMF_SECURE_VARS=$RINGWAVE_CACHE/ovmf/OVMF_VARS.secure.fd
RINGWAVE_KERNEL=$RINGWAVE_CACHE/kernel
RINGWAVE_LINUX_GUEST=$RINGWAVE_CACHE/linux-guest
RINGWAVE_PIPEWIRE=$RINGWAVE_CACHE/pipewire

# /dev/kvm alone proves nothing: some hosts have a paravirtual one that runs only modified kernels.
if [ -z "${RINGWAVE_ACCEL-}" ]; then
    RINGWAVE_ACCEL=tcg
    if [ -w /dev/kvm ] && grep -qwE '^flags.*(vmx|svm)' /proc/cpuinfo; then RINGWAVE_ACCEL=kvm; fi
fi
export PATH RINGWAVE_CACHE RINGWAVE_QEMU RINGWAVE_OVMF_CODE RINGWAVE_OVMF_VARS RINGWAVE_OVMF_SECURE_CODE RINGWAVE_OVMF_SECURE_VARS RINGWAVE_KERNEL RINGWAVE_LINUX_GUEST RINGWAVE_PIPEWIRE RINGWAVE_ACCEL
