import HostModel
import Hosts
import ISCSI
import Storage

/// An iSCSI attachment with everything that is known about it.
public struct ISCSIAttachmentSummary: Sendable, Encodable {
    public var name: VolumeName
    /// The target's name.
    public var address: ISCSIName
    public var lun: Int
    /// `up`: every path; `degraded`: some; `down`: the device is there, and no path; `absent`: it is not there.
    public var state: ISCSIAttachmentState
    /// In bytes, as users of the device see it; nil where it is not there.
    public var size: ByteCount?
    /// What is recorded of the target.
    public var recorded: DiskIdentity
    /// How what the portals say now stands to that.
    public var target: TargetVerdict
    /// What they say; nil where it cannot be told.
    public var found: DiskIdentity?
    public var paths: [ISCSIPathSummary]
    public var link: LinkFacts
    public var uses: [VolumeUse]
    /// What is wrong, and what to do; nil where all is well.
    public var why: String?
    public var remedy: String?
}

public enum ISCSIAttachmentState: String, Sendable, Codable, CaseIterable { case up, degraded, down, absent }

/// One way to an attached disk.
public struct ISCSIPathSummary: Sendable, Encodable {
    public var portal: Portal
    public var interface: InterfaceName?
    /// The number of the session; nil where there is none.
    public var session: Int?
    /// The kernel's name of the disk: `sdb`.
    public var disk: String?
    /// How its map has it: `active ready` of multipathd, `active` of xenlvs; nil where there is none.
    public var map: String?
    /// There is a map, and the disk is none of its paths.
    public var isLeftOut: Bool
    /// Whether requests get through.
    public var isUp: Bool
    /// Why they do not.
    public var why: String?
}

/// Lists iSCSI attachments. Changes nothing.
public struct ISCSIAttachmentCatalog: Sendable {
    private let host: HostContext
    private let initiator: OpenISCSI

    public init(host: HostContext) {
        self.host = host
        initiator = OpenISCSI(host: host)
    }

    /// Every attachment, by name. All portals are asked at the same time.
    public func all() async throws -> [ISCSIAttachmentSummary] {
        let attachments = try host.iscsiAttachments()
        guard !attachments.isEmpty else { return [] }
        guard let name = try initiator.presentName() else {
            throw Failure(
                .inconsistent, "this host has iSCSI attachments, and no initiator name",
                why: "\(InitiatorNameFile.path) gives none",
                remedy: "put the former name back: targets know this host by it")
        }
        let opinions = await withTaskGroup(of: (VolumeName, ISCSIOpinion).self) { group in
            for attachment in attachments {
                group.addTask { (attachment.name, await ISCSIProbing(host: host).ask(attachment, as: name)) }
            }
            return await group.reduce(into: [VolumeName: ISCSIOpinion]()) { $0[$1.0] = $1.1 }
        }
        let use = try await DeviceUse.look(host)
        let maps = try await MultipathMaps(host: host).opinions(on: attachments)
        var summaries: [ISCSIAttachmentSummary] = []
        for attachment in attachments {
            guard let opinion = opinions[attachment.name] else { continue }
            summaries.append(try await summary(attachment, opinion, use, maps))
        }
        return summaries
    }

    private func summary(
        _ attachment: ISCSIAttachment, _ opinion: ISCSIOpinion, _ use: DeviceUse,
        _ maps: [String: MultipathMaps.PathOpinion]
    ) async throws -> ISCSIAttachmentSummary {
        let device = ISCSIDevice.read(attachment, in: host.tree)
        let map = attachment.isMultipath ? device.map { MultipathMaps.disks(below: $0, in: host.tree) } : nil
        let paths = attachment.paths.map { self.summary($0, of: attachment, opinion, maps, within: map) }
        let up = paths.count(where: \.isUp)
        let state: ISCSIAttachmentState =
            device == nil ? .absent : up == paths.count ? .up : up == 0 ? .down : .degraded
        let link = try LinkKeeper(host: host).facts(.iscsi(attachment))
        var row = ISCSIAttachmentSummary(
            name: attachment.name, address: attachment.target, lun: attachment.lun, state: state,
            size: try device?.size(), recorded: attachment.identity, target: opinion.verdict, found: opinion.identity,
            paths: paths, link: link, uses: try await use.uses(of: attachment))
        (row.why, row.remedy) = Self.trouble(row, opinion)
        return row
    }

    /// - Parameter members: the disks that its map is made of; nil where there is none.
    private func summary(
        _ path: ISCSIPath, of attachment: ISCSIAttachment, _ opinion: ISCSIOpinion,
        _ maps: [String: MultipathMaps.PathOpinion], within members: [String]?
    ) -> ISCSIPathSummary {
        let session = initiator.session(path, of: attachment)
        let disk = session?.disks.first { $0.lun == attachment.lun }
        let map = attachment.isMultipath ? disk.flatMap { maps[$0.name] } : nil
        let isLeftOut =
            disk.map { $0.wwid == attachment.identity.wwid && members?.contains($0.name) == false } ?? false
        let trouble = opinion.troubles[path].map { $0.why ?? $0.what }
        let why: String? =
            switch (session, disk) {
            case (nil, _): "there is no session" + (trouble.map { ": \($0)" } ?? "")
            case (let session?, _) where !session.isUp:
                "its session is \(session.state)" + (trouble.map { ": \($0)" } ?? "")
            case (_, nil): "its session has no disk with LUN \(attachment.lun)"
            case (_, let disk?) where disk.wwid != attachment.identity.wwid:
                "its disk \(disk.name) has WWID \(disk.wwid ?? "none"), recorded is \(attachment.identity.wwid)"
            case (_, let disk?) where !disk.isRunning: "its disk \(disk.name) is \(disk.state)"
            case (_, let disk?) where isLeftOut && disk.size != attachment.identity.size:
                "its disk \(disk.name) has \(disk.size.bytes) bytes, recorded are \(attachment.identity.size.bytes)"
            case (_, let disk?) where isLeftOut: "its disk \(disk.name) is not in the map"
            default: map?.why
            }
        return ISCSIPathSummary(
            portal: path.portal, interface: path.interface, session: session?.number, disk: disk?.name, map: map?.words,
            isLeftOut: isLeftOut, isUp: why == nil, why: why)
    }

    /// The first thing that is wrong: another disk, the device, the paths, the link.
    private static func trouble(
        _ summary: ISCSIAttachmentSummary, _ opinion: ISCSIOpinion
    ) -> (why: String?, remedy: String?) {
        let repair = "bring it back with 'xenlvs link repair \(summary.name)'"
        // What is not there takes its new size over when it is brought back.
        if opinion.verdict == .grown, summary.state == .absent { return (opinion.why, repair) }
        if ![.asRecorded, .silent].contains(opinion.verdict) { return (opinion.why, opinion.remedy) }
        let broken = summary.paths.first { !$0.isUp }
        let words = broken.map { "\($0.portal): \($0.why ?? "down")" }
        switch summary.state {
        case .absent: return (words ?? "its device is not there", opinion.remedy ?? repair)
        case .down, .degraded:
            let begin = summary.paths.contains { $0.session == nil || $0.isLeftOut } ? repair : nil
            return (
                words, opinion.remedy ?? begin ?? "open-iscsi tries by itself; see the network and the target's host"
            )
        case .up where opinion.verdict == .silent: return (opinion.why, opinion.remedy)
        case .up where summary.link.verdict.isFine: return (nil, nil)
        case .up: return (summary.link.why, summary.link.remedy)
        }
    }
}
