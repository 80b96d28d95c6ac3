import CDevMapper
import Glibc
import HostModel
import Storage

/// One request of libdevmapper (libdevmapper.h), freed when it goes out of scope.
struct MapperTask: ~Copyable {
    private let task: OpaquePointer
    private let what: String

    private init(_ kind: Int, doing what: String) throws(Failure) {
        guard let task = dm_task_create(Int32(kind)) else { throw Failure.mapper(what, ENOMEM) }
        self.task = task
        self.what = what
    }

    deinit { dm_task_destroy(task) }

    private borrowing func run() throws(Failure) {
        errno = 0
        guard dm_task_run(task) != 0 else {
            // libdevmapper's own number is 0 where it did not get as far as the kernel.
            let number = dm_task_get_errno(task)
            throw Failure.mapper(what, number != 0 ? number : errno)
        }
    }

    /// Runs the task and waits until udev has made or removed the device's node. Nothing else on the host need look at what
    /// lies on the device: it is a guest's.
    /// - Parameter isLVMs: LVM's rules have to see the device, for its links below `/dev/VG`.
    private borrowing func runWithUdev(isLVMs: Bool = false) throws(Failure) {
        let flags =
            isLVMs
            ? 0
            : DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG | DM_UDEV_DISABLE_DISK_RULES_FLAG
                | DM_UDEV_DISABLE_OTHER_RULES_FLAG
        var cookie: UInt32 = 0
        guard dm_task_set_cookie(task, &cookie, UInt16(flags)) != 0 else { throw Failure.mapper(what, errno) }
        // The cookie's semaphore has to be given back in either case.
        defer { Self.waitForUdev(cookie) }
        try run()
    }

    /// What udev does not do in time libdevmapper does: it makes or removes the node below `/dev/mapper` itself.
    private static func waitForUdev(_ cookie: UInt32) {
        // None where there is no udev: libdevmapper never calls that one ready, and does not wait for it.
        guard cookie != 0 else {
            dm_udev_wait(cookie)
            return
        }
        var isReady: Int32 = 0
        let isInTime = UdevPatience.shared.wait { dm_udev_wait_immediate(cookie, &isReady) == 0 || isReady != 0 }
        if isInTime { return }
        dm_udev_complete(cookie)
        dm_udev_wait_immediate(cookie, &isReady)
    }

    static func find(name: String, readsTable: Bool = true) throws(Failure) -> MappedDevice? {
        let what = "cannot look at the device-mapper device \(name)"
        return try find(what, readsTable: readsTable) { dm_task_set_name($0, name) }
    }

    static func find(uuid: String) throws(Failure) -> MappedDevice? {
        let what = "cannot look for the device-mapper device \(uuid)"
        return try find(what) { dm_task_set_uuid($0, uuid) }
    }

    /// `DM_DEVICE_TABLE` answers all that `DM_DEVICE_INFO` does, and the live table.
    private static func find(
        _ what: String, readsTable: Bool = true, _ select: (OpaquePointer) -> Int32
    ) throws(Failure) -> MappedDevice? {
        let look = try MapperTask(DM_DEVICE_INFO, doing: what)
        guard select(look.task) != 0 else { throw Failure.mapper(what, EINVAL) }
        try look.run()
        var info = dm_info()
        guard dm_task_get_info(look.task, &info) != 0 else { throw Failure.mapper(what, EINVAL) }
        guard info.exists != 0, let name = dm_task_get_name(look.task) else { return nil }
        return MappedDevice(
            name: String(cString: name), uuid: dm_task_get_uuid(look.task).map { String(cString: $0) } ?? "",
            number: BlockDeviceNumber(major: info.major, minor: info.minor), isSuspended: info.suspended != 0,
            table: info.live_table == 0 || !readsTable ? nil : try table(of: String(cString: name)),
            hasInactiveTable: info.inactive_table != 0, openCount: Int(info.open_count))
    }

    /// The live table of a device that is there; nil where it has none yet.
    static func table(of name: String) throws(Failure) -> MappingTable? {
        let what = "cannot read the table of the device-mapper device \(name)"
        return MappingTable(try lines(DM_DEVICE_TABLE, name, doing: what))
    }

    /// What the first line of a device's live table tells of itself; nil where there is none.
    static func status(_ identity: MappedIdentity) throws(Failure) -> String? {
        let what = "cannot see how \(identity.path) is"
        guard case .other(_, let parameters)? = try lines(DM_DEVICE_STATUS, identity.name, doing: what).first?.kind
        else {
            return nil
        }
        return parameters
    }

    /// Says something to the device's first line.
    static func tell(_ identity: MappedIdentity, _ message: String) throws(Failure) {
        let what = "cannot tell \(identity.path) '\(message)'"
        let task = try MapperTask(DM_DEVICE_TARGET_MSG, doing: what)
        guard dm_task_set_name(task.task, identity.name) != 0, dm_task_set_sector(task.task, 0) != 0,
            dm_task_set_message(task.task, message) != 0
        else { throw Failure.mapper(what, EINVAL) }
        try task.run()
    }

