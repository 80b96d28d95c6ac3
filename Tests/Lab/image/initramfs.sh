#!/bin/bash
# Makes a small busybox initramfs: initramfs.sh ROOTFS TREE OUTPUT MODULE...
# TREE holds its init. The modules, and what they depend on, come from the kernel in ROOTFS; /modules/order lists them.
set -euo pipefail

rootfs=$1 tree=$2 output=$3
shift 3

version=$(ls "$rootfs/lib/modules")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{bin,dev,proc,sys,root,modules}

cp "$rootfs/bin/busybox" "$work/bin/busybox"
while read -r applet; do
    [[ -e $work/bin/$applet ]] || ln -s busybox "$work/bin/$applet"
done < <("$work/bin/busybox" --list)
cp -r "$tree/." "$work/"

# The accelerated checksum modules are left out: an emulated CPU lacks what they need and insmod would complain.
for module in "$@"; do
    modprobe --dirname "$rootfs" --set-version "$version" --ignore-install --show-depends "$module"
done | awk '$1 == "insmod" && $2 !~ /-(intel|pclmul)\.ko$/ && !seen[$2]++ { print $2 }' >"$work/paths"
while read -r path; do
    name=$(basename "$path" .ko)
    cp "$path" "$work/modules/$name.ko"
    echo "$name"
done <"$work/paths" >"$work/modules/order"
rm "$work/paths"

# Not compressed: unpacking costs more under emulation than reading a few megabytes.
(cd "$work" && find . -print0 | LC_ALL=C sort -z | cpio --null --quiet --create --format=newc --owner=0:0) >"$output"
