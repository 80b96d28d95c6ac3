import AoE
import HostModel
import Hosts

/// A target of another host that is in use on this one, as the journal has it.
public struct Attachment: Sendable, Equatable, Codable {
    /// Its link below `/dev/xenlvs`.
    public var name: VolumeName
    public var address: AoEAddress
    /// Where the kernel is to look for it; at least one.
    public var interfaces: [InterfaceName]
    /// What it was when it was attached, or last revalidated: another device, or a smaller one, never gets the link.
    public var identity: TargetIdentity
    /// The host that has had it attached here by 'xenlvs share'; nil where an operator of this one has.
    public var sharer: HostName?
    /// Its link leads to a device that takes flushes (`FlushCover`), as the disk does on the host that shares it.
    public var takesFlushes: Bool?

    public init(name: VolumeName, address: AoEAddress, interfaces: [InterfaceName], identity: TargetIdentity) {
        self.name = name
        self.address = address
        self.interfaces = interfaces
        self.identity = identity
    }

    func record() throws -> AttachmentRecord {
        AttachmentRecord(name: name, address: address.description, body: try JSONText.encode(self))
    }
}

/// What a target says of itself in IDENTIFY DEVICE, as far as it must stay the same.
public struct TargetIdentity: Sendable, Codable, Equatable {
    public var size: ByteCount
    public var model: String
    public var serial: String

    public init(size: ByteCount, model: String, serial: String) {
        self.size = size
        self.model = model
        self.serial = serial
    }

    init(_ identity: DiscoveredTarget.Identity) {
        self.init(size: identity.size, model: identity.model, serial: identity.serial)
    }

    /// Whether the other is the same device, which may have another size.
    func isSameDevice(as other: TargetIdentity) -> Bool { model == other.model && serial == other.serial }

    /// `10 GiB, model 'xenlvs', serial 'ab12'`.
    var words: String { "\(size) (\(size.bytes) bytes), model '\(model)', serial '\(serial)'" }
}
