import CLinux
import Glibc
import HostModel

/// A target that has answered on an interface.
public struct DiscoveredTarget: Sendable, Equatable {
    public var address: AoEAddress
    public var interface: String
    public var mac: MACAddress
    /// Requests that can wait there.
    public var bufferCount: Int
    /// The most sectors that it takes in one frame.
    public var maximumSectors: Int
    public var firmware: Int
    /// Any bytes.
    public var configuration: [UInt8]
    /// What it says of itself in IDENTIFY DEVICE; nil where it has not answered that.
    public var identity: Identity?

    public struct Identity: Sendable, Equatable {
        public var size: ByteCount
        public var model: String
        public var serial: String
        /// Whether it may answer a write before that is on stable storage.
        public var hasWriteCache: Bool

        public init(size: ByteCount, model: String, serial: String, hasWriteCache: Bool = false) {
            self.size = size
            self.model = model
            self.serial = serial
            self.hasWriteCache = hasWriteCache
        }
    }
}

/// Finds the targets that others serve, from user space. Targets of this host are not heard on its own interfaces.
public struct Discovery: Sendable {
    private static let questions = 2
    private static let patienceMilliseconds: Int64 = 500
    /// More answers than that on one interface are passed over.
    private static let limit = 65536

    private let interfaces: [NetworkInterface]
    /// The one target that is asked; nil for everybody.
    private let address: AoEAddress?

    /// - Parameters:
    ///   - names: where to ask; empty for every Ethernet interface that is up.
    ///   - address: the one target to ask; nil for everybody.
    /// Throws `.notFound` and `.refused` for an interface that is named and cannot be asked on.
    public init(on names: [String], asking address: AoEAddress? = nil) throws(Failure) {
        self.address = address
        if names.isEmpty {
            interfaces = Self.allPresent()
            return
        }
        var found: [NetworkInterface] = []
        for name in names {
            let interface = try NetworkInterface(named: name)
            guard interface.isUp else {
                throw Failure(
                    .refused, "cannot look for targets on \(name)", why: "the interface is down",
                    remedy: "ip link set \(name) up")
            }
            found.append(interface)
        }
        interfaces = found
    }

    /// The names of the Ethernet interfaces that are up.
    public static var presentInterfaces: [String] { allPresent().map(\.name) }

    private static func allPresent() -> [NetworkInterface] {
        allNames().compactMap { try? NetworkInterface(named: $0) }.filter(\.isUp)
    }

    private static func allNames() -> [String] {
        guard let list = if_nameindex() else { return [] }
        defer { if_freenameindex(list) }
        var names: [String] = []
        var entry = list
        while entry.pointee.if_index != 0 {
            if let name = entry.pointee.if_name { names.append(String(cString: name)) }
            entry += 1
        }
        return names
    }

    /// Asks, and returns who answers, by address and interface.
    public func run() throws(Failure) -> [DiscoveredTarget] {
        var targets: [DiscoveredTarget] = []
        for interface in interfaces { targets += try self.targets(on: interface) }
        return targets.sorted { ($0.address, $0.interface, $0.mac) < ($1.address, $1.interface, $1.mac) }
    }

    private func targets(on interface: NetworkInterface) throws(Failure) -> [DiscoveredTarget] {
        let socket = try PacketSocket(interface)
        // Linux's own initiator passes answers with this bit over.
        let tag = UInt32.random(in: 0x8000_0000 ... .max)
        var targets: [Place: DiscoveredTarget] = [:]
        for _ in 0..<Self.questions {
            _ = socket.send(DiscoveryFrame.query(address, from: interface.address, tag))
            socket.receive(forMilliseconds: Self.patienceMilliseconds) { bytes in
                guard let target = DiscoveryFrame.target(bytes, tag, on: interface.name),
                    address == nil || target.address == address, targets.count < Self.limit
                else { return }
                let place = Place(address: target.address, mac: target.mac)
                if targets[place] == nil { targets[place] = target }
            }
        }
        for place in targets.keys {
            _ = socket.send(DiscoveryFrame.identify(place.address, place.mac, from: interface.address, tag))
        }
        if !targets.isEmpty {
            socket.receive(forMilliseconds: Self.patienceMilliseconds) { bytes in
                guard let (address, mac, identity) = DiscoveryFrame.identity(bytes, tag) else { return }
                targets[Place(address: address, mac: mac)]?.identity = identity
            }
        }
        return Array(targets.values)
    }

    private struct Place: Hashable {
        var address: AoEAddress
        var mac: MACAddress
    }
}

