import HostModel
import Hosts
import Migration
import Replication
import Storage

extension HostWorker {
    /// Makes the replicas of this side: metadata of their own, resource, minor, attached with the exact size.
    ///
    /// On the source this happens below the running guest: DRBD opens the volume beside Xen's backend and, not being connected,
    /// neither reads nor writes the data. On the target the copy is Inconsistent until it was synchronised.
    func makeReplicas(_ spec: MigrationSpec, _ role: Role) async throws -> StepResult {
        for volume in spec.volumes {
            if let known = try switched(volume, role) { try await host.switches.bringUpLower(known) }
            let control = try await control(volume, spec, role)
            if try await control.status()?.volume?.isAttached == true { continue }
            try await control.run(control.commands.down(control.device), doing: "clear \(control.device.resource)")
            try PortProbe.check(address: spec.endpoint(role).address, port: volume.port, host: host.name)
            try await makeFreshMetadata(volume, spec, role, control)
            let attached = try await self.control(volume, spec, role)
            try await attach(attached, volume)
            if role == .source, let proof = try await proofOfFreshness(attached) { memory.remember(proof) }
        }
        return StepResult()
    }

    /// Metadata that nothing has ever used: the storage for it is made anew, and the mark on it says whose it is.
    private func makeFreshMetadata(
        _ volume: VolumeSpec, _ spec: MigrationSpec, _ role: Role, _ control: ReplicaControl
    ) async throws {
        let place = volume.place(role)
        if let found = try await store.find(volume.name, .metadata, at: place) {
            try await checkMetadata(found, volume, spec, role)
            try await store.remove(volume.name, .metadata, at: place)
        }
        try await store.create(
            volume.name, .metadata, at: place, size: ReplicaMetadata.size(for: volume.size), migration: spec.id)
        _ = try await store.device(volume.name, .metadata, at: place)
        // Behind a file there is a loop device, which has its name only now.
        let fresh = try await self.control(volume, spec, role)
        try await fresh.run(
            fresh.commands.createMetadata(fresh.device), doing: "make DRBD's metadata for \(volume.name)")
        try await fresh.run(
            fresh.commands.markMetadata(fresh.device, fresh.mark), doing: "mark DRBD's metadata for \(volume.name)")
    }

    /// Removes the metadata that this migration made; nothing happens where there are none, or somebody else's.
    func removeMetadata(_ volume: VolumeSpec, _ spec: MigrationSpec, _ role: Role) async throws {
        let place = volume.place(role)
        guard let found = try await store.find(volume.name, .metadata, at: place) else { return }
        do { try await checkMetadata(found, volume, spec, role) } catch let failure as Failure {
            guard failure.code == .refused else { throw failure }
            return
        }
        try await store.remove(volume.name, .metadata, at: place)
    }

    /// Throws `.refused` where the metadata are not of this migration's making.
    func checkMetadata(
        _ found: VolumeStore.Found, _ volume: VolumeSpec, _ spec: MigrationSpec, _ role: Role
    ) async throws {
        // An LV says itself whose it is, from the moment it is there; a file only when its metadata are marked.
        if try found.tags.contains(LogicalVolumeTag.migration(spec.id.text).text) { return }
        let path = try await store.expectedDevice(volume.name, .metadata, at: volume.place(role))
        guard found.uuid == nil else {
            throw Failure(
                .refused, "will not overwrite \(path)", host: host.name.text,
                why: "this migration did not make it", remedy: "rename or remove it by hand")
        }
        _ = try await store.device(volume.name, .metadata, at: volume.place(role))
        let control = try await control(volume, spec, role)
        let mark = try await host.runner.run(control.commands.ownershipMark(control.device)).output
        let generation = try await host.runner.run(
            control.commands.storedGeneration(control.device, control.connection)
        ).output
        _ = try OwnedMetadata(
            of: control.device, found: OwnershipMark(readDeviceUUID: mark), expected: control.mark,
            generation: DataGeneration(generation))
    }

