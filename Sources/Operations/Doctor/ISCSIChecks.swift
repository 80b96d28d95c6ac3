import HostModel
import ISCSI
import Storage

/// What is to be said of the host's iSCSI initiator, where it has attachments: its daemons, its time-outs, and LVM.
struct ISCSIChecks: Sendable {
    let host: HostContext

    func findings() async throws -> [Finding] {
        let attachments = try host.iscsiAttachments()
        guard !attachments.isEmpty else { return [] }
        var findings = daemons(attachments) + timeouts(attachments)
        findings += try await lvm(attachments)
        return findings.isEmpty
            ? [finding(.fine, "open-iscsi, its time-outs and LVM's filter suit the iSCSI attachments")] : findings
    }

    private func finding(
        _ severity: Finding.Severity, _ what: String, why: String? = nil, remedy: String? = nil
    ) -> Finding { Finding(severity, host.name, what, why: why, remedy: remedy) }

    private func daemons(_ attachments: [ISCSIAttachment]) -> [Finding] {
        let running = Set(
            KernelFile.names(in: host.tree.processes).compactMap {
                KernelFile.word("\(host.tree.processes)/\($0)/comm")
            })
        var findings: [Finding] = []
        if !running.contains("iscsid") {
            findings.append(
                finding(
                    .blocking, "iscsid does not run", why: "a session that is lost does not come back without it",
                    remedy: "systemctl enable --now iscsid"))
        }
        if attachments.contains(where: \.isMultipath), !running.contains("multipathd") {
            findings.append(
                finding(
                    .blocking, "multipathd does not run",
                    why: "a path that is lost is not taken back into its map without it",
                    remedy: "systemctl enable --now multipathd"))
        }
        return findings
    }

    /// Those of the kernel's sessions: another program may have changed them.
    private func timeouts(_ attachments: [ISCSIAttachment]) -> [Finding] {
        let sessions = ISCSISession.all(in: host.tree)
        return attachments.flatMap { attachment in
            let wanted = (attachment.isMultipath ? SessionProfile.multipath : .singlePath).replacementSeconds
            return sessions.filter { session in attachment.paths.contains { session.takes($0, to: attachment.target) } }
                .compactMap { session -> Finding? in
                    let file = "\(host.tree.sysfs)/class/iscsi_session/session\(session.number)/recovery_tmo"
                    guard let found = KernelFile.word(file).flatMap({ Int($0) }), found != wanted else { return nil }
                    return finding(
                        .warning, "session \(session.number) of '\(attachment.name)' is given up after \(found) s",
                        why: "\(wanted) s suit a disk with \(attachment.paths.count) paths",
                        remedy: "see 'xenlvs detach \(attachment.name)' and attach it again, or multipath.conf")
                }
        }
    }

    private func lvm(_ attachments: [ISCSIAttachment]) async throws -> [Finding] {
        let filter = try LVMDeviceFilter(parsing: try await host.runner.run(LVMDeviceFilter.query()).output)
        for attachment in attachments {
            let disks = ISCSIDevice.disks(attachment, in: host.tree).map { "/dev/\($0.name)" }
            // LVM leaves the disks below a map alone by itself; the map is a device like any other.
            let names =
                attachment.isMultipath
                ? ["/dev/mapper/\(attachment.name)", "/dev/disk/by-id/dm-uuid-mpath-\(attachment.identity.wwid)"]
                : disks + [ISCSIDevice.path(attachment, in: DeviceTree())]
            guard try filter.accepts(anyOf: names) else { continue }
            return [
                finding(
                    .warning, "LVM looks into iSCSI disks of other hosts, such as that of '\(attachment.name)'",
                    why: "it would activate guests' volume groups, and hang while a target does not answer",
                    remedy: LVMDeviceFilter.remedyForISCSI)
            ]
        }
        return []
    }
}
