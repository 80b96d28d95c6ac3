import HostModel

/// Whether a session's headers or data carry checksums (RFC 7143, 13.1).
public enum Digest: String, Sendable, Codable, CaseIterable {
    /// As the initiator likes.
    case either
    /// A session without them is refused.
    case crc32c
    case none

    /// The values in the order of preference, as targets are told them.
    var words: String {
        switch self {
        case .either: "CRC32C,None"
        case .crc32c: "CRC32C"
        case .none: "None"
        }
    }

    init?(words: String) {
        guard let digest = Self.allCases.first(where: { $0.words == words }) else { return nil }
        self = digest
    }
}

/// An initiator that may use an export.
public struct AllowedInitiator: Sendable, Equatable, Codable {
    public var name: ISCSIName
    /// The CHAP file for this initiator, absolute; nil for the export's.
    public var chapFile: String?
    /// Its writes are refused.
    public var isReadOnly: Bool

    public init(_ name: ISCSIName, chapFile: String? = nil, isReadOnly: Bool = false) {
        self.name = name
        self.chapFile = chapFile
        self.isReadOnly = isReadOnly
    }
}

/// A volume that is served over iSCSI, as an operator asks for it: one target with one LUN.
///
/// Secrets are in it only by the names of their files.
public struct ISCSIExport: Sendable, Equatable, Codable {
    public var volume: VolumeName
    public var target: ISCSIName
    /// The LUN where one is asked for; else it is given out, and stays the same.
    public var lun: Int?
    public var portals: [Portal]
    public var initiators: [AllowedInitiator]
    /// The CHAP file for all initiators without one of their own, absolute.
    public var chapFile: String?
    public var headerDigest: Digest
    public var dataDigest: Digest
    /// The device is opened for reading alone.
    public var isReadOnly: Bool
    /// Initiators may give blocks back (UNMAP).
    public var isThin: Bool
    /// The domain whose disk it is: on this host it may use the volume itself while others see it.
    public var domain: DomainName?
    /// A cluster file system is in it, so that any number of domains may write to it: nil for no.
    public var hasClusterFileSystem: Bool?

    public init(
        volume: VolumeName, target: ISCSIName, lun: Int? = nil, portals: [Portal], initiators: [AllowedInitiator],
        chapFile: String? = nil, headerDigest: Digest = .either, dataDigest: Digest = .either,
        isReadOnly: Bool = false, isThin: Bool = false, domain: DomainName? = nil, hasClusterFileSystem: Bool? = nil
    ) {
        self.volume = volume
        self.target = target
        self.lun = lun
        self.portals = portals
        self.initiators = initiators
        self.chapFile = chapFile
        self.headerDigest = headerDigest
        self.dataDigest = dataDigest
        self.isReadOnly = isReadOnly
        self.isThin = isThin
        self.domain = domain
        self.hasClusterFileSystem = hasClusterFileSystem
    }

    /// The CHAP file that an initiator of the export is known by; nil where it need not prove anything.
    public func chapFile(of initiator: AllowedInitiator) -> String? { initiator.chapFile ?? chapFile }

    /// The same in the place of another export of its volume: whoever of this host may use that, may still.
    public func keepingUsers(of former: ISCSIExport) -> ISCSIExport {
        var export = self
        (export.domain, export.hasClusterFileSystem) = (former.domain, former.hasClusterFileSystem)
        return export
    }

    /// LUN 0 is left to the target: unmapped under a session, LIO answers reads of it with zeros and GOOD status. Above
    /// 255 another way of addressing would begin (SAM-5, 4.7.5).
    public static let luns = 1...255
    public static let portalLimit = 32
    public static let initiatorLimit = 248

    /// The name of a volume's target where none is given: `iqn.2026-11.invalid.xenlvs.nodea:web1`. `invalid` belongs to
    /// nobody (RFC 2606).
    ///
    /// What a volume's name can have and an iSCSI name cannot is written with a `:`, which no volume's name has: `Web_1+` is
    /// `:web:-1:.`. Two volumes so never have one name.
    /// - Throws: `.usage` where the host has characters that an iSCSI name cannot have, or the name would be too long.
    public static func standardTarget(of volume: VolumeName, on host: HostName) throws(Failure) -> ISCSIName {
        let name = volume.text.map { character -> String in
            switch character {
            case "_": ":-"
            case "+": ":."
            default: character.isUppercase ? ":" + character.lowercased() : String(character)
            }
        }
        do { return try ISCSIName("iqn.2026-11.invalid.xenlvs.\(host.text.lowercased()):\(name.joined())") } catch {
            throw Failure(
                .usage, "no name for the target of '\(volume)' can be made on the host \(host)", why: error.why,
                remedy: "give one: --target-name of 'xenlvs export iscsi', or 'target' in the file")
        }
    }
}

/// All that a host serves over iSCSI.
public struct ISCSIState: Sendable, Equatable, Codable {
    public var exports: [ISCSIExport]
    /// The CHAP file for discovery, absolute; nil where whoever reaches a portal may ask for the names of targets that it
    /// is allowed to use.
    public var discoveryCHAPFile: String?

    public init(exports: [ISCSIExport] = [], discoveryCHAPFile: String? = nil) {
        self.exports = exports
        self.discoveryCHAPFile = discoveryCHAPFile
    }
}