/// The frames of discovery. What comes from the wire is hostile: every field is looked at only where it is there.
enum DiscoveryFrame {
    /// Who is there? Of all addresses or of one.
    static func query(_ address: AoEAddress? = nil, from source: MACAddress, _ tag: UInt32) -> [UInt8] {
        make(tag) { frame in
            frame.begin(
                to: .broadcast, from: source, shelf: address?.shelf ?? 0xffff, slot: address?.slot ?? 0xff,
                command: AoECommandCode.configuration.rawValue, flags: 0)
            frame.put(Wire.version << 4 | ConfigurationCommand.read.rawValue, at: 29)
        }
    }

    static func identify(_ address: AoEAddress, _ mac: MACAddress, from source: MACAddress, _ tag: UInt32) -> [UInt8] {
        make(tag) { frame in
            frame.begin(
                to: mac, from: source, shelf: address.shelf, slot: address.slot, command: AoECommandCode.ata.rawValue,
                flags: 0)
            frame.put(UInt8(1), at: ATARegisters.count)
            frame.put(ATACommand.identify.rawValue, at: ATARegisters.command)
            frame.put(UInt8(0xa0), at: ATARegisters.lba + 3)
        }
    }

    private static func make(_ tag: UInt32, _ fill: (FrameWriter) -> Void) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Wire.minimumLength)
        bytes.withUnsafeMutableBytes { buffer in
            let frame = FrameWriter(base: buffer.baseAddress.unsafelyUnwrapped)
            fill(frame)
            frame.put(tag, at: Wire.Offset.tag)
        }
        return bytes
    }

    /// The target that answers the query; nil for another frame.
    static func target(_ bytes: [UInt8], _ tag: UInt32, on interface: String) -> DiscoveredTarget? {
        answer(bytes, tag, .configuration, atLeast: Wire.configurationLength) { frame, address in
            let length = Int(frame.half(30))
            guard length <= Wire.configurationLimit, Wire.configurationLength + length <= frame.length else {
                return nil
            }
            return DiscoveredTarget(
                address: address, interface: interface, mac: frame.source, bufferCount: Int(frame.half(24)),
                // Targets that say nothing take two (AoEr11, 3.2).
                maximumSectors: frame.byte(28) == 0 ? 2 : Int(frame.byte(28)), firmware: Int(frame.half(26)),
                configuration: Array(bytes[Wire.configurationLength..<Wire.configurationLength + length]), identity: nil
            )
        }
    }

    /// What a target says of itself; nil for another frame and for an error.
    static func identity(
        _ bytes: [UInt8], _ tag: UInt32
    ) -> (AoEAddress, MACAddress, DiscoveredTarget.Identity)? {
        answer(bytes, tag, .ata, atLeast: Wire.ataLength + Wire.sectorSize) { frame, address in
            // Busy, fault, request and error (ATA8-ACS): with one of them there are no data.
            guard frame.byte(ATARegisters.command) & 0xa9 == 0 else { return nil }
            func word(_ number: Int) -> UInt64 {
                UInt64(bytes[Wire.ataLength + 2 * number]) | UInt64(bytes[Wire.ataLength + 2 * number + 1]) << 8
            }
            func text(_ words: Range<Int>) -> String {
                let characters = words.flatMap { [UInt8(word($0) >> 8), UInt8(word($0) & 0xff)] }
                return String(decoding: characters.map { (0x20...0x7e).contains($0) ? $0 : 0x3f }, as: UTF8.self)
                    .split(separator: " ").joined(separator: " ")
            }
            let long = (0..<4).reduce(UInt64(0)) { $0 | word(100 + $1) << (16 * UInt64($1)) }
            let sectors = (word(83) | word(86)) & 0x400 != 0 ? long : word(60) | word(61) << 16
            guard sectors < 1 << 48 else { return nil }
            return (
                address, frame.source,
                DiscoveredTarget.Identity(
                    size: ByteCount(Int64(sectors) * 512), model: text(27..<47), serial: text(10..<20),
                    hasWriteCache: word(85) & 0x20 != 0)
            )
        }
    }

    private static func answer<Value>(
        _ bytes: [UInt8], _ tag: UInt32, _ command: AoECommandCode, atLeast length: Int,
        _ read: (FrameView, AoEAddress) -> Value?
    ) -> Value? {
        bytes.withUnsafeBytes { buffer in
            guard buffer.count >= length, let base = buffer.baseAddress else { return nil }
            let frame = FrameView(base, length: buffer.count)
            let flags = frame.byte(Wire.Offset.versionAndFlags)
            guard frame.half(Wire.Offset.type) == Wire.etherType, flags & Wire.Flag.response != 0,
                flags & Wire.Flag.error == 0, frame.byte(Wire.Offset.command) == command.rawValue, frame.tag == tag,
                let address = try? AoEAddress(
                    shelf: Int(frame.half(Wire.Offset.shelf)), slot: Int(frame.byte(Wire.Offset.slot)))
            else { return nil }
            return read(frame, address)
        }
    }
}
