import HostModel
import Storage

extension MigrationSpec {
    /// Xen gives a guest at most so many disks that a device name fits; far more than anybody has.
    public static let mostVolumes = 128
    /// The most memory of a host that Xen supports is 16 TiB (SUPPORT.md).
    private static let mostMemory = ByteCount(1 << 44)

    /// Why no migration can be as this says, or nil. Names have been checked by their types.
    var objection: String? {
        if !Self.isUUID(uuid) { return "'\(uuid.prefix(100))' is not a UUID" }
        if memory.bytes == 0 || memory > Self.mostMemory { return "no guest has \(memory) of memory" }
        if bandwidth?.bytes == 0 { return "a bandwidth of zero is none" }
        if disks.isEmpty || disks.count > Self.mostVolumes { return "it has \(disks.count) disks" }
        switch plan.storage {
        case .replicas: if !sharedDisks.isEmpty { return "it copies disks that are shared" }
        case .shared: if !volumes.isEmpty { return "it shares disks that are copied" }
        }
        if let reason = disks.lazy.compactMap(\.objection).first { return reason }
        if let reason = volumes.lazy.compactMap(\.objection).first { return reason }
        if plan.usesSwitches, let file = volumes.first(where: \.isFile) {
            return "\(file.name) is a file, without a switch"
        }
        let distinct = [
            Set(volumes.map(\.sourceMinor)).count, Set(volumes.map(\.targetMinor)).count,
            Set(volumes.map(\.port)).count,
        ]
        let names = [Set(disks.map(\.name.text)).count, Set(disks.map(\.device)).count]
        return distinct.allSatisfy { $0 == volumes.count } && names.allSatisfy { $0 == disks.count }
            ? nil : "two of its volumes share a name or a number"
    }

    private static func isUUID(_ text: String) -> Bool {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        return parts.map(\.utf8.count) == [8, 4, 4, 4, 12]
            && parts.allSatisfy { $0.utf8.allSatisfy("0123456789abcdefABCDEF".utf8.contains) }
    }
}

extension DiskSpec {
    /// DRBD replicates at most 1 PiB (`DRBD_MAX_SECTORS_FLEX`, drbd_int.h).
    private static let largest = ByteCount(1 << 50)

    fileprivate var objection: String? {
        let letters = device.utf8.allSatisfy("abcdefghijklmnopqrstuvwxyz0123456789".utf8.contains)
        if device.isEmpty || device.utf8.count > 16 || !letters {
            return "'\(device.prefix(100))' is not a guest's disk"
        }
        return size.bytes == 0 || size.bytes % 512 != 0 || size > Self.largest
            ? "\(name) cannot have \(size.bytes) bytes" : nil
    }
}

extension VolumeSpec {
    fileprivate var isFile: Bool { [sourcePlace, targetPlace].contains { $0.logicalVolume == nil } }

    fileprivate var objection: String? {
        // 20 bits (`MINORBITS`, include/linux/kdev_t.h).
        if ![sourceMinor, targetMinor].allSatisfy((0..<1 << 20).contains) {
            return "\(name) has an impossible DRBD minor"
        }
        if !(1...65535).contains(port) { return "\(port) is not a TCP port" }
        return [sourcePlace, targetPlace].lazy.compactMap { $0.objection(for: name) }.first
    }
}

extension VolumePlace {
    /// A volume has the name of its LV, on every host: what is looked up under the one must not be another.
    fileprivate func objection(for volume: VolumeName) -> String? {
        switch self {
        case .logicalVolume(let group, let name):
            name == LogicalVolumeName(of: volume) ? nil : "\(group)/\(name) cannot be the volume \(volume)"
        case .file(let pool): FilePool.objection(toPath: pool).map { "the pool of \(volume) is wrong: \($0)" }
        case .attachment(let name): "\(volume) is on the attachment \(name), which every host can have"
        }
    }
}
