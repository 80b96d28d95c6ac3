@testable import Migration

/// What must hold whatever happens, seen from outside: of the product's decisions nothing is known here.
extension ModelWorld {
    mutating func complain(_ text: String) {
        if !violations.contains(text) { violations.append(text) }
        note("✘ \(text)")
    }

    /// The guest's memory is somewhere: it exists, or an image that nobody has run from is whole; or it needs none.
    var hasGuest: Bool {
        if isGuestOff { return true }
        return hosts.contains { host in
            host.domain?.memory == written || host.away?.memory == written
                || host.images.contains { $0.boot == host.boot && !$0.isSpent && $0.memory == written }
        }
    }

    /// After each change.
    mutating func judge() {
        if hosts.filter({ $0.domain?.isRunning == true }).count > 1 { complain("the guest runs on both hosts") }
        if !hosts.contains(where: { host in
            host.volumes.allSatisfy { $0.body >= written && (areDisksApart || $0.holds(host.volumes[0].body)) }
        }) {
            complain("no host has a complete, current copy of all volumes")
        }
        // Decided on for a target that has just lost its power.
        if let owner = guestsOwner, !isGuestOff, !self[owner].isUp,
            !hosts.contains(where: { $0.domain?.isRunning == true })
        {
            if self[owner].isLongOff, !isMemoryLost { complain("decided on for a target that was long gone") }
            isMemoryLost = true
        }
        if !isMemoryLost, !hasGuest { complain("the guest's memory is lost") }
        for disk in disks where isConnected(disk) && !isWindow(disk) {
            if hosts.allSatisfy({ $0.volumes[disk].replica?.isPrimary == true }) {
                complain("both hosts can write to a volume")
            }
        }
        for host in hosts {
            if host.domain != nil, host.away != nil { complain("the guest is on one host twice") }
            for domain in [host.domain, host.away].compactMap(\.self) { judge(domain, host) }
        }
    }

    private mutating func judge(_ domain: ModelDomain, _ host: ModelHost) {
        for (disk, backing) in domain.uses.enumerated() {
            let replica = host.volumes[disk].replica
            let reached = host.volumes[disk].reached(through: backing)
            if reached == nil, domain.isRunning { complain("a guest's disk refuses its writes") }
            if reached == .replica, replica?.isPrimary != true { complain("a guest's replica went away below it") }
            if backing == .volume, replica?.isPrimary == true { complain("a guest and DRBD use the same volume") }
        }
    }

    /// After a step that is done: two Primaries are for the hand-over alone.
    mutating func judgeStep(_ step: Step) {
        guard step == .clearTarget || step == .demoteSource else { return }
        if disks.contains(where: isWindow) { complain("both sides may be Primary for longer than they have to") }
    }

    /// Before a write: the guest must find what it wrote last.
    mutating func judgeWrite(after last: Int, to disk: Int, through backing: ModelVolume.Backing, on id: HostID) {
        if !self[id].volumes[disk].holds(last) { complain("the guest finds a wrong block") }
        if last < written { complain("the guest runs on from an old state") }
    }

    /// What one change may not do.
    mutating func judgeChange(of id: HostID, from before: ModelHost) {
        let (after, peer) = (self[id], self[id.other])
        for disk in disks {
            let (old, new) = (before.volumes[disk], after.volumes[disk])
            if old.link != new.link, let uses = after.domain?.uses[disk], uses != new.link {
                complain("storage was moved below a guest")
            }
            // What hung comes when it likes; that nothing is made of it then is judged elsewhere.
            guard !isLate, old.replica?.isPrimary == false, new.replica?.isPrimary == true else { continue }
            if old.metadata?.isUpToDate == false {
                if !new.holds(written) { complain("a copy without the guest's data was made Primary by force") }
            } else if before.volumes.contains(where: { $0.replica?.isPrimary == true }) {
                // The others were in step when the first one was made Primary a moment ago.
            } else if !disks.allSatisfy(isConnected)
                || peer.volumes[disk].replica?.isPrimary == true && !isWindow(disk)
            {
                complain("a replica was made Primary without a Secondary beside it")
            } else if !(0..<disks.count).allSatisfy({ after.volumes[$0].holds(written) }) {
                complain("a replica was made Primary although some volume is not up to date")
            }
        }
        // What has arrived live is worth what its disks are once it runs.
        guard before.domain == nil, let domain = after.domain, !domain.hasArrived else { return }
        for disk in disks where !after.volumes[disk].holds(domain.memory) {
            complain("a guest was restored on disks that are not as its memory knows them")
        }
    }

    /// After a command that says that a migration has come to its end, with `other` nil where that host is given up.
    mutating func judgeEnd(_ id: Int, _ outcome: MigrationMachine.Outcome, source: HostID, survivors: [HostID]) {
        let owner: HostID
        switch outcome {
        case .migrated: owner = source.other
        case .rolledBack: owner = source
        case .lost:
            if isMemoryLost, hosts.contains(where: { $0.domain != nil }) {
                complain("given up although the guest exists")
            }
            return judgeResidue(of: id, survivors)
        }
        guard survivors.contains(owner) else { return judgeResidue(of: id, survivors) }
        if let domain = self[owner].domain {
            if !domain.isRunning { complain("said to be over, but the guest is frozen") }
            if domain.uses.contains(.replica) { complain("said to be over, but the guest runs on DRBD") }
            if domain.uses != self[owner].volumes.map(\.plainLink) {
                complain("said to be over, but the guest does not have what its links lead to")
            }
        } else if !isMemoryLost {
            complain("said to be over, but the guest is not where it should be")
        }
        for volume in self[owner].volumes where volume.standing != .active || self[owner].isUp && !volume.isPlain {
            complain("said to be over, but a volume is not the guest's disk")
        }
        if survivors.contains(owner.other) {
            let other = self[owner.other]
            if other.domain != nil || other.away != nil { complain("something of the guest is left over") }
            for volume in other.volumes where volume.link != nil || volume.standing == .active {
                complain("the other host still has a guest's disk")
            }
        }
        judgeResidue(of: id, survivors)
    }

    /// A full disk below the journal alone must not leave the guest frozen as long as there is a way back.
    mutating func judgeFreeze(after action: RandomAction, _ end: ModelEnd?) {
        guard !action.faults.isEmpty, action.faults.allSatisfy({ $0.kind == .journalFull }), end != nil,
            action.mendsFirst,
            !isMemoryLost, let (id, source) = openMigration, self[source].record(id)?.isDecided == false,
            case .migrate = action.command
        else { return }
        if self[source].domain?.isRunning != true { complain("the guest is left frozen for want of a journal") }
    }

    private mutating func judgeResidue(of id: Int, _ survivors: [HostID]) {
        for host in survivors.map({ self[$0] }) {
            if host.images.contains(where: { $0.migration == id }) { complain("an image is left over") }
            if host.pendingRestore != nil { complain("a restore is left over") }
            if host.away != nil { complain("a suspended guest is left over") }
            if host.record(id)?.isOpen == true { complain("a journal is still open") }
            for volume in host.volumes {
                if volume.replica != nil || volume.metadata != nil { complain("a replica is left over") }
                if volume.snapshot != nil { complain("a snapshot is left over") }
                if volume.standing != .active, volume.hasSwitch || volume.table != nil {
                    complain("a switch is left over")
                }
                if volume.standing == .incoming(id) { complain("an unfinished copy is left over") }
                if volume.exists == (volume.standing == .unknown) {
                    complain("a volume that nobody knows is left over")
                }
            }
        }
    }
}
