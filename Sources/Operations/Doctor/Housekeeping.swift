import FoundationEssentials
import HostModel
import Hosts
import Migration
import Replication
import Storage

/// What is to be said of a host's own volumes, links, replicas, images and migrations.
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
        let volumes = try await VolumeCatalog(host: host).all()
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

    private func replicaFindings() async throws -> [Finding] {
        let replicas = try await ReplicaCatalog(host: host).all()
        let left = replicas.filter { $0.migration == nil }.map { replica in
            finding(
                .warning, "the replica \(replica.resource) belongs to no migration",
                why: "it keeps the volume \(replica.volume) from being changed, and its DRBD numbers from being used",
                remedy: "if no guest uses \(replica.device ?? "it"), take it down: drbdsetup down \(replica.resource)")
        }
        let apart = replicas.filter { $0.migration != nil && $0.why != nil }.map { replica in
            finding(
                .warning, "the replica \(replica.resource) is \(replica.connection?.word ?? "not connected")",
                why: replica.why, remedy: replica.remedy)
        }
        let findings = left + apart
        return findings.isEmpty ? [finding(.fine, "no replica is left over")] : findings
    }

    /// Images hold guests' memory; those of migrations that have ended should be gone.
    private func imageFindings() throws -> [Finding] {
        let directory = host.images.directory
        guard FileManager.default.fileExists(atPath: directory) else {
            return [finding(.fine, "there are no saved images")]
        }
        let open = Set(try host.database.migrations(openOnly: true).map(\.id))
        let left = try FileManager.default.contentsOfDirectory(atPath: directory).filter { file in
            !open.contains { file.hasPrefix($0 + ".") }
        }
        if left.isEmpty { return [finding(.fine, "no saved image is left over")] }
        return left.sorted().map { file in
            finding(
                .warning, "the saved image \(directory)/\(file) is left over",
                why: "it holds a guest's memory, and no open migration needs it",
                remedy: "when the guest runs, remove it: rm \(Command.quoted("\(directory)/\(file)"))")
        }
    }
}