    func attach(_ control: ReplicaControl, _ volume: VolumeSpec) async throws {
        let (commands, device) = (control.commands, control.device)
        let what = "attach DRBD to \(volume.name)"
        try await control.run(commands.newResource(device, control.connection), doing: what)
        try await control.run(commands.newMinor(device), doing: what)
        for command in commands.definePeer(device, control.connection, control.tuning) {
            try await control.run(command, doing: what)
        }
        try await control.run(commands.applyActivityLog(device), doing: what)
        try await control.run(commands.attach(device, control.tuning), doing: what)
        let size = try BlockDevice(at: device.path).size()
        guard size == volume.size else {
            try await control.run(commands.down(device), doing: "take \(device.resource) down")
            throw Failure(
                .failed, "DRBD over \(volume.name) has the wrong size", host: host.name.text,
                why: "\(device.path) has \(size.bytes) bytes, the volume \(volume.size.bytes)")
        }
    }

    /// Source: the volume's data become DRBD's, once.
    func promoteFresh(_ spec: MigrationSpec, _ role: Role) async throws -> StepResult {
        for control in try await controls(spec, role) {
            guard let proof = try await proofOfFreshness(control) else { continue }
            try await control.run(
                control.commands.primaryForcedOnce(proof), doing: "make \(control.device.resource) Primary")
        }
        return StepResult()
    }

    /// Nil where the replica is Primary already.
    private func proofOfFreshness(_ control: ReplicaControl) async throws -> FreshMetadata? {
        // Gathered when the replica was made, a moment before the freeze; nothing else touches it.
        if let proof = memory.takeProof(of: control.device) { return proof }
        let status = try await control.status()
        if status?.role == .primary { return nil }
        let output = try await host.runner.run(
            control.commands.dataGeneration(control.device, control.connection)
        ).output
        return try FreshMetadata(of: control.device, generation: DataGeneration(output), status: status)
    }

    /// Lets the replicas of this side connect, with a new secret; without one they are only checked.
    func connect(_ order: StepOrder) async throws -> StepResult {
        let (spec, role, secret) = (order.spec, order.role, order.secret)
        // This host was restarted, or has settled already and is asked to go on replicating.
        if try await replicas(of: spec).contains(where: { $0.status?.volume?.isAttached != true }) {
            try await attachAgain(order)
        }
        guard secret != nil else { return StepResult() }
        for volume in spec.volumes {
            try await connectAnew(try await control(volume, spec, role, secret: secret))
        }
        return StepResult()
    }

    /// Attaches all replicas of this side anew: what is taken down for one of them is taken down for all.
    private func attachAgain(_ order: StepOrder) async throws {
        let (spec, role) = (order.spec, order.role)
        guard order.mayAttachAgain || role == .source else {
            throw Failure(
                .failed, "a replica of \(spec.domain) is gone on the target", host: host.name.text,
                why: "it was there a moment ago", remedy: "run 'xenlvs migration resume \(spec.id)'")
        }
        guard role == .target else {
            throw Failure(
                .inconsistent, "a replica of \(spec.domain) is gone on the source", host: host.name.text,
                why: "the source was restarted, and with it the domain was lost",
                remedy: "run 'xenlvs migration abort \(spec.id)', then start the domain from its configuration")
        }
        // Settling early, the target has let its replicas go already, and a domain that never ran holds the volumes. It
        // comes back from the image.
        _ = try await discard(spec)
        for volume in spec.volumes {
            if let known = try switched(volume, role) { try await host.switches.bringUpLower(known) }
            _ = try await store.device(volume.name, .metadata, at: volume.place(role))
            try await attach(try await control(volume, spec, role), volume)
        }
    }

    private func connectAnew(_ control: ReplicaControl) async throws {
        try await disconnect(control)
        try await control.run(
            control.commands.connect(control.device, control.connection),
            doing: "let \(control.device.resource) connect")
    }

    /// Ends whatever connection there is; afterwards the replica stands alone.
    func disconnect(_ control: ReplicaControl) async throws {
        guard let connection = try await control.status()?.connection, connection.state != .standAlone else { return }
        try await control.run(
            control.commands.disconnect(control.device, control.connection),
            doing: "disconnect \(control.device.resource)")
    }

    /// Source: nothing can write through DRBD here any more.
    func demote(_ spec: MigrationSpec, _ role: Role) async throws -> StepResult {
        if spec.plan.method == .live { return try await closeWindow(spec, role) }
        if spec.plan.usesSwitches { try await closeSwitches(spec, role) }
        for control in try await controls(spec, role) { try await makeSecondary(control) }
        return StepResult()
    }

