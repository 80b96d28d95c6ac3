#!/bin/bash
# Takes the bare ELF kernel out of a bzImage: kernel.sh VMLINUZ OUTPUT
# Debian compresses with xz, and Xen (for dom0) and libxl (for a guest) would unpack it at every boot: seconds under
# emulation. Both boot the ELF as well.
set -euo pipefail

vmlinuz=$1 output=$2
# The setup header says where the payload lies (boot protocol 2.08 and later).
field() { od -A n -t u"$2" -j "$1" -N "$2" "$vmlinuz" | tr -d ' '; }

sectors=$(field $((0x1f1)) 1)
offset=$(($(field $((0x248)) 4) + (sectors + 1) * 512))
length=$(field $((0x24c)) 4)
# The last four bytes of the payload are its unpacked size, appended by the kernel's build: not part of the xz stream.
dd if="$vmlinuz" bs=1M iflag=skip_bytes,count_bytes skip="$offset" count=$((length - 4)) status=none |
    xz --decompress --stdout --single-stream >"$output"
if [[ $(head -c 4 "$output" | od -A n -t x1) != " 7f 45 4c 46" ]]; then
    echo "kernel.sh: no ELF kernel in $vmlinuz" >&2
    exit 1
fi
