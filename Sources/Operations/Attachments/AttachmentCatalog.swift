import AoE
import HostModel
import Hosts
import Storage

/// An attachment with everything that is known about it.
public struct AttachmentSummary: Sendable, Encodable {
    public var name: VolumeName
    /// `e1.0`.
    public var address: String
    /// As the kernel has the device.
    public var state: AttachmentState
    /// In bytes, as users of the device see it; nil where it is not up.
    public var size: ByteCount?
    /// What is recorded of the target.
    public var recorded: TargetIdentity
    /// How the target on the wire stands to that.
    public var target: TargetVerdict
    /// What the target says now; nil where it cannot be told.
    public var found: TargetIdentity?
    /// Where the kernel is to look for the target.
    public var interfaces: [InterfaceName]
    /// Where the kernel has heard the target.
    public var kernelInterfaces: [InterfaceName]
    /// Who answers for the target now.
    public var paths: [TargetPath]
    public var link: LinkFacts
    public var uses: [VolumeUse]
    /// What is wrong, and what to do; nil where all is well.
    public var why: String?
    public var remedy: String?
}

/// Lists attachments. Changes nothing.
public struct AttachmentCatalog: Sendable {
    private let host: HostContext
    private let initiator: AoEInitiator

    public init(host: HostContext) {
        self.host = host
        initiator = AoEInitiator(host: host)
    }

    /// Every attachment, by name. The wire is asked once, or twice where an answer was incomplete: three seconds at most.
    public func all() async throws -> [AttachmentSummary] {
        let attachments = try host.aoeAttachments()
        guard !attachments.isEmpty else { return [] }
        var answers = try await initiator.ask(for: attachments)
        if attachments.contains(where: { !TargetPaths($0.address, among: answers).isComplete }) {
            answers += try await initiator.ask(for: attachments)
        }
        let use = try await DeviceUse.look(host)
        var summaries: [AttachmentSummary] = []
        for attachment in attachments {
            let targets = TargetPaths(attachment.address, among: Self.completed(answers))
            summaries.append(try await summary(attachment, TargetOpinion(attachment, targets), use))
        }
        return summaries
    }

    /// The answers of several rounds, of each path the last one that is complete.
    static func completed(_ answers: [DiscoveredTarget]) -> [DiscoveredTarget] {
        var best: [DiscoveredTarget] = []
        for answer in answers {
            let index = best.firstIndex {
                $0.address == answer.address && $0.interface == answer.interface && $0.mac == answer.mac
            }
            guard let index else {
                best.append(answer)
                continue
            }
            if answer.identity != nil || best[index].identity == nil { best[index] = answer }
        }
        return best
    }

    private func summary(
        _ attachment: Attachment, _ opinion: TargetOpinion, _ use: DeviceUse
    ) async throws -> AttachmentSummary {
        let device = initiator.device(attachment.address)
        var uses: [VolumeUse] = []
        if let device { uses = try await use.uses(of: device) }
        let link = try LinkKeeper(host: host).facts(.aoe(attachment))
        let (why, remedy) = Self.trouble(attachment, device, opinion, link)
        return AttachmentSummary(
            name: attachment.name, address: attachment.address.description, state: device?.state ?? .absent,
            size: device.flatMap { $0.state == .up ? $0.size : nil }, recorded: attachment.identity,
            target: opinion.verdict, found: opinion.identity, interfaces: attachment.interfaces,
            kernelInterfaces: device?.interfaces ?? [], paths: opinion.paths, link: link, uses: uses, why: why,
            remedy: remedy)
    }

    /// The first thing that is wrong: the target, the device, the link.
    static func trouble(
        _ attachment: Attachment, _ device: KernelDevice?, _ opinion: TargetOpinion, _ link: LinkFacts
    ) -> (why: String?, remedy: String?) {
        let repair = "bring it back with 'xenlvs link repair \(attachment.name)'"
        if opinion.verdict != .asRecorded { return (opinion.why, opinion.remedy) }
        switch device?.state {
        case nil, .absent: return ("the kernel has no device \(attachment.address)", repair)
        case .down: return ("the kernel has given it up; every request fails", repair)
        case .closewait:
            return (
                "the kernel has given it up, and something still has it open",
                "end whoever has it open, then \(repair)"
            )
        case .up where device?.size != attachment.identity.size:
            return (
                "the kernel has \(device?.size.bytes ?? 0) bytes, the target \(attachment.identity.size.bytes)",
                "'xenlvs attachments --revalidate \(attachment.name)'"
            )
        case .up where link.verdict.isFine: return (nil, nil)
        case .up: return (link.why, link.remedy)
        }
    }
}
