@testable import Migration

/// What the volumes hold is sent past DRBD, which copies what has changed meanwhile.
extension ModelWorld {
    /// It may fail as it likes: DRBD copies all of a volume then.
    mutating func seedCopies(_ run: ModelRun) throws(Break) {
        for disk in disks {
            do throws(Break) { try seed(disk, run) } catch { if error == .coordinatorDied { throw error } }
            if isCoordinatorDead { throw .coordinatorDied }
            do throws(Break) { try removeSnapshot(disk, run.source) } catch {
                if error == .coordinatorDied { throw error }
            }
            isAnswerLost = false
        }
    }

    /// What is written between the generation and the snapshot may be sent twice, and never not at all.
    private mutating func seed(_ disk: Int, _ run: ModelRun) throws(Break) {
        let source = run.source
        finishLate(source)
        let volume = self[source].volumes[disk]
        guard volume.replica?.isPrimary == true, volume.replica?.secret == nil, volume.metadata?.isUpToDate == true
        else { throw .failed }
        try removeSnapshot(disk, source)
        generations += 1
        let (generation, forgets) = (generations, sabotage == .forgetsSeedDelta)
        try effect(source, "note what changes on \(disk)") { $0.volumes[disk].noteChanges(since: generation) }
        try effect(source, "take a snapshot of \(disk)") { host in
            let volume = host.volumes[disk]
            host.volumes[disk].snapshot = ModelVolume.Snapshot(body: volume.body, tail: volume.tail)
        }
        try effect(source, "begin a generation of \(disk)") { host in
            if forgets { host.volumes[disk].noteChanges(since: generation) }
        }
        guard let snapshot = self[source].volumes[disk].snapshot else { throw .failed }
        guard canReach(run.target) else { throw .unknown }
        try receive(snapshot, of: disk, generation, run)
    }

    private mutating func receive(
        _ snapshot: ModelVolume.Snapshot, of disk: Int, _ generation: Int, _ run: ModelRun
    ) throws(Break) {
        let target = run.target
        finishLate(target)
        let volume = self[target].volumes[disk]
        guard mayReceive(run), isOwn(disk, run.id, target), volume.exists, volume.replica?.isPrimary != true,
            !isConnected(disk)
        else { throw .failed }
        try effect(target, "clear \(disk) for what is sent") { host in
            host.volumes[disk].replica = nil
            host.volumes[disk].metadata = ModelVolume.Metadata()
        }
        do throws(Break) {
            if isCoordinatorDead { throw .coordinatorDied }
            try effect(target, "store what is sent of \(disk)") { host in
                (host.volumes[disk].body, host.volumes[disk].tail) = (snapshot.body, snapshot.tail)
                host.volumes[disk].hasHole = false
            }
            if isCoordinatorDead { throw .coordinatorDied }
            try effect(target, "give \(disk) the generation that was sent") { host in
                host.volumes[disk].metadata = ModelVolume.Metadata(
                    isFresh: false, isBodyDirty: false, isTailDirty: false, seed: generation)
            }
        } catch {
            // Whatever comes of it, a receiver that lives attaches its replica.
            if error != .unknown, self[target].isUp { try? attachSeeded(disk, target) }
            throw error
        }
        try attachSeeded(disk, target)
    }

    private mutating func attachSeeded(_ disk: Int, _ host: HostID) throws(Break) {
        try effect(host, "attach \(disk)") { $0.volumes[disk].replica = ModelVolume.Replica() }
    }

    mutating func removeSnapshot(_ disk: Int, _ host: HostID) throws(Break) {
        guard self[host].volumes[disk].snapshot != nil else { return }
        try effect(host, "remove the snapshot of \(disk)") { $0.volumes[disk].snapshot = nil }
    }
}

extension ModelVolume {
    fileprivate mutating func noteChanges(since generation: Int) {
        metadata?.isBodyDirty = false
        metadata?.isTailDirty = false
        metadata?.seed = generation
    }
}
