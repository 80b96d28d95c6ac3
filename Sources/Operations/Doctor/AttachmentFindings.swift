import HostModel
import ISCSI

/// What is to be said of what is attached on a host. Pure.
struct AttachmentFindings {
    let host: HostName

    func findings(_ attachments: [AttachmentRow]) -> [Finding] {
        let findings = attachments.flatMap { attachment in
            [whole(attachment)].compactMap(\.self) + paths(of: attachment)
        }
        return findings.isEmpty
            ? [Finding(.fine, host, "every attachment is up (\(attachments.count))")] : findings
    }

    private func whole(_ attachment: AttachmentRow) -> Finding? {
        if let remapped = RemappedDisk.finding(attachment, on: host) { return remapped }
        guard attachment.why != nil, !isWithoutPathsAlone(attachment) else { return nil }
        return Finding(
            attachment.verdict == .grown ? .warning : .blocking, host,
            "the attachment \(attachment.name) of \(attachment.address) is not as it has to be", why: attachment.why,
            remedy: attachment.remedy)
    }

    /// As long as one path is left its users notice nothing: that others are not there is told of these.
    private func isWithoutPathsAlone(_ attachment: AttachmentRow) -> Bool {
        guard case .iscsi(let row) = attachment else { return false }
        return row.state == .degraded && [.asRecorded, .silent].contains(row.target)
    }

    private func paths(of attachment: AttachmentRow) -> [Finding] {
        guard case .iscsi(let row) = attachment, row.state != .absent else { return [] }
        return row.paths.filter { $0.session == nil || !$0.isUp && row.state == .degraded }.map { path in
            let words = ISCSIPath(portal: path.portal, interface: path.interface).words
            return Finding(
                .warning, host,
                "the path \(words) of the attachment \(row.name) is \(path.session == nil ? "missing" : "down")",
                why: path.why, remedy: remedy(path, of: row.name))
        }
    }

    private func remedy(_ path: ISCSIPathSummary, of name: VolumeName) -> String {
        let repair = "'xenlvs link repair \(name)'"
        if path.session == nil {
            return "see the network to \(path.portal.address) and the target's service there, then \(repair); "
                + "where xenlvsd runs, it tries by itself once a minute"
        }
        return path.isLeftOut
            ? "take it in with \(repair)" : "open-iscsi tries by itself; see the network and the target's host"
    }
}
