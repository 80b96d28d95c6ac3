import Domains
import HostModel
import Hosts
import Migration
import Storage

extension HostWorker {
    var store: VolumeStore { VolumeStore(runner: host.runner) }

    /// Makes the target's volumes, of exactly the source's sizes.
    ///
    /// A volume of that name is taken only where the journal has it as a copy of ours that nothing uses: one that an earlier
    /// migration left behind, or one that this migration made before it was interrupted.
    func makeVolumes(_ spec: MigrationSpec) async throws -> StepResult {
        var notes: [String] = []
        for volume in spec.volumes {
            try requireAvailable(volume, spec)
            if let found = try await store.find(volume.name, .data, at: volume.targetPlace) {
                try await checkReusable(volume, found, spec)
                notes.append("\(volume.name): the volume that is there already is used again")
            } else {
                // Recorded first: a volume that was made but is not recorded would be a stranger's after a crash.
                try host.put(targetVolume(volume, spec, state: .incoming(migration: spec.id.text), uuid: nil))
                try await store.create(
                    volume.name, .data, at: volume.targetPlace, size: volume.size, migration: spec.id)
            }
            let made = try await store.find(volume.name, .data, at: volume.targetPlace)
            guard let made, made.size == volume.size else {
                throw Failure(
                    .failed, "the volume \(volume.name) was made but has another size", host: host.name.text,
                    why: "it has \(made?.size.bytes ?? 0) bytes, the source's has \(volume.size.bytes)")
            }
            let incoming = targetVolume(volume, spec, state: .incoming(migration: spec.id.text), uuid: made.uuid)
            if spec.plan.usesSwitches { try await requireSwitchCanBe(incoming) }
            try host.put(incoming)
            _ = try await store.device(volume.name, .data, at: volume.targetPlace)
        }
        return StepResult(notes: notes)
    }

    private func checkReusable(_ volume: VolumeSpec, _ found: VolumeStore.Found, _ spec: MigrationSpec) async throws {
        let what = "there is a volume \(volume.name) at \(volume.targetPlace) already"
        let remedy = "remove or rename it, or choose another place with --target-vg"
        guard let known = try recordedVolume(volume.name) else {
            throw Failure(
                .refused, what, host: host.name.text, why: "xenlvs has no record of it as a copy of its own",
                remedy: remedy)
        }
        guard found.size == volume.size else {
            throw Failure(
                .refused, what, host: host.name.text,
                why: "it has \(found.size.bytes) bytes, the source's has \(volume.size.bytes)", remedy: remedy)
        }
        if let uuid = known.logicalVolumeUUID, uuid != found.uuid {
            throw Failure(
                .refused, what, host: host.name.text, why: "it is not the one that xenlvs recorded", remedy: remedy)
        }
        if case .retired = known.state {
            // Classic snapshots that fill up are lost, and with them the guest's checkpoints.
            let uses = try await host.dependants(at: volume.targetPlace, uuid: found.uuid).uses
            guard uses.isEmpty else {
                throw Failure(
                    .refused, "the old copy of \(volume.name) at \(volume.targetPlace) cannot be used again",
                    host: host.name.text, why: "its content would be overwritten, and \(uses.sentences)",
                    remedy: uses.first?.remedy)
            }
        }
        if let device = try await store.presentDevice(volume.name, .data, at: volume.targetPlace) {
            let mounts = try BlockDevice(at: device).mountPoints()
            guard mounts.isEmpty else {
                throw Failure(
                    .refused, what, host: host.name.text, why: "it is mounted on \(mounts.joined(separator: ", "))",
                    remedy: "umount it")
            }
        }
    }

