# shellcheck shell=bash
# The options that play and record share, checked before anything is set up: a slip of the pen should cost no minutes.
# The programs check them again, and all the others.

# Says what is wrong in one line and ends. $1 script, $2 what
wrong_option() {
    echo "$1: $2; see qemu-scripts/$1 --help" >&2
    exit 2
}

# $1 script, $2... its arguments
check_sound_options() {
    local script=$1
    shift
    while [ $# -gt 0 ]; do
        case $1 in
        --clock=* | --packets=* | --dma=* | --mode=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
        esac
        case $1 in
        --clock)
            [[ ${2-} =~ ^(lockstep|realtime|scaled:[0-9.]+)$ ]] || wrong_option "$script" "--clock ${2-}: write lockstep, realtime or scaled:X"
            ;;
        --packets) [[ ${2-} =~ ^[12]$ ]] || wrong_option "$script" "--packets ${2-}: the cyclic buffer has 1 or 2" ;;
        --dma)
            [[ ${2-} =~ ^(scatter-gather|contiguous)$ ]] || wrong_option "$script" "--dma ${2-}: write scatter-gather or contiguous"
            ;;
        --mode) [[ ${2-} =~ ^(packet|event|timer)$ ]] || wrong_option "$script" "--mode ${2-}: write packet, event or timer" ;;
        esac
        shift
    done
}
