#!/bin/bash
# The original three-freeze procedure as an administrator would type it, with DRBD's default settings and no tool but the
# distribution's. Runs on the source as root; the other host is reached by ssh.
#
#   administrator.sh NAME PEER OWN-ADDRESS PEER-ADDRESS
#
# Expects a running domain NAME whose only disk is /dev/xenlvs/NAME -> /dev/vg0/NAME, and no such volume on PEER.
# Prints lines "KEY MILLISECONDS"; the last freeze holds the hand-over and the settling, as DRBD goes before the restore.
set -euo pipefail
name=$1 peer=$2 own=$3 theirs=$4
image=/var/tmp/$name.image
now() { date +%s%3N; }
on_peer() { ssh -o BatchMode=yes "$peer" "$@"; }
size=$(blockdev --getsize64 "/dev/vg0/$name")

modprobe drbd disable_sendpage=1 usermode_helper=/bin/true
on_peer modprobe drbd disable_sendpage=1 usermode_helper=/bin/true

# B: substitute the root device.
lvcreate -qq -y -L 4M -n "$name-md" vg0 > /dev/null
blkdiscard -z "/dev/vg0/$name-md"
begin=$(now)
xl save "$name" "$image" > /dev/null
drbdmeta 0 v08 "/dev/vg0/$name-md" flex-external create-md > /dev/null
drbdsetup new-resource "$name"
drbdsetup new-minor "$name" 0 0
drbdmeta 0 v08 "/dev/vg0/$name-md" flex-external apply-al
drbdsetup attach 0 "/dev/vg0/$name" "/dev/vg0/$name-md" flexible
drbdsetup primary 0 --force
ln -sfn /dev/drbd0 "/dev/xenlvs/$name"
xl restore "$image" > /dev/null
echo "freeze1 $(($(now) - begin))"

# C: synchronise.
on_peer "mkdir -p /dev/xenlvs; lvcreate -qq -y -L ${size}b -n $name vg0 > /dev/null; lvcreate -qq -y -L 4M -n $name-md vg0 > /dev/null
    blkdiscard -z /dev/vg0/$name-md
    drbdmeta 0 v08 /dev/vg0/$name-md flex-external create-md > /dev/null
    drbdsetup new-resource $name; drbdsetup new-minor $name 0 0
    drbdmeta 0 v08 /dev/vg0/$name-md flex-external apply-al
    drbdsetup attach 0 /dev/vg0/$name /dev/vg0/$name-md flexible
    drbdsetup connect $name ipv4:$theirs:7788 ipv4:$own:7788 --protocol=C
    ln -sfn /dev/vg0/$name /dev/xenlvs/$name"
begin=$(now)
drbdsetup connect "$name" "ipv4:$own:7788" "ipv4:$theirs:7788" --protocol=C
until drbdsetup events2 --now "$name" | grep -q 'replication:Established peer-disk:UpToDate'; do
    [ $(($(now) - begin)) -lt 600000 ] || { echo "the synchronisation does not end" >&2; exit 1; }
    sleep 0.5
done
echo "sync $(($(now) - begin))"

# D: migrate; DRBD is torn down on the target, the domain restored on the plain volume.
begin=$(now)
xl save "$name" "$image" > /dev/null
scp -q "$image" "$peer:$image"
drbdsetup secondary 0
on_peer "drbdsetup down $name && xl restore $image > /dev/null"
echo "freeze2 $(($(now) - begin))"

# E: clean up.
drbdsetup down "$name"
lvremove -qq -y "vg0/$name-md" "vg0/$name" > /dev/null
rm -f "$image" "/dev/xenlvs/$name"
on_peer "lvremove -qq -y vg0/$name-md > /dev/null; rm -f $image"