    private static func lines(_ kind: Int, _ name: String, doing what: String) throws(Failure) -> [MappingTarget] {
        let ask = try MapperTask(kind, doing: what)
        guard dm_task_set_name(ask.task, name) != 0 else { throw Failure.mapper(what, EINVAL) }
        // Otherwise the kernel waits until what is under way has come to its end.
        if kind == DM_DEVICE_STATUS { dm_task_no_flush(ask.task) }
        try ask.run()
        var targets: [MappingTarget] = []
        var next: UnsafeMutableRawPointer?
        repeat {
            var start: UInt64 = 0
            var length: UInt64 = 0
            var type: UnsafeMutablePointer<CChar>?
            var parameters: UnsafeMutablePointer<CChar>?
            next = dm_get_next_target(ask.task, next, &start, &length, &type, &parameters)
            guard let type else { continue }
            targets.append(
                MappingTarget(
                    start: start, length: length, type: String(cString: type),
                    parameters: parameters.map { String(cString: $0) } ?? ""))
        } while next != nil
        return targets
    }

    /// The names of all mapped devices.
    static func names() throws(Failure) -> [String] {
        let what = "cannot list the device-mapper devices"
        let list = try MapperTask(DM_DEVICE_LIST, doing: what)
        try list.run()
        guard let first = dm_task_get_names(list.task) else { return [] }
        var entry = UnsafeRawPointer(first)
        var names: [String] = []
        // `struct dm_names` is a 64-bit device number, the distance to the next entry, and the name.
        while entry.loadUnaligned(as: UInt64.self) != 0 {
            names.append(String(cString: entry.advanced(by: 12).assumingMemoryBound(to: CChar.self)))
            let distance = entry.loadUnaligned(fromByteOffset: 8, as: UInt32.self)
            if distance == 0 { break }
            entry = entry.advanced(by: Int(distance))
        }
        return names
    }

    static func create(_ identity: MappedIdentity, doing what: String) throws(Failure) {
        let task = try MapperTask(DM_DEVICE_CREATE, doing: what)
        guard dm_task_set_name(task.task, identity.name) != 0, dm_task_set_uuid(task.task, identity.uuid) != 0,
            dm_task_set_add_node(task.task, DM_ADD_NODE_ON_RESUME) != 0
        else { throw Failure.mapper(what, EINVAL) }
        try task.run()
    }

    /// Puts a table into the inactive slot. The live one and whoever uses it notice nothing.
    static func load(_ identity: MappedIdentity, _ table: MappingTable, doing what: String) throws(Failure) {
        let task = try MapperTask(DM_DEVICE_RELOAD, doing: what)
        guard dm_task_set_name(task.task, identity.name) != 0 else { throw Failure.mapper(what, EINVAL) }
        for target in table.targets {
            guard dm_task_add_target(task.task, target.start, target.length, target.type, target.parameters) != 0 else {
                throw Failure.mapper(what, EINVAL)
            }
        }
        do throws(Failure) { try task.run() } catch {
            // What a refused load has left would be what the next resume brings in.
            try? clear(identity, doing: what)
            throw error
        }
    }

    /// Empties the inactive slot.
    static func clear(_ identity: MappedIdentity, doing what: String) throws(Failure) {
        let task = try MapperTask(DM_DEVICE_CLEAR, doing: what)
        guard dm_task_set_name(task.task, identity.name) != 0 else { throw Failure.mapper(what, EINVAL) }
        try task.run()
    }

    static func resume(_ identity: MappedIdentity, doing what: String) throws(Failure) {
        let task = try MapperTask(DM_DEVICE_RESUME, doing: what)
        guard dm_task_set_name(task.task, identity.name) != 0,
            dm_task_set_add_node(task.task, DM_ADD_NODE_ON_RESUME) != 0
        else { throw Failure.mapper(what, EINVAL) }
        try task.runWithUdev(isLVMs: identity.isLVMs)
    }

    /// Whoever has the device open notices nothing.
    static func rename(_ identity: MappedIdentity, to next: MappedIdentity, doing what: String) throws(Failure) {
        let task = try MapperTask(DM_DEVICE_RENAME, doing: what)
        guard dm_task_set_name(task.task, identity.name) != 0, dm_task_set_newname(task.task, next.name) != 0 else {
            throw Failure.mapper(what, EINVAL)
        }
        try task.runWithUdev(isLVMs: next.isLVMs)
    }

    static func remove(_ identity: MappedIdentity, doing what: String) throws(Failure) {
        let task = try MapperTask(DM_DEVICE_REMOVE, doing: what)
        guard dm_task_set_name(task.task, identity.name) != 0, dm_task_retry_remove(task.task) != 0 else {
            throw Failure.mapper(what, EINVAL)
        }
        try task.runWithUdev()
    }
}

extension Failure {
    /// What device-mapper's refusals mean, as tried on Linux 6.1.
    static func mapper(_ what: String, _ number: Int32) -> Failure {
        switch number {
        case EROFS:
            Failure(
                .refused, what,
                why: "the device that it would lead to cannot be written (Read-only file system): a DRBD device can be "
                    + "opened only while it is Primary",
                remedy: "see 'xenlvs replica status'")
        case EBUSY:
            Failure(
                .busy, what, why: "it, or the device that it would lead to, is in use",
                remedy: "see 'dmsetup ls --tree', 'lsblk' and 'xenlvs domain list'")
        case EINVAL:
            Failure(
                .refused, what,
                why: "the kernel does not take the table (Invalid argument), as where the device below is smaller",
                remedy: "see 'dmesg | tail' for what device-mapper says")
        case ENODEV, ENXIO:
            Failure(
                .failed, what, why: "the device below, or device-mapper itself, is not there",
                remedy: "see 'lsblk', and that 'modprobe dm_mod' works")
        default:
            Failure(
                .failed, what, why: number == 0 ? "libdevmapper does not say why" : String(cString: strerror(number)),
                remedy: "see 'dmesg | tail', and that 'dmsetup version' works")
        }
    }
}
