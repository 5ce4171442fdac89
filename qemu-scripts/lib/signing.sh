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

# A key and a certificate for code signing that signs itself, for ten years, and since two days before it was made: a guest east of Greenwich
# that reads its clock's local time as UTC would find a younger one not valid yet.
make_certificate() {
    local work=$signing.tmp since
    since=$(date -u -d '2 days ago' +%Y%m%d%H%M%SZ)
    step "certificate: making the test certificate that signs this and later packages"
    rm -rf -- "$work"
    (umask 077 && mkdir -p -- "$work")
    (
        umask 077
        cd "$work"
        # `req -x509` knows no first day before openssl 3.4; `ca` always has, and wants its books.
        cat >ca.conf <<CONF
[ca]
default_ca = own
[own]
database = index.txt
rand_serial = yes
new_certs_dir = .
default_md = sha256
policy = any
x509_extensions = code
[any]
commonName = supplied
[code]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = codeSigning
CONF
        : >index.txt
        openssl req -new -newkey rsa:3072 -sha256 -nodes -subj "/CN=Ringwave test certificate" -keyout key.pem -out request.pem >>"$log" 2>&1 &&
            openssl ca -batch -selfsign -config ca.conf -keyfile key.pem -in request.pem -startdate "$since" -days 3652 -notext \
                -out certificate.pem >>"$log" 2>&1 &&
            mkdir keep && mv key.pem certificate.pem keep/
    ) || die_with_log "openssl could not make the test certificate"
    # What was there has expired, or is half of a pair.
    if [ -e "$signing" ]; then mv -T -- "$signing" "$signing.old-$(date +%s)"; fi
    mv -T -- "$work/keep" "$signing"
    rm -rf -- "$work"
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
