# shellcheck shell=bash
# The options that play and record share, checked before anything is set up: a slip of the pen should cost no minutes.
# The programs check them again, and all the others.

# Says what is wrong in one line and ends. $1 script, $2 what
wrong_option() {
    echo "$1: $2; see qemu-scripts/$1 --help" >&2
    exit 2
}

# Which card a script can do without, and what is for the others. $1 script, $2 card
check_card() {
    case $1:$2 in
    play:ringwave | play:virtio | record:ringwave | record:virtio | linux:virtio | linux:hda | bringup:ringwave) ;;
    linux:ringwave) wrong_option linux "--card ringwave: Linux has no driver for it; qemu-scripts/play plays through ringwave.sys" ;;
    bringup:virtio | bringup:hda) wrong_option bringup "--card $2: bring-up walks the registers of the Ringwave card; qemu-scripts/linux tests $2" ;;
    *:hda) wrong_option "$1" "--card hda: ringwave.sys does not drive it; qemu-scripts/linux plays and records with Linux's own driver" ;;
    linux:*) wrong_option linux "--card $2: write virtio or hda" ;;
    bringup:*) wrong_option bringup "--card $2: write ringwave" ;;
    *) wrong_option "$1" "--card $2: write ringwave or virtio" ;;
    esac
}

# $1 script, $2... its arguments
check_sound_options() {
    local script=$1
    shift
    while [ $# -gt 0 ]; do
        case $1 in
        --clock=* | --packets=* | --dma=* | --mode=* | --card=* | --firmware=* | --module-option=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
        esac
        case $1 in
        --clock)
            [[ ${2-} =~ ^(lockstep|realtime|scaled:[0-9.]+)$ ]] || wrong_option "$script" "--clock ${2-}: write lockstep, realtime or scaled:X"
            ;;
        --packets) [[ ${2-} =~ ^[12]$ ]] || wrong_option "$script" "--packets ${2-}: the cyclic buffer has 1 or 2" ;;
        --dma)
            [[ ${2-} =~ ^(scatter-gather|contiguous)$ ]] || wrong_option "$script" "--dma ${2-}: write scatter-gather or contiguous"
            ;;
        --firmware) [[ ${2-} =~ ^(seabios|ovmf)$ ]] || wrong_option "$script" "--firmware ${2-}: write seabios or ovmf" ;;
        --module-option) [[ ${2-} =~ ^[^=]+=.+$ ]] || wrong_option "$script" "--module-option ${2-}: write name=value, as single_cmd=1" ;;
        --card) check_card "$script" "${2-}" ;;
        --mode) [[ ${2-} =~ ^(packet|event|timer)$ ]] || wrong_option "$script" "--mode ${2-}: write packet, event or timer" ;;
        esac
        shift
    done
}