    /// The size of a volume on every layer must be the same before a guest may write: the volume, and what its link
    /// leads to.
    func checkSizes(_ spec: MigrationSpec, _ role: Role) async throws {
        for volume in spec.volumes {
            let lower = try await store.device(volume.name, .data, at: volume.place(role))
            for path in [lower, host.links.path(of: volume.name)] {
                let size = try BlockDevice(at: path).size()
                guard size == volume.size else {
                    throw Failure(
                        .inconsistent, "\(path) has the wrong size", host: host.name.text,
                        why: "it has \(size.bytes) bytes instead of \(volume.size.bytes)",
                        remedy: "no guest was started on it; abort the migration")
                }
            }
        }
        for disk in spec.sharedDisks {
            let path = host.links.path(of: disk.name)
            let size = try BlockDevice(at: path).size()
            guard size == disk.size else {
                throw Failure(
                    .inconsistent, "\(path) has the wrong size", host: host.name.text,
                    why: "it has \(size.bytes) bytes, and had \(disk.size.bytes) when the migration began",
                    remedy: "see 'xenlvs shares' on the host that has the volumes")
            }
        }
    }

    func linkToReplicas(_ spec: MigrationSpec, _ role: Role) async throws -> StepResult {
        for volume in spec.volumes {
            try host.setLink(volume.name, to: replicaPath(volume, role))
        }
        try await checkSizes(spec, role)
        return StepResult()
    }

    func linkToVolumes(_ spec: MigrationSpec, _ role: Role) async throws -> StepResult {
        for volume in spec.volumes {
            try host.setLink(volume.name, to: try await guestDevice(volume, role))
        }
        try await checkSizes(spec, role)
        return StepResult()
    }

    /// What the guest's link leads to while the volume has no replica: its switch, or the volume's own device.
    func guestDevice(_ volume: VolumeSpec, _ role: Role) async throws -> String {
        guard let known = try switched(volume, role) else {
            return try await store.device(volume.name, .data, at: volume.place(role))
        }
        let path = try await host.switches.bringUp(known)
        // A migration may have left it on the replica, or closed.
        _ = try await host.switches.lead(known, to: try await host.switches.checkedDevice(known).number)
        return path
    }

    /// The recorded volume, where it is the one of this side and has a switch.
    func switched(_ volume: VolumeSpec, _ role: Role) throws -> Volume? {
        guard let known = try recordedVolume(volume.name), known.switchGoal != nil, known.place == volume.place(role)
        else { return nil }
        return known
    }

    /// The volume as the journal has it.
    func recordedVolume(_ name: VolumeName) throws -> Volume? {
        try host.recordedVolume(name)
    }

    /// The target's side of a migrated volume. Its switch is made from the LV's UUID: before that is known it has none.
    func targetVolume(_ volume: VolumeSpec, _ spec: MigrationSpec, state: VolumeState, uuid: String?) -> Volume {
        Volume(
            name: volume.name, place: volume.targetPlace, size: volume.size, logicalVolumeUUID: uuid, state: state,
            switchGoal: spec.plan.usesSwitches && uuid != nil ? .volume : nil)
    }

    /// SHA-256 of a volume's bytes, read past the page cache's back through the device below DRBD.
    func checksum(_ name: VolumeName, of migration: RecordedMigration) async throws -> String {
        guard let volume = migration.spec.volumes.first(where: { $0.name == name }) else {
            throw Failure(.notFound, "migration \(migration.spec.id) has no volume \(name)")
        }
        guard try await observe(migration.spec).isRunning == false else {
            throw Failure(.refused, "cannot take the checksum of \(name)", why: "the domain runs and may write")
        }
        let device = try await store.device(name, .data, at: volume.place(migration.role))
        // The page cache of this device may be older than what DRBD wrote below it.
        try await host.runner.run(.mutation(.blockdev, "--flushbufs", device))
        let limit = Duration.seconds(120 + volume.size.bytes / (10 << 20))
        let output = try await host.runner.run(.query(.sha256sum, "--binary", device, deadline: limit)).output
        guard let sum = output.split(separator: " ").first, sum.count == 64 else {
            throw Failure(.failed, "cannot take the checksum of \(device)", why: "sha256sum printed '\(output)'")
        }
        return String(sum)
    }
}

extension DomainObservation {
    var isRunning: Bool {
        if case .present(_, .active) = self { true } else { false }
    }
}
