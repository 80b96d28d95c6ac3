import AoE
import HostModel
import Hosts
import ISCSI
import Storage

extension LinkKeeper {
    /// An attachment's link as it stands.
    func facts(_ attachment: RecordedAttachment) throws -> LinkFacts {
        let name = attachment.name
        let state = try host.links.read(name)
        let plain = device(of: attachment)?.number
        var facts = LinkFacts(
            name: name, path: host.links.path(of: name), recorded: attachment.address,
            verdict: LinkVerdict(state, .volume, plain: plain))
        if case .link(let target, let end) = state {
            facts.target = target
            if case .device(let node, let number) = end { (facts.node, facts.device) = (node, number.description) }
        }
        switch facts.verdict {
        case .right, .onReplica, .migration, .rightlyAbsent: break
        case .missing: (facts.why, facts.remedy) = ("there is no link", "put it back with 'xenlvs link repair \(name)'")
        case .dangling:
            facts.why = "this host has no device of \(attachment.address)"
            facts.remedy = "bring it back with 'xenlvs link repair \(name)'"
        case .replacedByHand where leadsToAnotherDisk(facts, attachment):
            facts.why = "what \(facts.target ?? "it") leads to is not the recorded disk any more"
            facts.remedy = "take it away, or bring the recorded disk back, with 'xenlvs link repair \(name)'"
        case .replacedByHand, .notRecorded, .mustNotBe:
            facts.why = "it leads to \(facts.target ?? "something else"), recorded is \(attachment.address)"
            facts.remedy = "remove the link by hand once nothing uses it, then 'xenlvs link repair \(name)'"
        case .notALink: (facts.why, facts.remedy) = ("something is in its place", "move it away by hand")
        }
        return facts
    }

    /// Whether nobody has changed the link, and the kernel has learned that the disk behind it is another one.
    func leadsToAnotherDisk(_ facts: LinkFacts, _ attachment: RecordedAttachment) -> Bool {
        guard facts.verdict == .replacedByHand, let attachment = attachment.overISCSI else { return false }
        return facts.target == ISCSIDevice.path(attachment, in: host.tree)
    }

    /// What is wrong with the attachment that a volume is on; nil where all is well.
    func attachmentProblem(_ volume: Volume) -> String? {
        guard let name = volume.place.attachment else { return nil }
        guard let attachment = try? host.attachment(name) else { return "there is no attachment '\(name)'" }
        guard let size = try? device(of: attachment)?.size() else { return "the attachment '\(name)' has no device" }
        return size >= volume.size ? nil : "\(name) has \(size.bytes) bytes, recorded are \(volume.size.bytes)"
    }

    /// The device that an attachment has now, if it has one.
    func device(of attachment: RecordedAttachment) -> BlockDevice? {
        switch attachment {
        case .aoe(let attachment): device(of: attachment)
        case .iscsi(let attachment): ISCSIDevice.read(attachment, in: host.tree)
        }
    }

    private func device(of attachment: Attachment) -> BlockDevice? {
        guard let device = AoEInitiator(host: host).device(attachment.address)?.blockDevice(in: host.tree) else {
            return nil
        }
        guard let identity = attachment.cover else { return device }
        let cover = FlushCover.over(device, in: host.tree)
        return cover?.path == FlushCover.path(identity, in: host.tree) ? cover : nil
    }
}
