import HostModel

@testable import Migration

/// What an operator types.
enum ModelCommand: Hashable, Sendable {
    case migrate(MigrationPlan, removesSource: Bool)
    case resume, abort
    /// The other host is switched off for good first.
    case resolve(on: HostID)
    /// `xl create` of a guest whose memory is lost, where it belongs.
    case startGuest
    case removeOldCopy
    case powerCut(HostID)
}

extension ModelWorld {
    /// The open migration, and the host that can be asked to go on with it.
    var openMigration: (id: Int, source: HostID)? {
        for host in HostID.allCases {
            for record in self[host].journal where record.isOpen {
                return (record.id, record.isSource ? host : host.other)
            }
        }
        return nil
    }

    /// The host that the guest's memory goes with.
    var guestsOwner: HostID? {
        if let host = HostID.allCases.first(where: { self[$0].domain?.isRunning == true }) { return host }
        guard let (id, source) = openMigration, let record = self[source].record(id), record.isOpen else {
            return HostID.allCases.first { self[$0].volumes.allSatisfy { $0.standing == .active } }
        }
        return record.isDecided ? source.other : source
    }

    /// Runs a command; nil where it cannot be typed as things are.
    mutating func type(_ command: ModelCommand, _ faults: [PlannedFault]) -> ModelEnd? {
        self.faults = faults
        defer { self.faults = [] }
        switch command {
        case .migrate(let plan, let removesSource): return migrate(plan, removesSource: removesSource)
        case .resume: return proceed(.resumed)
        case .abort: return proceed(.abortRequested)
        case .resolve(let host): return resolve(on: host)
        case .startGuest: startGuest()
        case .removeOldCopy: removeOldCopy()
        case .powerCut(let host): losePower(host)
        }
        return nil
    }

    /// Switches everything on that is off, and mends the link.
    mutating func mend() {
        (isLinked, isReplicating) = (true, true)
        for id in HostID.allCases { self[id].start() }
        wait()
    }

    private mutating func migrate(_ plan: MigrationPlan, removesSource: Bool) -> ModelEnd? {
        guard openMigration == nil, isLinked, isReplicating, hosts.allSatisfy(\.isUp),
            let source = HostID.allCases.first(where: { runsOnVolumes($0) }),
            self[source].volumes.allSatisfy({ $0.hasSwitch == plan.usesSwitches })
        else { return nil }
        isMemoryLost = false
        for host in HostID.allCases { self[host].offAfter = nil }
        let id = (hosts.flatMap(\.journal).map(\.id).max() ?? 0) + 1
        let record = ModelRecord(
            id: id, isSource: true, removesSource: removesSource, machine: MigrationMachine(plan: plan))
        self[source].journal.append(record)
        return drive(id, on: source, nil)
    }

    private mutating func proceed(_ event: MigrationMachine.Event) -> ModelEnd? {
        guard let (id, source) = openMigration, self[source].isUp else { return nil }
        return drive(id, on: source, event)
    }

    // MARK: One host alone

    private mutating func resolve(on host: HostID) -> ModelEnd? {
        guard let (id, source) = openMigration, let record = self[host].record(id), record.isOpen, self[host].isUp
        else {
            return nil
        }
        // Two operators who each declare the other host dead cannot be helped.
        if self[host.other].record(id)?.hasDeclaredPeerDead == true { return nil }
        if !record.hasDeclaredPeerDead {
            finishLate(host)
            fence(host.other, leavingData: host == source || hasDisks(record, host))
        }
        return host == source ? drive(id, on: source, .peerFenced(Self.fenced)) : resolveTarget(id, on: host)
    }

    /// What the other host had is given up: what is left here is the guest's data from now on, if it is whole. Where it is not,
    /// nobody has them but that host, should it come back.
    private mutating func fence(_ dead: HostID, leavingData: Bool) {
        losePower(dead)
        isMemoryLost = true
        guard leavingData else { return }
        let left = self[dead.other].volumes
        guard let oldest = left.map(\.body).min(), oldest >= 0 else { return }
        written = min(written, oldest)
        // Each volume has a connection of its own; the report says so.
        if !left.allSatisfy({ $0.body == oldest }) { (isInDoubt, areDisksApart) = (true, true) }
    }

