import HostModel
import ISCSI
import ISCSIHost

/// Asks targets what they are, without the kernel.
struct ISCSIProbing: Sendable {
    let host: HostContext

    /// How long one portal may take.
    static let seconds = 10

    /// Each path's disk, all of them asked at the same time; the failure where there is none.
    func ask(
        _ paths: [ISCSIPath], of target: ISCSIName, as initiator: ISCSIName, chapFile: String?, lun: Int?
    ) async -> [Result<ProbedDisk, Failure>] {
        await withTaskGroup(of: (Int, Result<ProbedDisk, Failure>).self) { group in
            for (index, path) in paths.enumerated() {
                let request = ProbeRequest(
                    target: target, portal: path.portal, initiator: initiator, interface: path.interface,
                    chapFile: chapFile, seconds: Self.seconds)
                group.addTask { (index, await ask(request, lun)) }
            }
            return await group.reduce(into: []) { $0.append($1) }.sorted { $0.0 < $1.0 }.map(\.1)
        }
    }

    private func ask(_ request: ProbeRequest, _ lun: Int?) async -> Result<ProbedDisk, Failure> {
        let what = "cannot look at the target \(request.target) at \(request.portal)"
        do {
            // Its own limit comes first; this one is for a process that does not even get that far.
            let command = Command(
                .iscsiProbe, [try JSONText.encode(request)], .query, deadline: .seconds(request.seconds + 5))
            let text = try await host.runner.run(command).output
            let answer = try JSONText.decode(ProbeAnswer.self, from: text, what: "the answer of a probe")
            return .success(try answer.disk(request, lun: lun))
        } catch { return .failure(Failure(error, doing: what)) }
    }

    /// What every portal of an attachment says now.
    func ask(_ attachment: ISCSIAttachment, as initiator: ISCSIName) async -> ISCSIOpinion {
        let results = await ask(
            attachment.paths, of: attachment.target, as: initiator, chapFile: attachment.chapFile, lun: attachment.lun)
        return ISCSIOpinion(attachment, results)
    }

    /// Throws `.refused` where the portals of an attachment do not show the recorded disk, no smaller than it was. The kernel,
    /// which goes on using whatever its LUN is, cannot be asked: what it has of the disk is from before.
    func requireRecorded(_ attachment: ISCSIAttachment, doing what: String) async throws {
        let opinion = await ask(attachment, as: try OpenISCSI(host: host).initiatorName())
        guard ![.asRecorded, .grown].contains(opinion.verdict) else { return }
        throw Failure(
            .refused, what, why: "'\(attachment.name)': \(opinion.why ?? opinion.verdict.rawValue)",
            remedy: opinion.remedy ?? "see 'xenlvs attachments'")
    }
}

/// What the portals of an attachment say of its target, with the reason where it is not as recorded. Pure.
struct ISCSIOpinion: Sendable {
    var verdict: TargetVerdict
    /// What they say it is; nil where nobody answers, or they differ.
    var identity: DiskIdentity?
    var why: String?
    var remedy: String?
    /// Whether a portal leads to another disk than the recorded one.
    var leadsElsewhere = false
    /// Of each path, why it cannot be used; nil where it can.
    var troubles: [ISCSIPath: Failure]

    /// Whether the recorded disk answers by this path, no smaller than it was.
    func isUsable(_ path: ISCSIPath) -> Bool { [.asRecorded, .grown].contains(verdict) && troubles[path] == nil }

    init(_ attachment: ISCSIAttachment, _ results: [Result<ProbedDisk, Failure>]) {
        var troubles: [ISCSIPath: Failure] = [:]
        var found: [(path: ISCSIPath, disk: ProbedDisk)] = []
        for (path, result) in zip(attachment.paths, results) {
            switch result {
            case .success(let disk): found.append((path, disk))
            case .failure(let failure): troubles[path] = failure
            }
        }
        self.troubles = troubles
        guard let first = found.first else {
            let failures = attachment.paths.compactMap { troubles[$0] }
            let isRefused = failures.contains { $0.code != .unreachable && $0.code != .notFound }
            verdict = isRefused ? .unusable : .silent
            why = failures.first.map { $0.why ?? $0.what }
            remedy = failures.first?.remedy
            return
        }
        if let other = found.first(where: { $0.disk.identity != first.disk.identity }) {
            verdict = .unusable
            leadsElsewhere = true
            why =
                "its portals lead to different disks: \(first.path.words) has \(first.disk.identity.words), "
                + "\(other.path.words) has \(other.disk.identity.words)"
            remedy = "see on both what is exported, and as which LUN"
            return
        }
        let now = first.disk.identity
        identity = now
        let recorded = attachment.identity
        verdict = TargetVerdict(isSame: now.isSameDisk(as: recorded), now.size, recorded: recorded.size)
        guard verdict != .asRecorded else { return }
        leadsElsewhere = verdict == .another
        why = "the target has \(now.words), recorded is \(recorded.words)"
        remedy = verdict.remedy(
            attachment.name,
            another: "see on the target's host what it exports as LUN \(attachment.lun) of \(attachment.target)")
    }
}
