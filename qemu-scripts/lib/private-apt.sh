# shellcheck shell=bash
# A private apt: resolves, downloads and checks packages of another Debian release against an empty package database of
# its own, and unpacks them into a folder. No root, no chroot, no mount, and the host's packages stay as they are.
#
# Mirrors, keys and proxy are those of the host's own apt configuration.

papt=$RINGWAVE_CACHE/apt

# The roots of the host's package sources, in their order: one-line and deb822 sources alike, fetched yet or not.
host_mirrors() {
    apt-get update --print-uris 2>/dev/null | sed -nE "s,^'([^']*/)dists/.*/(In)?Release' .*,\1,p" | awk '!seen[$0]++'
}

# Makes every key apt may trust for the mirror available to the private apt: the Debian archive's, the host's trusted ones and
# those the host names beside that mirror (Signed-By).
trust_keys() {
    local mirror=$1 dir=$papt/etc/trusted.gpg.d key name n=0
    local sourcelist sourceparts trustedparts trusted
    eval "$(apt-config shell sourcelist Dir::Etc::sourcelist/f sourceparts Dir::Etc::sourceparts/d \
        trustedparts Dir::Etc::trustedparts/d trusted Dir::Etc::trusted/f)"
    fresh_dir "$dir"
    {
        ls /usr/share/keyrings/debian-archive-keyring.* "$trusted" "$trustedparts"/*.gpg "$trustedparts"/*.asc
        grep -lF -- "${mirror%/}" "$sourcelist" "$sourceparts"/*.list "$sourceparts"/*.sources |
            while read -r name; do grep -oiE 'signed-by *[:=] *[^] ]+' -- "$name" | grep -oE '/[^,]+' | tr ',' '\n'; done
    } 2>/dev/null | sort -u | while read -r key; do
        [ -r "$key" ] || continue
        # apt tells an armoured key from a binary one by the name's end.
        n=$((n + 1))
        if head -c 5 -- "$key" | grep -q -- '-----'; then ln -s -- "$key" "$dir/$n.asc"; else ln -s -- "$key" "$dir/$n.gpg"; fi
    done
}

# Writes the private configuration, for one mirror and some suites. The host's apt.conf (proxy, authentication) still counts:
# this comes on top of it.
configure_papt() {
    local mirror=$1 suite
    shift
    fresh_dir "$papt/etc"
    mkdir -p "$papt"/{state,lists/partial,cache/archives/partial}
    : >"$papt/status"
    trust_keys "$mirror"
    for suite; do printf 'deb %s %s main\n' "$mirror" "$suite"; done >"$papt/etc/sources.list"
    cat >"$papt/etc/apt.conf" <<CONF
Dir::State "$papt/state";
Dir::State::lists "$papt/lists";
Dir::State::status "$papt/status";
Dir::Cache "$papt/cache";
Dir::Cache::archives "archives/";
Dir::Log "$papt";
Dir::Etc::sourcelist "$papt/etc/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::trusted "/dev/null";
Dir::Etc::trustedparts "$papt/etc/trusted.gpg.d";
#clear APT::Architectures;
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Install-Recommends "false";
APT::Keep-Downloaded-Packages "true";
// As root apt would drop to a user who may not enter this folder.
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::Retries "3";
// The host's hooks and indexes for people at a desktop are not for us.
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Invoke;
#clear DPkg::Pre-Install-Pkgs;
#clear DPkg::Post-Invoke;
#clear Acquire::IndexTargets::deb::DEP-11;
#clear Acquire::IndexTargets::deb::CNF;
CONF
}

# Finds a host mirror that has the suites, and fetches their lists. Fails, with the reasons in the log, when none has.
open_papt() {
    local mirror
    command -v apt-get >/dev/null || die "no apt-get here to fetch packages with: see qemu-scripts/setup --help for what to install by hand"
    for mirror in $(host_mirrors); do
        case $mirror in cdrom:* | file:*) continue ;; esac
        configure_papt "$mirror" "$@"
        if logged apt-get -q -c "$papt/etc/apt.conf" update; then return 0; fi
    done
    return 1
}

# A folder that packages are unpacked into: as on an installed system, so that a package's ./lib and ./usr/lib meet.
make_root() {
    local link
    mkdir -p -- "$1/usr"/{bin,sbin,lib,lib64}
    for link in bin sbin lib lib64; do ln -s "usr/$link" "$1/$link"; done
}

# Downloads packages and all they depend on (preferring SUITE), and unpacks them below DIR. $1 SUITE $2 DIR $3... packages
unpack_packages() {
    local suite=$1 dir=$2 deb
    shift 2
    rm -f "$papt"/cache/archives/*.deb
    logged apt-get -q -y -c "$papt/etc/apt.conf" -t "$suite" --download-only install "$@" || return 1
    for deb in "$papt"/cache/archives/*.deb; do
        # What nobody runs or reads here is left out: it is a third of the space.
        dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$dir" --no-same-owner --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' \
            --exclude='./usr/share/locale/*' >>"$log" 2>&1 || return 1
    done
    rm -f "$papt"/cache/archives/*.deb
}