    /// The kernel refuses while anything holds the device open; for a Secondary the command does nothing.
    func makeSecondary(_ control: ReplicaControl) async throws {
        try await control.run(
            control.commands.secondary(control.device), doing: "make \(control.device.resource) Secondary")
    }

    /// Source, live: the guest runs on the target. Nobody has written here since the switches were closed.
    private func closeWindow(_ spec: MigrationSpec, _ role: Role) async throws -> StepResult {
        // After a restart of this host they are gone, and nobody can write through them.
        let present = zip(spec.volumes, try await replicas(of: spec)).filter { $1.status != nil }
        guard !present.isEmpty else { return StepResult() }
        for (volume, _) in present { try await makeSecondary(try await control(volume, spec, role)) }
        try await forbidTwoPrimaries(spec, role)
        let isConnected = present.allSatisfy { $1.status?.connection?.state == .connected }
        guard !isConnected else { return StepResult() }
        // Without its peer DRBD has no connection to change; the next one is made without the permission.
        return StepResult(notes: [
            "the replicas are not connected: two Primaries stay allowed until they are taken down"
        ])
    }

    /// Target: Primary, all volumes or none; only with a permit that this host's kernel gives reason for.
    func promoteSynchronised(_ order: StepOrder) async throws -> StepResult {
        let (spec, role) = (order.spec, order.role)
        let replicas = try await replicas(of: spec)
        if replicas.allSatisfy({ $0.status?.role == .primary }) { return try await openSwitches(spec, role) }
        if spec.plan.method == .live { return try await promoteBeside(order, replicas) }
        let permit = try permit(order, replicas)
        // For a Primary the command does nothing. That all of them are is seen before the tail of the image is let go.
        for control in try await controls(spec, role) {
            try await control.run(
                try control.commands.primary(control.device, permit),
                doing: "make \(control.device.resource) Primary")
        }
        return try await openSwitches(spec, role)
    }

    /// Target, live: Primary while the source still is, and open for the guest that is about to come.
    private func promoteBeside(_ order: StepOrder, _ replicas: [VolumeReplica]) async throws -> StepResult {
        let pairs = order.spec.pairs(source: order.sourceReplicas ?? [], target: replicas)
        let permit: WindowPermit
        do { permit = WindowPermit(try HandoverReadiness(pairs)) } catch { throw error.on(host.name.text) }
        for control in try await controls(order.spec, order.role) {
            try await control.run(
                try control.commands.primary(control.device, beside: permit),
                doing: "make \(control.device.resource) Primary beside the source's")
        }
        return try await openSwitches(order.spec, order.role)
    }

    /// Source: both sides may be Primary. One side tells the other.
    func allowTwoPrimaries(_ spec: MigrationSpec) async throws -> StepResult {
        for control in try await controls(spec, .source) {
            let command = control.commands.allowTwoPrimaries(control.device, control.connection, true)
            try await control.run(command, doing: "allow two Primaries of \(control.device.resource)")
        }
        return StepResult()
    }

    /// Live, where one side alone is Primary: from now on no other may be. Replicas that are not connected are left alone, as
    /// their next connection is made without the permission.
    func forbidTwoPrimaries(_ spec: MigrationSpec, _ role: Role) async throws {
        for (volume, replica) in zip(spec.volumes, try await replicas(of: spec))
        where replica.status?.connection?.state == .connected {
            let control = try await control(volume, spec, role)
            let command = control.commands.allowTwoPrimaries(control.device, control.connection, false)
            do {
                try await control.run(command, doing: "forbid two Primaries of \(control.device.resource)")
            } catch {
                // Lost a moment ago.
                if try await control.status()?.connection?.state == .connected { throw error }
            }
        }
    }

