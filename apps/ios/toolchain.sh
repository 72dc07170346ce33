#!/bin/sh
# Swift 6.0.3 from Debian 13 (trixie) in a chroot of its own: `apps/ios/toolchain.sh FOLDER`. About 2 GB, two minutes.
# Prints one line and ends with 3 where the machine does not offer what it needs; the caller then skips.
set -eu

folder=${1:?usage: apps/ios/toolchain.sh FOLDER}
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
[ -e "$folder/.complete" ] && exit 0

lacks() {
    echo "$1"
    exit 3
}

[ "$(uname -s)" = Linux ] || lacks "no Linux: run \`swift test\` in apps/ios/EdgeSCSCore with the system's own Swift"
[ "$(id -u)" = 0 ] || lacks "a chroot needs root"
if ! command -v debootstrap >/dev/null && command -v apt-get >/dev/null; then
    { apt-get update && apt-get install -y --no-install-recommends debootstrap debian-archive-keyring; } >&2 || true
fi
command -v debootstrap >/dev/null || lacks "no debootstrap (apt-get install debootstrap)"
[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || lacks "no keys of Debian (apt-get install debian-archive-keyring)"

rm -rf "$folder"
mkdir -p "$folder"
log=$folder.log
debootstrap --variant=minbase --include=ca-certificates trixie "$folder" "$mirror" >"$log" 2>&1 ||
    lacks "debootstrap failed, see $log: $(tail -n 1 "$log")"
# Where the host reaches the mirror through a proxy, the chroot does too.
mkdir -p "$folder/etc/apt/apt.conf.d"
apt-config dump 2>/dev/null | grep -i '^Acquire::.*Proxy' >"$folder/etc/apt/apt.conf.d/90proxy" || true
[ ! -e /etc/resolv.conf ] || cp -L /etc/resolv.conf "$folder/etc/resolv.conf"
chroot "$folder" sh -c 'apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    swiftlang libc6-dev libstdc++-14-dev && apt-get clean' >>"$log" 2>&1 || lacks "swiftlang did not install, see $log: $(tail -n 1 "$log")"
touch "$folder/.complete"
