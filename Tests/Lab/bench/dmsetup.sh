#!/bin/bash
# Leads a guest's disk to DRBD and back with three calls of dmsetup each, as an administrator would who has a dm-linear device
# between link and LV: no tool but the distribution's.
#
#   dmsetup.sh NAME there    DRBD over a second device on the same LV, Primary; then the table is exchanged
#   dmsetup.sh NAME back     the table is exchanged, and DRBD removed
#
# Expects the device xenlvs-switch-NAME over /dev/vg0/NAME. Prints "stood MILLISECONDS": from the suspension to the resumption.
set -euo pipefail
name=$1 switch=xenlvs-switch-$1
now() { date +%s%3N; }
sectors=$(blockdev --getsz "/dev/vg0/$name")

exchange() {
    local begin
    begin=$(now)
    dmsetup suspend --nolockfs "$switch"
    dmsetup load "$switch" --table "0 $sectors linear $1 0"
    dmsetup resume "$switch"
    echo "stood $(($(now) - begin))"
}

case $2 in
there)
    modprobe drbd disable_sendpage=1 usermode_helper=/bin/true
    lvcreate -qq -y -L 4M -n "$name-hand" vg0 >/dev/null
    blkdiscard -z "/dev/vg0/$name-hand"
    dmsetup create "$name-hand" --table "0 $sectors linear /dev/vg0/$name 0"
    drbdmeta 99 v08 "/dev/vg0/$name-hand" flex-external create-md >/dev/null
    drbdsetup new-resource "$name-hand"
    drbdsetup new-minor "$name-hand" 99 0
    drbdmeta 99 v08 "/dev/vg0/$name-hand" flex-external apply-al
    drbdsetup attach 99 "/dev/mapper/$name-hand" "/dev/vg0/$name-hand" flexible
    drbdsetup primary 99 --force
    exchange /dev/drbd99
    ;;
back)
    exchange "/dev/vg0/$name"
    drbdsetup down "$name-hand"
    dmsetup remove "$name-hand"
    lvremove -qq -y "vg0/$name-hand" >/dev/null
    ;;
esac
