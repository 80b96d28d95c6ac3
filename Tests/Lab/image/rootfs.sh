#!/bin/bash
# Makes the node's root file system as a directory: rootfs.sh DIRECTORY
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$1

# The machine's own apt configuration says where Debian is; no mirror is written down here.
sources() {
    # shellcheck disable=SC2016  # apt fills in the names
    apt-get indextargets --format \
        'deb $(REPO_URI) $(RELEASE) $(COMPONENT)|$(ORIGIN)|$(CODENAME)' 'Created-By: Packages' |
        awk -F'|' '$2 == "Debian" && $3 ~ /^bookworm(-updates|-security)?$/ { print $1 }' | sort -u
}

list=$(sources)
if [[ -z $list ]]; then
    echo "rootfs.sh: apt on this machine knows no Debian bookworm source; run apt-get update first" >&2
    exit 1
fi

include=$(grep -v '^#' "$here/node-packages" | paste -sd,)

# INITRD=No keeps the kernel's postinst from making an initramfs: the lab has a far smaller one of its own.
# Manual pages, documentation and translations would only make the image bigger.
export INITRD=No DEBIAN_FRONTEND=noninteractive
mmdebstrap --quiet --variant=minbase --format=directory --include="$include" \
    --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Languages "none"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='force-unsafe-io' \
    bookworm "$root" - <<<"$list"