    /// Source, live: the switches are closed and the guest is suspended. What it has ever written is on both hosts, as DRBD
    /// answers no write before: unless the connection has been lost on the way.
    func requireTargetHasEverything(_ spec: MigrationSpec) async throws {
        // The guest stands still meanwhile: a program is started only where the kernel's summary does not say that all is well.
        let summary = KernelFile.read(DRBDSummary.file) ?? ""
        if spec.volumes.allSatisfy({ DRBDSummary.isInStep($0.sourceMinor, in: summary) == true }) { return }
        for replica in try await replicas(of: spec) {
            let status = replica.status
            guard status?.connection?.state == .connected, status?.volume?.disk == .upToDate,
                status?.peer?.disk == .upToDate, status?.peer?.replication == .established,
                status?.peer?.outOfSync?.bytes == 0
            else {
                throw Failure(
                    .failed, "\(spec.target.name) does not have all of \(replica.volume)", host: host.name.text,
                    why: "the replicas' connection was lost during the hand-over",
                    remedy: "the domain goes on here; see 'xenlvs replica status', then migrate it again")
            }
        }
    }

    /// Target, settling early: with the proof that this copy is complete and nobody writes to the other, DRBD goes.
    func releaseVolumes(_ order: StepOrder) async throws -> StepResult {
        let replicas = try await replicas(of: order.spec)
        if replicas.allSatisfy({ $0.status == nil }) { return StepResult() }
        _ = try permit(order, replicas)
        return try await takeDownReplicas(order.spec, order.role)
    }

    /// What this host's kernel says now, and what the source's said when the order was given, must both allow it.
    private func permit(_ order: StepOrder, _ replicas: [VolumeReplica]) throws -> PromotionPermit {
        let pairs = order.spec.pairs(source: order.sourceReplicas ?? [], target: replicas)
        do { return try PromotionPermit(pairs) } catch { throw error.on(host.name.text) }
    }

    func areReplicasPrimary(_ spec: MigrationSpec, _ role: Role) async throws -> Bool {
        try await replicas(of: spec).allSatisfy { $0.status?.role == .primary }
    }

    /// Secondary, disconnected, detached and gone, with the metadata left in their place. Nothing happens where DRBD has none.
    func takeDownReplicas(_ spec: MigrationSpec, _ role: Role) async throws -> StepResult {
        let migration = try recorded(spec.id)
        for (volume, replica) in zip(spec.volumes, try await replicas(of: spec)) where replica.status != nil {
            // A target that is told to undo what it has not done yet may have another volume's replica of that name.
            guard try role == .source || isOwn(volume, migration) else { continue }
            let control = try await control(volume, spec, role)
            // A switch that nobody uses any more would keep DRBD from being taken down.
            if let known = try switched(volume, role), try await host.switches.leadsToReplica(known) {
                try await effect { try await host.switches.close(known) }
            }
            try await control.run(control.commands.down(control.device), doing: "take \(control.device.resource) down")
            guard try await control.status() == nil else {
                throw Failure(.failed, "\(control.device.resource) is still there", host: host.name.text)
            }
        }
        for volume in spec.volumes {
            if let known = try switched(volume, role) { try await host.switches.removeLower(known) }
        }
        return StepResult()
    }

    /// Before the receiver lets the tail go: the target's disks are the target's.
    func checkReadyToOpen(_ spec: MigrationSpec) async throws {
        let replicas = try await replicas(of: spec)
        let isReady =
            switch spec.plan.settlement {
            case .late: replicas.allSatisfy { $0.status?.role == .primary }
            case .early: replicas.allSatisfy { $0.status == nil }
            }
        guard isReady else {
            throw Failure(
                .refused, "the image of \(spec.domain) was released too early", host: host.name.text,
                why: "its disks are not this host's yet")
        }
        try await requireSwitchesOnReplicas(spec, .target)
        try await checkSizes(spec, .target)
    }

    /// Starts comparing blocks with the peer.
    func verify(_ name: VolumeName, of migration: RecordedMigration, wholly: Bool) async throws {
        let control = try await control(name, of: migration)
        let range: VerifyRange = wholly ? .whole(of: control.device.size) : .tail(of: control.device.size)
        try await control.run(
            control.commands.verify(control.device, control.connection, range),
            doing: "verify \(control.device.resource)")
    }

    /// Ends the connection and lets this side connect anew.
    func reconnect(_ name: VolumeName, of migration: RecordedMigration, secret: SharedSecret) async throws {
        try await connectAnew(try await control(name, of: migration, secret: secret))
    }

    /// Why a replica stands alone, and what to do.
    func explain(_ name: VolumeName) async throws -> String {
        try await ReplicaCatalog(host: host).replica(of: name).explanation
    }
}
