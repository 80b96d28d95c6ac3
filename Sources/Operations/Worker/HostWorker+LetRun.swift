import Domains
import HostModel
import Hosts
import Migration
import Storage

/// The moment at which a restored domain is let run: what has to be so before, and whose domain it is.
extension HostWorker {
    /// Marks the image as spent and lets the domain run. One that somebody else has paused stays so.
    func letRun(_ spec: MigrationSpec, _ purpose: SavedImages.Purpose) async throws -> StepResult {
        var result = StepResult()
        if let id = memory.takeDomain(of: spec.id) {
            // Restored and checked a moment ago by this very process.
            result.freezeEnded = try await letRun(spec, purpose, id)
        } else {
            switch try await observe(spec) {
            case .present(_, .active):
                try host.markSpent(spec.id, purpose)
                // Its save may have been killed together with the run that waited for it.
                if purpose == .rollback { _ = try await settledUnasked(spec) }
            case .present(let id, .paused):
                guard try hasRestored(spec, purpose) else { return StepResult(notes: [pausedNote(spec)]) }
                try await checkDisks(spec, id)
                result.freezeEnded = try await letRun(spec, purpose, id)
            case .present(_, let state):
                throw Failure(.failed, "the domain \(spec.domain) is \(state.rawValue)", host: host.name.text)
            case .absent: throw Failure(.failed, "the domain \(spec.domain) is gone", host: host.name.text)
            }
        }
        // The guest runs. What cannot be tidied now is tidied with everything else at the end.
        do { for purpose in purpose.candidates { try host.images.retireSpent(spec.id, purpose) } } catch {
            result.notes.append("a spent image is left for now: \(error)")
        }
        return result
    }

    /// Whether a paused domain is one that this migration has restored and not let run since: nobody else's is let run.
    private func hasRestored(_ spec: MigrationSpec, _ purpose: SavedImages.Purpose) throws -> Bool {
        // What arrives live has no image.
        if purpose == .received { return true }
        return try purpose.candidates.contains {
            try host.images.awaitsRun(spec.id, $0) || host.images.state(spec.id, $0) == .whole
        }
    }

    private func letRun(
        _ spec: MigrationSpec, _ purpose: SavedImages.Purpose, _ id: DomainID
    ) async throws -> HostMoment {
        try host.markSpent(spec.id, purpose)
        try await host.runner.run(XLCommands.unpause(id))
        return .now
    }

    func pausedNote(_ spec: MigrationSpec) -> String {
        "\(spec.domain) is paused, and not by this migration: it is left so; 'xl unpause \(spec.domain)' lets it run"
    }

    /// Checks that the domain holds the very devices that its links point to: between the restore and now nothing may
    /// have opened something else.
    func checkDisks(_ spec: MigrationSpec, _ id: DomainID) async throws {
        for volume in spec.disks {
            guard case .link(let target, .device(_, let number)) = try host.links.read(volume.name) else {
                throw Failure(
                    .inconsistent, "the link \(host.links.path(of: volume.name)) does not lead to a device",
                    host: host.name.text, remedy: "see 'xenlvs link show \(volume.name)'")
            }
            guard try await deviceHeld(by: id, volume.device) == number else {
                throw Failure(
                    .inconsistent, "\(volume.device) of \(spec.domain) is not \(target)", host: host.name.text,
                    why: "Xen's backend has opened another device")
            }
        }
    }

    /// The device that Xen's backend has opened for a domain's disk; nil where it has none.
    func deviceHeld(by id: DomainID, _ device: String) async throws -> BlockDeviceNumber? {
        guard let query = BackendDisk.query(id, device: device) else {
            throw Failure(.inconsistent, "'\(device)' is not the name of a guest's disk")
        }
        // 'xl restore -p' exits with 0 even where the backend could not open the disk.
        guard let disk = BackendDisk(parsing: try await host.runner.run(query).output), disk.objection == nil,
            let major = disk.major, let minor = disk.minor
        else { return nil }
        return BlockDeviceNumber(major: major, minor: minor)
    }
}

extension SavedImages.Purpose {
    /// What a domain that is let run may have been restored from: on the way back any image, which may be spent by then.
    fileprivate var candidates: [SavedImages.Purpose] { self == .rollback ? Self.ofSource : [self] }
}
