import AoE
import BlockServer
import HostModel

/// What an operator has asked to be exported, as it travels to the daemon and as it is kept.
///
/// Decoding checks everything: a record that exists can be carried out, as far as its values go.
public struct ExportRecord: Sendable, Equatable, Codable {
    public var address: AoEAddress
    /// The file or device, absolute.
    public var path: String
    /// The volume that the path belongs to, where it was named as one.
    public var volume: VolumeName?
    public var interfaces: [String]
    public var isReadOnly: Bool
    /// Who is served; everybody where it is empty.
    public var allowed: [MACAddress]
    public var durability: Durability
    public var cache: CachePolicy
    public var queueDepth: Int

    /// What stays the same over restarts, where a device's number does not.
    public var serial: String {
        volume.map(DeviceSerial.text(ofVolume:)) ?? DeviceSerial.text(forSubject: path)
    }

    public static let interfaceLimit = 16
    public static let queueDepths = 2...1024

    /// Throws `.usage` with what is wrong.
    public init(
        address: AoEAddress, path: String, volume: VolumeName?, interfaces: [String], isReadOnly: Bool,
        allowed: [MACAddress], durability: Durability, cache: CachePolicy, queueDepth: Int
    ) throws(Failure) {
        guard path.hasPrefix("/"), path.utf8.count < 4096, !path.utf8.contains(0) else {
            throw Failure(.usage, "'\(path.prefix(100))' is not an absolute path")
        }
        guard !interfaces.isEmpty, interfaces.count <= Self.interfaceLimit,
            Set(interfaces).count == interfaces.count
        else {
            throw Failure(
                .usage, "cannot export \(path)", why: "\(interfaces.count) interfaces are given, or one twice",
                remedy: "give 1 to \(Self.interfaceLimit) different ones")
        }
        for name in interfaces { try Self.checkInterface(name) }
        try AoETargetConfiguration.check(allowed: allowed, doing: "cannot export \(path)")
        guard Self.queueDepths.contains(queueDepth) else {
            throw Failure(.usage, "\(queueDepth) is not a queue depth", remedy: "give a number from 2 to 1024")
        }
        self.address = address
        self.path = path
        self.volume = volume
        self.interfaces = interfaces
        self.isReadOnly = isReadOnly
        self.allowed = allowed
        self.durability = durability
        self.cache = cache
        self.queueDepth = queueDepth
    }

    /// As the kernel would have it (dev_valid_name, net/core/dev.c), and no longer than IFNAMSIZ.
    private static func checkInterface(_ name: String) throws(Failure) {
        let isName =
            (1...15).contains(name.utf8.count) && name != "." && name != ".."
            && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: ":") }
        if !isName { throw Failure(.usage, "'\(name.prefix(100))' is not the name of an interface") }
    }

    private enum CodingKeys: String, CodingKey {
        case address, path, volume, interfaces
        case isReadOnly = "readOnly"
        case allowed = "allow"
        case durability, cache, queueDepth
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        try self.init(
            address: try values.decode(AoEAddress.self, forKey: .address),
            path: try values.decode(String.self, forKey: .path),
            volume: try values.decodeIfPresent(String.self, forKey: .volume).map { try VolumeName($0) },
            interfaces: try values.decode([String].self, forKey: .interfaces),
            isReadOnly: try values.decode(Bool.self, forKey: .isReadOnly),
            allowed: try values.decode([String].self, forKey: .allowed).map { try MACAddress($0) },
            durability: try values.decode(Durability.self, forKey: .durability),
            cache: try values.decode(CachePolicy.self, forKey: .cache),
            queueDepth: try values.decode(Int.self, forKey: .queueDepth))
    }

    public func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encode(address, forKey: .address)
        try values.encode(path, forKey: .path)
        try values.encodeIfPresent(volume?.text, forKey: .volume)
        try values.encode(interfaces, forKey: .interfaces)
        try values.encode(isReadOnly, forKey: .isReadOnly)
        try values.encode(allowed.map(\.description), forKey: .allowed)
        try values.encode(durability, forKey: .durability)
        try values.encode(cache, forKey: .cache)
        try values.encode(queueDepth, forKey: .queueDepth)
    }
}
