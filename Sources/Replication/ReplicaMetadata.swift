import HostModel

/// How much room DRBD's metadata needs beside the data.
public enum ReplicaMetadata {
    /// The size of external ("flexible") metadata for a device of `size`.
    ///
    /// DRBD user's guide, "Estimating metadata size": `ceil(sectors / 2^18) * 8 * peers + 72` sectors of 512 bytes - a
    /// bitmap of one bit for 4 KiB and peer, in whole pages, the superblock and 32 KiB of activity log. `drbdmeta`
    /// refuses less than 1 MiB of external metadata. A volume manager may round the result up, never down: DRBD would
    /// take too small a metadata device as the reason to make the disk smaller.
    /// - Parameter peers: how many peers the metadata has room for; DRBD 8.4 knows one.
    public static func size(for size: ByteCount, peers: Int64 = 1) -> ByteCount {
        let sectors = (size.bytes + 511) / 512
        let bitmaps = (sectors + (1 << 18) - 1) >> 18
        return max(.sectors(bitmaps * 8 * peers + 72), .mebibytes(1))
    }
}

/// The number that xenlvs writes into a replica's metadata (`device-uuid`, which DRBD keeps and does not use), so that
/// it knows its own metadata from somebody else's. Recorded with the migration before the metadata are made.
public struct OwnershipMark: Sendable, Codable, Equatable {
    public let value: UInt64

    public init(value: UInt64) { self.value = value }

    public static func random() -> OwnershipMark { OwnershipMark(value: UInt64.random(in: 1...UInt64.max)) }

    /// Reads the answer to `DRBDCommands.ownershipMark`; nil where the device has no metadata or nobody has marked it.
    public init?(readDeviceUUID output: String) {
        guard let value = hexadecimal(output.prefix { !$0.isNewline }), value != 0 else { return nil }
        self.value = value
    }

    /// 16 hexadecimal digits, as `drbdmeta write-dev-uuid` takes them.
    var argument: String {
        let digits = String(value, radix: 16, uppercase: true)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

/// Proof that the metadata on a device may be destroyed: xenlvs made them for it, or they have never been used.
public struct OwnedMetadata: Sendable, Equatable {
    public let device: ReplicaDevice

    /// - Parameters:
    ///   - found: the mark on the metadata; nil where there is none.
    ///   - expected: the mark that was recorded for this device.
    ///   - generation: the metadata's data generation; nil where there are none that this dialect can read.
    /// - Throws: `.refused` where the metadata are somebody else's, or cannot be read.
    public init(
        of device: ReplicaDevice, found: OwnershipMark?, expected: OwnershipMark, generation: DataGeneration?
    ) throws(Failure) {
        let isUnused = found == nil && generation?.isJustCreated == true
        guard found == expected || isUnused else {
            throw Failure(
                .refused, "will not overwrite the DRBD metadata on \(device.metadataPath)",
                why: "they belong to something other than this replica of \(device.volume)",
                remedy: "see whose they are; if nobody needs them, remove that metadata volume by hand")
        }
        self.device = device
    }
}

/// The identifiers by which DRBD tells which copy of the data is newer.
public struct DataGeneration: Sendable, Equatable {
    public let current: UInt64
    public let bitmap: UInt64
    public let history: [UInt64]
    /// The data were complete and current when DRBD last had the disk. (The flags Consistent and WasUpToDate.)
    public let wasUpToDate: Bool

    /// Reads the first line of `drbdsetup get-gi` or `drbdmeta get-gi`: four numbers of 16 hexadecimal digits (current,
    /// bitmap, two of history), then flags, all separated by colons. Nil where there are no metadata.
    public init?(_ output: String) {
        let line = output.prefix { !$0.isNewline }
        let fields = line.split(separator: ":", omittingEmptySubsequences: false)
        let numbers = fields.prefix(4).compactMap(hexadecimal)
        guard fields.count > 4, numbers.count == 4 else { return nil }
        current = numbers[0]
        bitmap = numbers[1]
        history = Array(numbers.dropFirst(2))
        wasUpToDate = fields.count > 5 && fields[4] == "1" && fields[5] == "1"
    }

    /// Whether the metadata were made by `create-md` and have never described any data (`UUID_JUST_CREATED`, drbd.h).
    public var isJustCreated: Bool { current == 4 && bitmap == 0 && history.allSatisfy { $0 == 0 } }
}

/// Proof that a device's metadata are new and no peer has been seen: the one case in which DRBD may be forced to take
/// the local data for good.
public struct FreshMetadata: Sendable, Equatable {
    public let device: ReplicaDevice

    /// - Parameters:
    ///   - generation: of the attached device, from the kernel (`DRBDCommands.dataGeneration`).
    ///   - status: of the same device.
    /// - Throws: `.refused`, with what speaks against it.
    public init(
        of device: ReplicaDevice, generation: DataGeneration?, status: ReplicaStatus?
    ) throws(Failure) {
        let objection: String? =
            if generation == nil {
                "DRBD does not tell which generation of data it holds"
            } else if generation?.isJustCreated != true {
                "its metadata already describe data"
            } else if status?.resource != device.resource || status?.volume?.minor != device.minor {
                "DRBD does not know the device \(device.path) by that name"
            } else if status?.volume?.disk != .inconsistent {
                "its disk is \(status?.volume?.disk.word ?? "unknown"), not freshly attached"
            } else if status?.connection.map({ $0.state == .standAlone }) == false {
                "it is connecting or connected"
            } else {
                nil
            }
        if let objection {
            throw Failure(
                .refused, "will not force \(device.resource) to be Primary", why: objection,
                remedy: "only a replica that has just been made over its volume may be forced")
        }
        self.device = device
    }
}

/// A number in hexadecimal digits, without a prefix.
func hexadecimal(_ digits: Substring) -> UInt64? {
    digits.allSatisfy(\.isHexDigit) ? UInt64(digits, radix: 16) : nil
}
