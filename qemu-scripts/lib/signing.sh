# shellcheck shell=bash
# The test certificate, and signing with it. Source it after env.sh and common.sh.
#
# The key is made once and stays in the cache folder, readable by its owner only: machines that trust the certificate go on trusting
# later packages. qemu-scripts/setup --remove leaves it.

signing=$RINGWAVE_CACHE/signing
signing_key=$signing/key.pem
signing_cert=$signing/certificate.pem

certificate_ready() {
    # Half a day at least: a package that expires before it is tried helps nobody.
    [ -s "$signing_key" ] && openssl x509 -in "$signing_cert" -noout -checkend 43200 >/dev/null 2>&1
}

# A key and a certificate for code signing that signs itself, for ten years.
make_certificate() {
    local work=$signing.tmp
    step "certificate: making the test certificate that signs this and later packages"
    rm -rf -- "$work"
    (umask 077 && mkdir -p -- "$work")
    (
        umask 077
        openssl req -x509 -newkey rsa:3072 -sha256 -nodes -days 3650 -subj "/CN=Ringwave test certificate" \
            -addext basicConstraints=critical,CA:FALSE -addext keyUsage=critical,digitalSignature \
            -addext extendedKeyUsage=codeSigning -keyout "$work/key.pem" -out "$work/certificate.pem" >>"$log" 2>&1
    ) || die_with_log "openssl could not make the test certificate"
    # What was there has expired, or is half of a pair.
    if [ -e "$signing" ]; then mv -T -- "$signing" "$signing.old-$(date +%s)"; fi
    mv -T -- "$work" "$signing"
}

# Signs a driver image or a catalog. $1 unsigned $2 signed, $3... more of osslsigncode's options
sign() {
    local from=$1 to=$2
    shift 2
    rm -f -- "$to"
    logged osslsigncode sign -h sha256 -n "Ringwave driver" "$@" -certs "$signing_cert" -key "$signing_key" -in "$from" -out "$to" ||
        die_with_log "osslsigncode could not sign $from"
}

# Does the signature of a catalog hold, and is the file one of its members? $1 catalog $2 file
signature_holds() {
    osslsigncode verify -catalog "$1" -CAfile "$signing_cert" -TSA-CAfile "$signing_cert" -in "$2" >>"$log" 2>&1
}
