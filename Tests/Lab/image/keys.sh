#!/bin/bash
# Makes the lab's keys and puts them into the root file system: keys.sh DIRECTORY ROOTFS
# One key logs in everywhere: the machine's user to the nodes, and the nodes to each other. Host keys are fixed, so that
# nobody is ever asked. They are made here, for this cache only, and open nothing else.
set -euo pipefail
umask 077

keys=$1 rootfs=$2
mkdir -p "$keys" "$rootfs/root/.ssh" "$rootfs/etc/ssh/lab"

ssh-keygen -q -t ed25519 -N '' -C xenlvs-lab -f "$keys/id_ed25519"
rm -f "$rootfs"/etc/ssh/ssh_host_*
: >"$keys/known_hosts"
number=0
for node in nodea nodeb nodec; do
    number=$((number + 1))
    ssh-keygen -q -t ed25519 -N '' -C "$node" -f "$rootfs/etc/ssh/lab/$node"
    read -r type key _ <"$rootfs/etc/ssh/lab/$node.pub"
    echo "$node,$node-storage,10.77.0.$number,10.78.0.$number $type $key" >>"$keys/known_hosts"
done

cp "$keys/id_ed25519" "$keys/id_ed25519.pub" "$keys/known_hosts" "$rootfs/root/.ssh/"
cp "$keys/id_ed25519.pub" "$rootfs/root/.ssh/authorized_keys"
chmod 0644 "$keys/known_hosts" "$keys/id_ed25519.pub" "$rootfs/root/.ssh/known_hosts"
