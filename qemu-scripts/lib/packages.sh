# shellcheck shell=bash
# What cargo and the tests need from the host itself: a C linker, clang, and certificates for cargo's downloads.
# These come from the host's own release, through apt, as root. Source it after common.sh.

packages_record=$RINGWAVE_CACHE/installed-packages # names of what set-up installed, for --remove to tell

# Is there a bundle that cargo finds?
has_certificates() {
    local bundle
    for bundle in "${CARGO_HTTP_CAINFO-}" "${SSL_CERT_FILE-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
        if [ -s "$bundle" ]; then return 0; fi
    done
    return 1
}

# The packages that are missing, in one line.
missing_packages() {
    local missing=()
    command -v cc >/dev/null || missing+=(gcc)
    # A compiler without the C library's start files cannot link.
    command -v cc >/dev/null && [ -e "$(cc -print-file-name=Scrt1.o)" ] || missing+=(libc6-dev)
    command -v clang >/dev/null || missing+=(clang)
    has_certificates || missing+=(ca-certificates)
    printf '%s' "${missing[*]}"
}

installed_packages() {
    # shellcheck disable=SC2016 # dpkg-query's own variables
    dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' | sed -n 's/^ii  *//p' | LC_ALL=C sort
}

apt_install() {
    logged as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 \
        --no-install-recommends install "$@"
}

packages_ready() {
    [ -z "$(missing_packages)" ]
}

make_packages() {
    need_packages missing_packages
}

# Installs what is missing. $1 the function that prints the names of what is, in one line, or nothing
need_packages() {
    local missing_of=$1 missing before after
    missing=$($missing_of)
    if [ -z "$missing" ]; then return 0; fi
    command -v apt-get >/dev/null || die "missing here: $missing (Debian's names); install them and try again"
    can_root || die "root is needed once: sudo apt-get install --no-install-recommends $missing"
    step "packages: installing $missing"
    before=$(installed_packages)
    # shellcheck disable=SC2086 # names, one word each
    if ! apt_install $missing; then
        # A bare machine has no package lists, an old one stale ones, and somebody's interrupted dpkg wants finishing.
        step "packages: fetching package lists first"
        logged as_root env DEBIAN_FRONTEND=noninteractive dpkg --configure -a || true
        logged as_root apt-get -q -o Acquire::Retries=3 update || true
        apt_install $missing || die_with_log "this failed, and it may say more by hand: apt-get update && apt-get install $missing"
    fi
    after=$(installed_packages)
    LC_ALL=C comm -13 <(printf '%s\n' "$before") <(printf '%s\n' "$after") >>"$packages_record"
    [ -z "$($missing_of)" ] || die_with_log "still missing after their installation: $($missing_of)"
}
