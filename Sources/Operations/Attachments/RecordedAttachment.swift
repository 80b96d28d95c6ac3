import AoE
import HostModel
import Hosts
import ISCSI
import Storage

/// An attachment as the journal has it, over whichever protocol.
enum RecordedAttachment: Sendable, Equatable {
    case aoe(Attachment)
    case iscsi(ISCSIAttachment)

    var name: VolumeName {
        switch self {
        case .aoe(let attachment): attachment.name
        case .iscsi(let attachment): attachment.name
        }
    }

    /// The target's: `e1.0`, or its iSCSI name.
    var address: String {
        switch self {
        case .aoe(let attachment): attachment.address.description
        case .iscsi(let attachment): attachment.target.text
        }
    }

    var overAoE: Attachment? { if case .aoe(let attachment) = self { attachment } else { nil } }
    var overISCSI: ISCSIAttachment? { if case .iscsi(let attachment) = self { attachment } else { nil } }

    init(_ record: AttachmentRecord) throws {
        let what = "attachment \(record.name) in the journal"
        if (try? AoEAddress(record.address)) != nil {
            self = .aoe(try JSONText.decode(Attachment.self, from: record.body, what: what))
        } else {
            self = .iscsi(try JSONText.decode(ISCSIAttachment.self, from: record.body, what: what))
        }
    }
}

extension HostContext {
    /// Every attachment in the journal, by name.
    func attachments() throws -> [RecordedAttachment] {
        try database.attachments().map { try RecordedAttachment($0) }
    }

    func aoeAttachments() throws -> [Attachment] {
        try attachments().compactMap(\.overAoE)
    }

    func iscsiAttachments() throws -> [ISCSIAttachment] {
        try attachments().compactMap(\.overISCSI)
    }

    /// Throws `.notFound` where there is none of that name.
    func attachment(_ name: VolumeName) throws -> RecordedAttachment {
        guard let found = try attachments().first(where: { $0.name == name }) else {
            throw Failure(.notFound, "there is no attachment '\(name)'", remedy: "see 'xenlvs attachments'")
        }
        return found
    }

    func aoeAttachment(_ name: VolumeName) throws -> Attachment {
        guard let found = try attachment(name).overAoE else {
            throw Failure(.notFound, "there is no AoE attachment '\(name)'", remedy: "see 'xenlvs attachments'")
        }
        return found
    }

    func iscsiAttachment(_ name: VolumeName) throws -> ISCSIAttachment {
        guard let found = try attachment(name).overISCSI else {
            throw Failure(.notFound, "there is no iSCSI attachment '\(name)'", remedy: "see 'xenlvs attachments'")
        }
        return found
    }

    /// Throws `.refused` where the name or the target is taken.
    func checkIsFree(_ name: VolumeName, _ address: String) throws {
        let known = try attachments()
        if let other = known.first(where: { $0.name == name }) {
            throw Failure(
                .refused, "there is an attachment '\(name)' already", why: "it is the target \(other.address)",
                remedy: "see 'xenlvs attachments'")
        }
        if let other = known.first(where: { $0.address == address }) {
            throw Failure(
                .refused, "\(address) is attached already", why: "it is the attachment '\(other.name)'",
                remedy: "use \(links.path(of: other.name)), or 'xenlvs detach \(other.name)' first")
        }
        if try database.volume(name) != nil {
            throw Failure(.refused, "there is a volume '\(name)' already", remedy: "see 'xenlvs volume show \(name)'")
        }
        guard case .absent = try links.read(name) else {
            throw Failure(
                .refused, "there is something at \(links.path(of: name)) already",
                remedy: "move it away by hand, or choose another name")
        }
    }
}
