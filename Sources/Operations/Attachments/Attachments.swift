import HostModel
import Hosts
import ISCSI
import Storage

/// All that is attached on this host, over whichever protocol: listed, revalidated and given back by name.
public struct Attachments: Sendable {
    let host: HostContext

    public init(host: HostContext) { self.host = host }

    /// Every attachment, by name. Changes nothing. Both protocols' targets are asked at the same time.
    public func list() async throws -> [AttachmentRow] {
        async let iscsi = ISCSIAttachmentCatalog(host: host).all()
        let aoe = try await AttachmentCatalog(host: host).all()
        return (aoe.map(AttachmentRow.aoe) + (try await iscsi).map(AttachmentRow.iscsi)).sorted { $0.name < $1.name }
    }

    /// As `AttachmentManager.detach` and `ISCSIAttachmentManager.detach`.
    /// - Throws: also `.busy` where a volume is on it, or on its way to it.
    public func detach(_ name: VolumeName, force: Bool) async throws -> [String] {
        let attachment = try host.attachment(name)
        let volumes = try host.recordedVolumes().filter {
            $0.place.attachment == name || $0.switchGoal?.move?.place.attachment == name
        }
        if let volume = volumes.first {
            throw Failure(
                .busy, "cannot detach '\(name)'", why: "the volume '\(volume.name)' is on it",
                remedy: "put that elsewhere with 'xenlvs swap \(volume.name) --to vg:VG --copy', or remove it")
        }
        return switch attachment {
        case .aoe: try await AttachmentManager(host: host).detach(name, force: force)
        case .iscsi: try await ISCSIAttachmentManager(host: host).detach(name, force: force)
        }
    }

    /// Takes over the size of a target that has grown.
    public func revalidate(_ name: VolumeName, limit: Duration) async throws -> RevalidatedDisk {
        switch try host.attachment(name) {
        case .aoe: try await AttachmentManager(host: host).revalidate(name, limit: limit)
        case .iscsi: try await ISCSIAttachmentManager(host: host).revalidate(name, limit: limit)
        }
    }
}

/// An attachment after a look at its size.
public struct RevalidatedDisk: Sendable {
    public var size: ByteCount
    /// The size that was recorded before.
    public var former: ByteCount
    /// The domains that have it as a disk.
    public var domains: [String]
}

/// A row of the listing; its JSON is the attachment's own, with `protocol`.
public enum AttachmentRow: Sendable, Encodable {
    case aoe(AttachmentSummary)
    case iscsi(ISCSIAttachmentSummary)

    private enum CodingKeys: String, CodingKey { case networkProtocol = "protocol" }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        switch self {
        case .aoe(let summary):
            try container.encode("aoe", forKey: .networkProtocol)
            try summary.encode(to: encoder)
        case .iscsi(let summary):
            try container.encode("iscsi", forKey: .networkProtocol)
            try summary.encode(to: encoder)
        }
    }

    public var name: VolumeName {
        switch self {
        case .aoe(let summary): summary.name
        case .iscsi(let summary): summary.name
        }
    }

    public var address: String {
        switch self {
        case .aoe(let summary): summary.address
        case .iscsi(let summary): summary.address.text
        }
    }

    public var verdict: TargetVerdict {
        switch self {
        case .aoe(let summary): summary.target
        case .iscsi(let summary): summary.target
        }
    }

    public var why: String? {
        switch self {
        case .aoe(let summary): summary.why
        case .iscsi(let summary): summary.why
        }
    }

    public var remedy: String? {
        switch self {
        case .aoe(let summary): summary.remedy
        case .iscsi(let summary): summary.remedy
        }
    }
}