    private func hasDisks(_ record: ModelRecord, _ host: HostID) -> Bool {
        switch TargetResolution(facts(record, host), record.machine.plan) {
        case .finish, .diskAlone, .refuse: true
        case .incomplete: false
        }
    }

    private mutating func resolveTarget(_ id: Int, on host: HostID) -> ModelEnd {
        begin(on: host)
        defer { endCommand() }
        finishLate(host)
        guard let record = self[host].record(id) else { return .refused }
        let outcome: MigrationMachine.Outcome
        let steps: [Step]
        switch TargetResolution(facts(record, host), record.machine.plan) {
        case .finish(let way): (steps, outcome) = (way, .migrated)
        case .diskAlone(let way), .incomplete(let way): (steps, outcome) = (way, .lost(because: Self.fenced))
        case .refuse(let failure):
            complain("the target can do nothing: \(failure.what)")
            return .refused
        }
        let order = ModelOrder(
            id: id, epoch: ResolutionEpoch.next(after: record.epoch), isSource: false,
            plan: record.machine.plan)
        do throws(Break) {
            try commit("take the migration over") { host in
                host.change(id) { ($0.hasDeclaredPeerDead, $0.epoch) = (true, order.epoch) }
            }
            for step in steps { try perform(step, order, on: host) }
            try commit("close") { $0.change(id) { $0.isOpen = false } }
        } catch { return .died }
        judgeEnd(id, outcome, source: host.other, survivors: [host])
        return .finished(outcome)
    }

    private func facts(_ record: ModelRecord, _ host: HostID) -> TargetFacts {
        let here = self[host]
        let isSaved = here.wholeImage(record.id, .settlement) != nil
        let guest: TargetFacts.Guest =
            switch here.domain?.isRunning {
            case nil: isSaved ? .saved : here.wholeImage(record.id, .received) != nil ? .received : .absent
            case false?: isSaved ? .pausedInSettlement : .paused
            case true?: .running
            }
        let areIncomplete = disks.contains { isIncomplete($0, host) }
        let areUnknown = here.volumes.contains { $0.metadata == nil }
        return TargetFacts(
            isDecided: record.isDecided, guest: guest,
            copies: areIncomplete ? .incomplete : areUnknown ? .unknown : .upToDate)
    }

    // MARK: The rest

    /// Where a guest whose memory is lost has to be started from its disks.
    private var guestsHost: HostID? {
        if let (id, source) = openMigration {
            let (here, there) = (self[source].record(id), self[source.other].record(id))
            // A host that is being given up: first that is brought to its end.
            if [here, there].contains(where: { $0?.isOpen == true && $0?.hasDeclaredPeerDead == true }) { return nil }
            if let here, here.isOpen {
                // A source that was called dead does not know better; its operator does.
                return here.isDecided || there?.hasDeclaredPeerDead == true ? source.other : source
            }
            return source
        }
        return HostID.allCases.first { self[$0].volumes.allSatisfy { $0.standing == .active } }
    }

    mutating func startGuest() {
        guard hosts.allSatisfy({ $0.domain == nil }), isMemoryLost, let host = guestsHost, self[host].isUp,
            self[host].away == nil
        else { return }
        finishLate(host)
        for disk in disks where self[host].volumes[disk].standing == .active && self[host].volumes[disk].replica == nil
        {
            self[host].volumes[disk].linkToVolume()
        }
        let volumes = self[host].volumes
        guard let body = volumes.map(\.body).min(), volumes.allSatisfy({ $0.isPlain && $0.replica == nil })
        else {
            return
        }
        if body < written { complain("started from its disks the guest has lost what it wrote") }
        if !volumes.allSatisfy({ $0.holds(body) }) {
            if !isInDoubt { complain("the guest's disks do not fit each other") }
            for disk in disks {
                (self[host].volumes[disk].body, self[host].volumes[disk].tail) = (body, ModelVolume.tail(after: body))
            }
        }
        note("start the guest on \(host)")
        self[host].domain = ModelDomain(isRunning: true, memory: body, uses: volumes.map(\.plainLink))
        (isMemoryLost, areDisksApart, written) = (false, false, body)
        wait()
    }

    private mutating func removeOldCopy() {
        guard openMigration == nil else { return }
        for id in HostID.allCases where self[id].isUp {
            for disk in disks {
                if case .retired = self[id].volumes[disk].standing { self[id].volumes[disk] = ModelVolume() }
            }
        }
        wait()
    }
}
