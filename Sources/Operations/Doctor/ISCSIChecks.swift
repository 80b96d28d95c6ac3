import HostModel
import ISCSI
import ISCSIHost
import Storage

/// What is to be said of the host's iSCSI initiator, where it has attachments: its daemons, its time-outs, and LVM; and of
/// LVM where it has exports.
struct ISCSIChecks: Sendable {
    let host: HostContext

    func findings() async throws -> [Finding] {
        let attachments = try host.iscsiAttachments()
        guard !attachments.isEmpty else { return [] }
        var findings = daemons(attachments) + timeouts(attachments)
        findings += try await lvmFindings()
        return findings.isEmpty
            ? [finding(.fine, "open-iscsi, its time-outs and LVM's filter suit the iSCSI attachments")] : findings
    }

    /// Of the volumes that are served.
    func exportFindings() async throws -> [Finding] {
        guard ISCSIExporter.hasRecord(host.paths), try await !host.iSCSIExporter.recorded().exports.isEmpty else {
            return []
        }
        let output = try await host.runner.run(LVMDeviceFilter.volumeScanQuery()).output
        guard try LVMDeviceFilter.scansVolumes(parsing: output) else {
            return [finding(.fine, "LVM does not look into the volumes that are exported over iSCSI")]
        }
        return [
            finding(
                .warning, "LVM looks into the volumes that are exported over iSCSI",
                why: "it would find the volume groups of guests in them, and activate what an initiator uses",
                remedy: "set scan_lvs = 0 in the section devices of /etc/lvm/lvm.conf, as it is by default")
        ]
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
        if attachments.contains(where: { $0.isMultipath && $0.ownMap == nil }), !running.contains("multipathd") {
            findings.append(
                finding(
                    .blocking, "multipathd does not run",
                    why: "a path that is lost is not taken back into its map without it",
                    remedy: "systemctl enable --now multipathd"))
        }
        if attachments.contains(where: { $0.ownMap != nil }), (try? MapKeeper(host: host).isWatched) == false {
            findings.append(
                finding(
                    .blocking, "nobody checks the paths of xenlvs's maps",
                    why: "one that is lost is not taken back, and requests do not wait for one",
                    remedy: MapKeeper.watchRemedy))
        }
        return findings
    }

    /// Those of the kernel's sessions: another program may have changed them.
    private func timeouts(_ attachments: [ISCSIAttachment]) -> [Finding] {
        let sessions = ISCSISession.all(in: host.tree)
        return attachments.flatMap { attachment in
            let fitting = Self.recoverySeconds(of: attachment)
            return sessions.filter { session in attachment.paths.contains { session.takes($0, to: attachment.target) } }
                .compactMap { session -> Finding? in
                    let file = "\(host.tree.sysfs)/class/iscsi_session/session\(session.number)/recovery_tmo"
                    guard let found = KernelFile.word(file).flatMap({ Int($0) }), !fitting.contains(found) else {
                        return nil
                    }
                    let bound = fitting.count > 1 ? "at most " : ""
                    return finding(
                        .warning, "session \(session.number) of '\(attachment.name)' is given up after \(found) s",
                        why: "\(bound)\(fitting.upperBound) s suit a disk with \(attachment.paths.count) paths",
                        remedy: "see 'xenlvs detach \(attachment.name)' and attach it again, or fast_io_fail_tmo in "
                            + "multipath.conf")
                }
        }
    }

    /// How long a lost session may be waited for.
    ///
    /// Of several paths each may be given up sooner than xenlvs has it, as where another file of multipathd's says so,
    /// or one that an earlier version wrote: the map has other paths, and where none is left requests wait in the map.
    /// The only path has to be waited for as long as it was told.
    private static func recoverySeconds(of attachment: ISCSIAttachment) -> ClosedRange<Int> {
        let (several, one) = (SessionProfile.multipath.replacementSeconds, SessionProfile.singlePath.replacementSeconds)
        return attachment.isMultipath ? 1...several : one...one
    }

    /// That LVM looks into attached disks; nothing where it does not.
    func lvmFindings() async throws -> [Finding] {
        let attachments = try host.iscsiAttachments()
        guard !attachments.isEmpty else { return [] }
        let reach = try await LVMReach.read(host)
        for attachment in attachments {
            let names = LVMReach.names(of: attachment, host)
            guard try reach.looks(into: names, wwid: attachment.identity.wwid) else { continue }
            let entry = reach.list?.entry(of: names, wwid: attachment.identity.wwid)
            return [
                finding(
                    .warning, "LVM looks into iSCSI disks of other hosts, such as that of '\(attachment.name)'",
                    why: "it would activate guests' volume groups, and hang while a target does not answer",
                    remedy: entry.map { "take it off LVM's list: lvm lvmdevices --deldev \($0.name)" }
                        ?? LVMDeviceFilter.remedyForISCSI)
            ]
        }
        return []
    }
}
