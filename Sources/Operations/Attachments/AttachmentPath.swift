import AoE
import HostModel
import ISCSI

/// One way to an attached device, over whichever protocol.
public struct AttachmentPath: Sendable, Encodable, Equatable {
    /// The attachment's.
    public var name: VolumeName
    /// `aoe`, `iscsi`, or `scsi` for a map that an operator has made.
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

    /// Every path of a map that an operator has made; one line where it has none.
    static func all(of map: MapSummary) -> [AttachmentPath] {
        func row(_ path: String, _ disk: String?, _ isUp: Bool, _ why: String?) -> AttachmentPath {
            AttachmentPath(
                name: map.name, networkProtocol: "scsi", device: map.size == nil ? nil : map.device, path: path,
                disk: disk,
                isUp: isUp, why: why)
        }
        if map.paths.isEmpty { return [row("-", nil, false, map.why)] }
        return map.paths.map {
            row($0.group == 0 ? "-" : "group \($0.group)", $0.disk, $0.isUp, $0.isUp ? "active" : $0.why)
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
    /// Every path of every attachment, and of maps that an operator has made, as it stands. Changes nothing.
    public func paths() async throws -> [AttachmentPath] {
        let maps = try await MapManager(host: host).all().filter { !$0.isOfAttachment }
        return try await list().flatMap { AttachmentPath.all(of: $0) } + maps.flatMap { AttachmentPath.all(of: $0) }
    }
}
