import CDevMapper
import Glibc
import HostModel
import Storage

/// The one moment in which a device's table is exchanged.
///
/// A loaded table and a single request to the kernel: `DM_DEV_SUSPEND` without the suspend flag suspends, exchanges the
/// tables and resumes by itself (`do_resume`, drivers/md/dm-ioctl.c). So no moment of this process lies between suspend and
/// resume, and a kill cannot leave the device suspended: it is either changed or not. The exception is a table that is
/// refused only at the exchange, as one that is longer than the device below: the kernel then leaves the device suspended,
/// with its former table, and only a second request lets it go on. For that path everything is made beforehand: the
/// requests, the open control node, the memory, which is locked: this process must not wait for a device that waits for it.
/// From the first request to the last nothing is allocated, opened or logged.
struct TableSwitch: ~Copyable {
    private let identity: MappedIdentity
    private let what: String
    private let control: Int32
    /// What each call is given. The kernel writes its answer there, so each is used once.
    private let requests: UnsafeMutablePointer<dm_ioctl>

    private enum Slot { static let rehearsal = 0, exchange = 1, look = 2, clear = 3, resume = 4, count = 8 }

    /// Opens what will be needed. The table is loaded after this and before `perform`.
    init(_ identity: MappedIdentity, isFlushing: Bool, doing what: String) throws(Failure) {
        let path = "/dev/mapper/control"
        control = open(path, O_RDWR | O_CLOEXEC)
        guard control >= 0 else { throw Failure.mapper("cannot open \(path)", errno) }
        self.identity = identity
        self.what = what
        requests = .allocate(capacity: Slot.count)
        requests.initialize(repeating: dm_ioctl(), count: Slot.count)
        for index in 0..<Slot.count { Self.fill(&requests[index], identity.uuid) }
        // No file system on this host lies on the device, so there is none to bring to rest first.
        requests[Slot.exchange].flags =
            UInt32(bitPattern: DM_SKIP_LOCKFS_FLAG) | (isFlushing ? 0 : UInt32(bitPattern: DM_NOFLUSH_FLAG))
    }

    deinit {
        close(control)
        requests.deallocate()
    }

    private static func fill(_ request: inout dm_ioctl, _ uuid: String) {
        request.version = (UInt32(DM_VERSION_MAJOR), 0, 0)
        request.data_size = UInt32(MemoryLayout<dm_ioctl>.size)
        request.data_start = UInt32(MemoryLayout<dm_ioctl>.size)
        withUnsafeMutableBytes(of: &request.uuid) { $0.copyBytes(from: uuid.utf8.prefix($0.count - 1)) }
    }

    /// Exchanges the tables. Returns how long that took.
    /// - Throws: what kept it from being done; the device then has its former table and is not suspended, or `.needsRecovery`
    ///   is thrown.
    func perform(limit: Duration) throws(Failure) -> Duration {
        let alarm = try ThreadAlarm(doing: what)
        guard mlockall(MCL_CURRENT | MCL_FUTURE) == 0 else { throw Failure.mapper("cannot lock memory", errno) }
        defer { munlockall() }
        // Once before: what the calls need is in memory then, and the table is seen to be where it has to be.
        let rehearsed = xenlvs_dm_status_ioctl(control, requests + Slot.rehearsal)
        let flags = requests[Slot.rehearsal].flags
        guard rehearsed == 0, flags & Self.inactive != 0, flags & Self.suspended == 0 else {
            throw rehearsed == 0
                ? Failure(.inconsistent, what, why: "something else changes the device at the same time")
                : Failure.mapper(what, -rehearsed)
        }
        alarm.start(limit)
        let begin = ContinuousClock.now
        let exchanged = xenlvs_dm_suspend_ioctl(control, requests + Slot.exchange)
        let stall = ContinuousClock.now - begin
        alarm.stop()
        if exchanged == 0 { return stall }
        throw putBack(-exchanged, stall, limit)
    }

    /// The exchange was refused: the former table is put back at once, then the refusal is told.
    private func putBack(_ reason: Int32, _ stall: Duration, _ limit: Duration) -> Failure {
        let looked = xenlvs_dm_status_ioctl(control, requests + Slot.look)
        let flags = requests[Slot.look].flags
        // Some kernels keep a table that could not be exchanged; it must not come in with the resume.
        let cleared = flags & Self.inactive == 0 ? 0 : xenlvs_dm_clear_ioctl(control, requests + Slot.clear)
        var resumed: Int32 = 0
        if looked != 0 || flags & Self.suspended != 0 {
            for attempt in Slot.resume..<Slot.count {
                resumed = xenlvs_dm_suspend_ioctl(control, requests + attempt)
                if resumed == 0 { break }
            }
        }
        if resumed != 0 {
            return Failure(
                .needsRecovery, "\(identity.path) is suspended, and its guest's disk stands still",
                why: "its table could not be changed (\(String(cString: strerror(reason)))), nor could it be resumed "
                    + "(\(String(cString: strerror(-resumed))))",
                remedy: "run 'xenlvs recover', or 'dmsetup resume \(identity.name)'")
        }
        let wasSuspended = looked == 0 && flags & Self.suspended != 0
        if !wasSuspended, stall >= limit || reason == EINTR {
            return Failure(
                .busy, what, why: "requests that were under way have not ended within \(limit); nothing was changed",
                remedy: "see why the disk below is so slow ('iostat -x'), then repeat", causes: leftOver(cleared))
        }
        var failure = Failure.mapper(what, reason)
        failure.why = (failure.why ?? "") + "; the former table was put back at once"
        failure.causes = leftOver(cleared)
        return failure
    }

    private func leftOver(_ cleared: Int32) -> [Failure] {
        cleared == 0 ? [] : [Failure.mapper("cannot drop the table that was not used", -cleared)]
    }

    private static let inactive = UInt32(bitPattern: DM_INACTIVE_PRESENT_FLAG)
    private static let suspended = UInt32(bitPattern: DM_SUSPEND_FLAG)
}
