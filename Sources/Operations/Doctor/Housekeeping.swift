import HostModel
import Hosts
import Migration
import Storage

/// What is to be said of a host's own volumes, links, attachments, replicas, images and migrations.
struct Housekeeping: Sendable {
    let host: HostContext

    /// Every part is looked at even where another cannot be.
    func findings() async -> [Finding] {
        var findings = [Finding(.fine, host.name, "the journal \(host.paths.database) can be read")]
        func attempt(_ what: String, _ body: () async throws -> [Finding]) async {
            do { findings += try await body() } catch {
                let failure = Failure(error, doing: what)
                findings.append(
                    Finding(.blocking, host.name, "\(what): \(failure.what)", why: failure.why, remedy: failure.remedy))
            }
        }
        await attempt("cannot look at the migrations") { try migrationFindings() }
        await attempt("cannot look at the volumes") { try await volumeFindings() }
        await attempt("cannot look at the links") { try await linkFindings() }
        await attempt("cannot look at the switches") { try await switchFindings() }
        await attempt("cannot look at the checkpoints") { try await checkpointFindings() }
        await attempt("cannot look at the attachments") { try await attachmentFindings() }
        await attempt("cannot look at the iSCSI initiator") { try await ISCSIChecks(host: host).findings() }
        await attempt("cannot look at the iSCSI exports") { try await ISCSIChecks(host: host).exportFindings() }
        await attempt("cannot look at the replicas") { try await replicaFindings() }
        await attempt("cannot look at the saved images") { try imageFindings() }
        return findings
    }

    private func finding(
        _ severity: Finding.Severity, _ what: String, why: String? = nil, remedy: String? = nil
    ) -> Finding { Finding(severity, host.name, what, why: why, remedy: remedy) }

    private func migrationFindings() throws -> [Finding] {
        let open = try OpenMigration.all(in: host.database)
        if open.isEmpty { return [finding(.fine, "no migration is open")] }
        return open.map { migration in
            let goOn = "go on with 'xenlvs migration resume \(migration.id)'"
            return finding(
                .warning, "migration \(migration.id) of \(migration.domain) is not finished",
                why: "this host is its \(migration.role.rawValue); it holds the domain's volumes and DRBD numbers",
                remedy: migration.isDecided
                    ? goOn : "\(goOn), or go back with 'xenlvs migration abort \(migration.id)'")
        }
    }

    private func volumeFindings() async throws -> [Finding] {
        let volumes = try await VolumeCatalog(host: host).all(asksLVM: true)
        var findings = volumes.flatMap { volume -> [Finding] in
            let show = "see 'xenlvs volume show \(volume.name)'"
            if let problem = volume.problem {
                return [
                    finding(
                        volume.state == VolumeState.active.word ? .blocking : .warning,
                        "the volume \(volume.name) is not what is recorded", why: problem, remedy: show)
                ]
            }
            return volume.snapshots.compactMap { snapshotFinding($0, of: volume.name) }
        }
        if findings.isEmpty { findings = [finding(.fine, "every volume is as it is recorded (\(volumes.count))")] }
        return findings
    }

    /// Above this a snapshot is about to be lost.
    private static let nearlyFull = 80.0

    private func snapshotFinding(_ snapshot: Snapshot, of volume: VolumeName) -> Finding? {
        guard snapshot.isInvalid || (snapshot.percentUsed ?? 0) >= Self.nearlyFull else { return nil }
        return finding(
            .warning, "the snapshot \(snapshot.group)/\(snapshot.name) of \(volume) is \(snapshot.condition)",
            why: "a snapshot that runs full is lost",
            remedy: snapshot.isInvalid
                ? "remove it: xenlvs volume remove \(snapshot.name)"
                : "lvextend --size +1G \(snapshot.group)/\(snapshot.name), or remove it")
    }

    private func linkFindings() async throws -> [Finding] {
        let links = try await LinkKeeper(host: host).show()
        let wrong = links.filter { !$0.verdict.isFine }
        if wrong.isEmpty { return [finding(.fine, "every link is as it has to be (\(links.count))")] }
        return wrong.map { link in
            finding(
                link.verdict == .notRecorded ? .warning : .blocking,
                "the link \(link.path) is \(link.verdict.rawValue)", why: link.why, remedy: link.remedy)
        }
    }

    private func attachmentFindings() async throws -> [Finding] {
        AttachmentFindings(host: host.name).findings(try await Attachments(host: host).list())
    }

    private func replicaFindings() async throws -> [Finding] {
        let swapped = Set(
            try host.recordedVolumes().compactMap { volume -> VolumeName? in
                if case .replica = volume.switchGoal { volume.name } else { nil }
            })
        return ReplicaFindings(host: host.name, swapped: swapped).findings(try await ReplicaCatalog(host: host).all())
    }

    /// Images hold guests' memory; those of migrations that have ended should be gone.
    func imageFindings() throws -> [Finding] {
        let files = try host.images.files()
        let migrations = try host.database.migrations()
        let left = files.compactMap { file in leftOver(file, migrations) }
        let exposed = files.filter { $0.mode & 0o077 != 0 }.map { file in
            finding(
                .warning, "others than root may read the saved image \(file.path)",
                why: "its mode is \(String(file.mode, radix: 8)), and it holds a guest's memory",
                remedy: "chmod 600 \(Command.quoted(file.path))")
        }
        let findings = left + exposed
        return findings.isEmpty ? [finding(.fine, "no saved image is left over (\(files.count) in use)")] : findings
    }

    /// Of a migration that is still open an image from before a restart of this host is of no use to it, and removed with the others
    /// at its end; nil for one of this boot.
    private func lostMemory(_ file: ImageFile, _ record: MigrationRecord) -> Finding? {
        guard !file.isOfThisBoot, file.name?.isSpent == false else { return nil }
        return finding(
            .warning, "the saved image \(file.path) (\(file.size)) is from before this host was restarted",
            why:
                "migration \(record.id) of \(record.domain) is open and does not restore it; it holds the guest's memory",
            remedy: "see 'xenlvs migration status \(record.id)'; finishing the migration removes it")
    }

    /// Nil for a file that a migration which is still open may need.
    private func leftOver(_ file: ImageFile, _ migrations: [MigrationRecord]) -> Finding? {
        let owner: String
        if let name = file.name {
            let record = migrations.first { $0.id == name.migration.text }
            if let record, record.isOpen { return lostMemory(file, record) }
            owner =
                record.map { "migration \($0.id) of \($0.domain), which has ended, left it" }
                ?? "migration \(name.migration), of which this host has no record, left it"
        } else {
            owner = "it has not the name of an image of xenlvs"
        }
        // An image from before a restart is never the present of a guest; one of this boot could be all that there is.
        let condition =
            file.isOfThisBoot && file.name?.isSpent == false ? "see with 'xl list' that the guest runs, then " : ""
        return finding(
            .warning, "the saved image \(file.path) (\(file.size)) is left over",
            why: "\(owner); it may hold a guest's memory, and no open migration needs it",
            remedy: "\(condition)remove it: rm \(Command.quoted(file.path))")
    }
}
