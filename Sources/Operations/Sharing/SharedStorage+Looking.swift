import HostModel
import Storage

extension SharedStorage {
    /// Whether the disks of a domain are on another host already, so that the domain can simply go there.
    ///
    /// Nothing is changed. The other host is asked only where a disk is not this host's alone.
    /// - Throws: where either host cannot be asked, or a disk that is meant to be shared has other bytes there.
    static func look(
        _ domain: DomainName, _ volumes: [VolumeName], _ worker: HostWorker, _ remote: RemoteHost
    ) async throws -> SharedStorage {
        let here = try await worker.sharedDisks(of: domain, volumes)
        if let disk = here.disks.first(where: { $0.kind == .local || $0.kind == .absent }) {
            return .apart(why: "'\(disk.name)' is this host's alone")
        }
        let verdict = SharedStorage([here, try await ask(remote, domain, volumes)])
        guard verdict == .shared else { return verdict }
        for volume in volumes { try await compareEdges(of: volume, worker, remote) }
        return .shared
    }

    static func ask(_ remote: RemoteHost, _ domain: DomainName, _ volumes: [VolumeName]) async throws -> SharedDisks {
        var disks = try await remote.share(.look(domain, volumes), \.disks)
        // By the name that this host knows it by, whatever it calls itself.
        disks.host = remote.name
        return disks
    }

    /// How long a guest that writes all the time is given to leave a moment between two looks.
    private static let patience = Duration.seconds(20)

    /// Throws `.inconsistent` where a disk has other bytes at its ends on the other host.
    ///
    /// A guest may be writing: only where this host's bytes have stayed the same from before the other's look until after
    /// it, a difference says anything; and most of both ends has to be seen to be the same.
    static func compareEdges(of volume: VolumeName, _ worker: HostWorker, _ remote: RemoteHost) async throws {
        func here() async throws -> DiskEdges {
            try await worker.share(.edges(volume), for: worker.host.name).value(\.edges, from: worker.host.name)
        }
        var comparison = EdgeComparison()
        let deadline = ContinuousClock.now + patience
        repeat {
            let before = try await here()
            let there = try await remote.share(.edges(volume), \.edges)
            switch comparison.take(before: before, there: there, after: try await here()) {
            case .same: return
            case .unknown: break
            case .different(let end):
                throw Failure(
                    .inconsistent, "'\(volume)' on \(remote.name) is not the disk that this host has",
                    host: remote.name.text, why: "its \(end) MiB has other bytes",
                    remedy:
                        "use it on neither of the two until it is known which is right: see 'xenlvs attachments' there")
            }
            try await Task.sleep(for: .milliseconds(.random(in: 10...150)))
        } while ContinuousClock.now < deadline
        throw Failure(
            .busy, "'\(volume)' could not be compared with \(remote.name)'s",
            why: "its first or last MiB was written all the time", remedy: "try again when the guest has less to do")
    }
}

/// What looks at both ends of a disk on two hosts say, while somebody may be writing. Pure.
struct EdgeComparison {
    enum Verdict: Equatable {
        case same
        /// Too much was written meanwhile.
        case unknown
        case different(String)
    }

    /// After so many rounds blocks that are written all the time need not be seen to be the same any more.
    private static let rounds = 3
    private var round = 0
    private var seen = [Set<Int>(), Set<Int>()]

    mutating func take(before: DiskEdges, there: DiskEdges, after: DiskEdges) -> Verdict {
        round += 1
        var isComplete = true
        for (end, (word, path)) in [("first", \DiskEdges.first), ("last", \DiskEdges.last)].enumerated() {
            let (before, there, after) = (before[keyPath: path], there[keyPath: path], after[keyPath: path])
            guard before.count == there.count, before.count == after.count, !before.isEmpty else {
                return .different(word)
            }
            for index in before.indices {
                if there[index] == before[index] || there[index] == after[index] {
                    seen[end].insert(index)
                } else if before[index] == after[index] {
                    return .different(word)
                }
            }
            let needed = round < Self.rounds ? before.count : before.count * 3 / 4
            isComplete = isComplete && seen[end].count >= needed
        }
        return isComplete ? .same : .unknown
    }
}
