import AoE
import HostModel
import ISCSI

/// One way to an attached device, over whichever protocol.
public struct AttachmentPath: Sendable, Encodable, Equatable {
    /// The attachment's.
    public var name: VolumeName
    /// `aoe` or `iscsi`.
    public var networkProtocol: String
    /// What the attachment's link leads to; nil where there is no link.
    public var device: String?
    /// Portal or interface.
    public var path: String
    /// The kernel's disk of this path, for iSCSI.
    public var disk: String?
    public var isUp: Bool
    /// Of a path that is up, how multipathd has it; of one that is down, why.
    public var why: String?

    private enum CodingKeys: String, CodingKey {
        case name, device, path, disk, isUp, why
        case networkProtocol = "protocol"
    }

    /// Every path of an attachment.
    static func all(of row: AttachmentRow) -> [AttachmentPath] {
        switch row {
        case .aoe(let row): aoe(row)
        case .iscsi(let row):
            row.paths.map { path in
                AttachmentPath(
                    name: row.name, networkProtocol: "iscsi", device: row.link.target,
                    path: ISCSIPath(portal: path.portal, interface: path.interface).words, disk: path.disk,
                    isUp: path.isUp, why: path.why ?? path.map)
            }
        }
    }

    /// By interfaces: the kernel sends by each on which it has heard the target.
    private static func aoe(_ row: AttachmentSummary) -> [AttachmentPath] {
        Set(row.interfaces + row.kernelInterfaces).sorted().map { interface in
            let isHeard = row.kernelInterfaces.contains(interface)
            let answers = row.paths.contains { $0.interface == interface.text }
            let why: String? =
                if row.state != .up {
                    "the kernel has the device as \(row.state.rawValue)"
                } else if !answers {
                    "nobody answers for \(row.address) there"
                } else {
                    isHeard ? nil : "the kernel has not heard the target there yet"
                }
            return AttachmentPath(
                name: row.name, networkProtocol: "aoe", device: row.link.target, path: interface.text, disk: nil,
                isUp: why == nil, why: why)
        }
    }
}

extension Attachments {
    /// Every path of every attachment, as it stands. Changes nothing.
    public func paths() async throws -> [AttachmentPath] { try await list().flatMap { AttachmentPath.all(of: $0) } }
}
