#!/bin/bash
# Builds, or finds in the cache, everything the lab boots. Prints the directory it is in:
#   root.img  the nodes' root file system (never written to: each node has an overlay over it)
#   xen, kernel, initrd   what QEMU loads
#   keys/     the key that logs in everywhere, the nodes' host keys, known_hosts
# The directory is named after a hash of everything the image is made from. It appears by a rename when it is complete,
# so one that exists is good. Set XENLVS_LAB_CACHE to keep it elsewhere than ~/.cache/xenlvs-lab.
set -euo pipefail
umask 022
trap 'echo "build.sh: failed in line $LINENO" >&2' ERR

here=$(cd "$(dirname "$0")" && pwd)
cache=${XENLVS_LAB_CACHE:-$HOME/.cache/xenlvs-lab}

fingerprint() {
    (cd "$here" && find . \( -type f -printf '%p %m\0' -o -type l -printf '%p -> %l\0' \) | LC_ALL=C sort -z &&
        find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) | sha256sum | cut -c1-16
}

target=$cache/$(fingerprint)
if [[ -d $target ]]; then
    touch "$target"
    echo "$target"
    exit 0
fi

if [[ $(id -u) != 0 ]]; then
    echo "build.sh: making the image needs root (mmdebstrap sets file owners and chroots)" >&2
    exit 1
fi
missing=()
while read -r package; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
done < <(grep -v '^#' "$here/packages")
if ((${#missing[@]})); then
    echo "build.sh: install these packages first: ${missing[*]}" >&2
    exit 1
fi

mkdir -p "$cache"
exec 9>"$cache/lock"
if ! flock --nonblock 9; then
    echo "build.sh: waiting for another build" >&2
    flock 9
fi
if [[ -d $target ]]; then
    echo "$target"
    exit 0
fi

# With the lock held nobody else builds: what lies here was left by a build that died.
rm -rf "$cache"/building.*
# Images of sources that nobody has used for a week would fill the disk (using one touches it).
find "$cache" -mindepth 1 -maxdepth 1 -type d -mtime +7 -exec rm -rf {} +
work=$(mktemp -d "$cache/building.XXXXXX")
trap 'rm -rf "$work"' EXIT
rootfs=$work/rootfs
image=$work/image
mkdir "$image"

started=$SECONDS
step() { echo "build.sh: $((SECONDS - started)) s: $*" >&2; }

step "root file system"
# The build's own stdout is the answer; what tools print is for people. Descriptor 9 is the lock: no daemon may keep it.
nice "$here/rootfs.sh" "$rootfs" >&2 9>&-

step "kernels and initramfs"
gunzip <"$rootfs/boot/xen-4.17-amd64.gz" >"$image/xen"
vmlinuz=$(echo "$rootfs"/boot/vmlinuz-*)
"$here/kernel.sh" "$vmlinuz" "$image/kernel"
"$here/initramfs.sh" "$rootfs" "$here/initrd" "$image/initrd" virtio_pci virtio_blk ext4
mkdir -p "$rootfs/lab/guest"
cp "$image/kernel" "$rootfs/lab/guest/vmlinuz"
cp -r "$here/guest" "$work/guest"
mkdir "$work/guest/bin"
# Guest and node need no library of their own for it.
clang -std=c17 -static -O2 -Wall -Wextra -Werror -o "$work/guest/bin/stamps" "$here/programs/stamps.c"
clang -std=c17 -static -O2 -Wall -Wextra -Werror -o "$work/guest/bin/load" "$here/programs/load.c"
# Xen's headers use a GNU extension.
clang -std=gnu17 -static -O2 -Wall -Wextra -Werror -o "$rootfs/lab/domains" "$here/programs/domains.c"
"$here/initramfs.sh" "$rootfs" "$work/guest" "$rootfs/lab/guest/initrd" ext4 xen-blkfront
cp "$work/guest/bin/stamps" "$rootfs/lab/stamps"
# dom0's kernel is loaded by QEMU; the copies in /boot would only fill the image.
rm -rf "${rootfs:?}"/boot/* "$rootfs"/vmlinuz* "$rootfs"/var/cache/apt/* "$rootfs"/var/lib/apt/lists/*

step "keys and configuration"
"$here/keys.sh" "$image/keys" "$rootfs"
tar -C "$here/node" --owner=0 --group=0 -c . | tar -C "$rootfs" --no-overwrite-dir -x

step "image"
truncate --size=3G "$image/root.img"
mke2fs -q -t ext4 -L labroot -m 0 -J size=16 -O ^metadata_csum -E lazy_itable_init=1 -d "$rootfs" "$image/root.img"

# The rename makes it visible: what it names must be on the disk before.
sync --file-system "$image"
mv --no-target-directory "$image" "$target"
step "done: $target"
echo "$target"
