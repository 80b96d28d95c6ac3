import HostModel

/// What one of the kernel's numbers means to an operator. Sources: `enum drbd_ret_code` and `enum drbd_state_rv` in
/// Linux's drbd.h; what provokes them was tried on 8.4.11.
struct DRBDMeaning {
    var code: Failure.Code = .failed
    /// Nil where DRBD's own words say it.
    var why: String?
    var remedy: String?

    init(_ number: Int) {
        if number < 0 { self.init(state: number) } else { self.init(request: number) }
    }

    private init(_ code: Failure.Code, _ why: String?, _ remedy: String?) {
        self.code = code
        self.why = why
        self.remedy = remedy
    }

    /// A state change that was refused.
    private init(state number: Int) {
        switch number {
        case -1:
            self.init(.refused, "the other copy is Primary", "make the other host's replica Secondary first")
        case -2:
            self.init(
                .refused, "there is no complete copy: this one is not UpToDate and no better one is connected",
                "connect the replicas and wait for the synchronisation to end")
        case -10:
            self.init(.refused, "the other host's DRBD refused", "look at the kernel log of the other host")
        case -11:
            self.init(.refused, "no disk is attached to the replica", "attach it first: xenlvs migration resume")
        case -12:
            self.init(
                .busy, "something holds the DRBD device open",
                "see 'lsof /dev/drbdN', 'xl block-list DOMAIN' and 'dmsetup ls --tree'; close it and repeat")
        case -13, -15:
            self.init(.refused, "the replica is not connected", "connect it and wait until it is Connected")
        case -18, -19:
            self.init(.busy, "DRBD is just changing its state", "repeat in a second")
        case -23:
            self.init(.failed, "the other host's DRBD did not answer in time", "check the connection, then repeat")
        case -25:
            self.init(.refused, "too few hosts are connected to go on", "connect the replicas")
        default: self.init(.failed, nil, "look at the kernel log: dmesg | grep drbd")
        }
    }

    /// A request that was refused.
    private init(request number: Int) {
        switch number {
        case 102, 103, 173:
            self.init(
                .busy, "another DRBD connection on this host uses this address and port",
                "see 'drbdsetup show'; change 'ports' in xenlvs.yaml, or end that connection")
        case 104, 114:
            self.init(
                .busy, "DRBD cannot have the data device for itself: something holds it, or it cannot be opened",
                "see 'lsblk' and 'dmsetup ls --tree' for who holds it")
        case 105, 115:
            self.init(
                .busy, "DRBD cannot have the metadata device for itself: something holds it, or it cannot be opened",
                "see 'lsblk' and '/proc/drbd' for who holds it")
        case 107, 108:
            self.init(.usage, "one of the devices is not a block device", nil)
        case 111:
            self.init(
                .refused, "the data device is smaller than the volume should be",
                "compare 'blockdev --getsize64' of the volume on both hosts")
        case 112:
            self.init(
                .refused, "the metadata device is too small for this volume",
                "remove the metadata volume; xenlvs makes it again in the right size")
        case 116:
            self.init(.usage, "data and metadata cannot be laid out like this on these devices", nil)
        case 118:
            self.init(.failed, "the metadata cannot be read or written", "look at the kernel log for disk errors")
        case 119:
            self.init(.refused, "there are no DRBD metadata on the metadata device", "create the metadata first")
        case 120, 121, 141, 142, 144, 145, 146, 147:
            self.init(
                .refused, "the kernel lacks the digest that the connection needs",
                "modprobe sha1_generic sha256_generic hmac")
        case 122, 140: self.init(.failed, "the kernel has not enough memory", "give domain 0 more memory")
        case 124:
            self.init(.refused, "a disk is attached to the replica already", "look at it: drbdsetup events2 --now")
        case 125: self.init(.refused, "the replica still has a connection", "disconnect it first")
        case 126: self.init(.usage, "DRBD does not accept one of the options", nil)
        case 127: self.init(.notFound, "there is no such DRBD minor", "make the resource and the minor first")
        case 139:
            self.init(.refused, "two Primaries need protocol C", "reconnect the replicas, which xenlvs does with C")
        case 150:
            self.init(
                .refused, "the disk does not hold the data that this replica lost last",
                "do not force it; look at the kernel log")
        case 158: self.init(.notFound, "there is no such DRBD resource", "make the resource first")
        case 159, 160: self.init(.refused, "the replica is still in use", "take it down first")
        case 161: self.init(.refused, "the minor or the volume exists already", "look at it: drbdsetup events2 --now")
        case 162: self.init(.notFound, nil, "compare with 'drbdsetup events2 --now'")
        case 164: self.init(.refused, "both copies are Primary", "make one of them Secondary first")
        case 165:
            self.init(
                .refused, "the metadata have to be brought up to date before they are attached",
                "drbdmeta MINOR v08 DEVICE flex-external apply-al")
        case 170: self.init(.refused, "DRBD would have to make the disk smaller", "compare the sizes on both hosts")
        default: self.init(.failed, nil, "look at the kernel log: dmesg | grep drbd")
        }
    }
}
