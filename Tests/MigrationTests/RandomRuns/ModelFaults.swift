@testable import Migration

/// What strikes a run, at one of the things that it changes.
enum ModelFault: CaseIterable, Sendable {
    /// The coordinator is killed; what it had asked of the other host is done there all the same.
    case killedBefore, killedAfter
    case agentKilledBefore, agentKilledAfter
    case failsBefore, failsAfter
    /// It is not done in time, and perhaps later.
    case hangs
    /// It is done, and nobody hears of it.
    case answerLost
    case sourceOff, targetOff, bothOff
    case linkCut
    /// DRBD's connections alone.
    case replicationLost
    case journalFull
    /// Ctrl-C.
    case interrupted
    /// The target loses its power, and what is being done takes longer than its last word counts.
    case targetLongOff
}

struct PlannedFault: Hashable, Sendable {
    /// Counts the things that one command changes, from 1 on.
    var at: Int
    var kind: ModelFault
}

/// A defect that is built into the simulated product, to see that the runs find it.
enum Sabotage: CaseIterable, Sendable {
    case decisionIsNotRecorded, decisionIsNotTold, promotesWithoutCheck, abortsAfterDecision,
        sparesImages, doesNotSynchronise, synchronisesOneVolumeOnly, doesNotVerify, linksBelowTheGuest, leavesMetadata,
        losesCommits,
        forgetsEpochs, restsInRescue, attachesOneByOne, recordsDecisionInParts, stopsWithoutJournal, decidesBlindly
    // Of migrations by switches.
    case staysOnVolume, trustsSwitches, closesBelowTheGuest, leavesSwitch, opensNothing
    // Of live hand-overs.
    case leavesWindow, skipsQuiet, startsTwice, leavesAway, recallsOnClosed
    // Of guests that are shut down.
    case skipsShutDown, staysOff, forgetsRestart
    // Of data that are sent past DRBD.
    case forgetsSeedDelta

    /// Migrations that show it.
    var plan: MigrationPlan {
        switch self {
        case .staysOnVolume, .trustsSwitches, .closesBelowTheGuest, .leavesSwitch, .opensNothing:
            MigrationPlan(method: .oneFreeze, settlement: .late, comparesCopies: false)
        case .leavesWindow, .skipsQuiet, .startsTwice, .leavesAway, .recallsOnClosed:
            MigrationPlan(method: .live, settlement: .late, comparesCopies: false)
        case .skipsShutDown, .staysOff, .forgetsRestart:
            MigrationPlan(method: .cold, settlement: .late, comparesCopies: false)
        case .forgetsSeedDelta:
            MigrationPlan(method: .oneFreeze, settlement: .late, comparesCopies: false, seeds: true)
        default: MigrationPlan(settlement: .late, comparesCopies: false)
        }
    }
}

/// Each thing that a command changes, and what may strike it.
extension ModelWorld {
    /// Changes one thing on one host, unless a fault strikes.
    mutating func effect(
        _ id: HostID, _ name: @autoclosure () -> String, _ change: @escaping @Sendable (inout ModelHost) -> Void
    ) throws(Break) {
        finishLate(id)
        effects += 1
        guard let fault = faults.first(where: { $0.at == effects }) else { return apply(id, name(), change) }
        let place = "\(fault.kind) at \(effects), \(name()) on \(id)"
        note("⚡ \(place)")
        try strike(fault.kind, id, change)
    }

    /// Writes to the journal of the host that the command runs on: it is there wholly, and synced, or not at all.
    mutating func commit(
        _ name: @autoclosure () -> String, _ change: @escaping @Sendable (inout ModelHost) -> Void
    ) throws(Break) {
        if isJournalFull { throw .failed }
        switch faults.first(where: { $0.at == effects + 1 })?.kind {
        case .failsAfter?:
            effects += 1
            throw .failed
        case .hangs?:
            effects += 1
            letWordAge()
            apply(coordinator, name(), change)
        default: try effect(coordinator, name(), change)
        }
    }

    private mutating func strike(
        _ kind: ModelFault, _ id: HostID, _ change: @escaping @Sendable (inout ModelHost) -> Void
    ) throws(Break) {
        let isRemote = id != coordinator
        switch kind {
        case .killedBefore, .killedAfter:
            isCoordinatorDead = true
            if isRemote || kind == .killedAfter { apply(id, "that", change) }
            if !isRemote { throw .coordinatorDied }
        case .agentKilledBefore, .agentKilledAfter:
            self[coordinator.other].pendingRestore = nil
            hasSender = false
            if !isRemote || kind == .agentKilledAfter { apply(id, "that", change) }
            if isRemote { throw .unknown }
        case .failsBefore: throw .failed
        case .failsAfter:
            apply(id, "that", change)
            throw .failed
        case .hangs:
            late[id.rawValue].append(change)
            throw .unknown
        case .answerLost:
            apply(id, "that", change)
            isAnswerLost = isRemote
        case .sourceOff: try cutPower(of: [coordinator], before: change, on: id)
        case .targetOff: try cutPower(of: [coordinator.other], before: change, on: id)
        case .bothOff: try cutPower(of: HostID.allCases, before: change, on: id)
        case .targetLongOff:
            // Afterwards: what was under way could not know of it.
            defer {
                self[coordinator.other].isLongOff = true
                letWordAge()
            }
            try cutPower(of: [coordinator.other], before: change, on: id)
        case .linkCut:
            apply(id, "that", change)
            cutLink()
            if isRemote { throw .unknown }
        case .replicationLost:
            apply(id, "that", change)
            losePeers()
            isReplicating = false
        case .journalFull:
            isJournalFull = true
            apply(id, "that", change)
        case .interrupted:
            isInterrupted = true
            apply(id, "that", change)
        }
    }

    private mutating func cutPower(
        of ids: [HostID], before change: @Sendable (inout ModelHost) -> Void, on id: HostID
    ) throws(Break) {
        for one in ids { losePower(one) }
        if ids.contains(coordinator) {
            isCoordinatorDead = true
            throw .coordinatorDied
        }
        if ids.contains(id) { throw .unknown }
        apply(id, "that", change)
    }

    mutating func losePower(_ id: HostID) {
        // Asked first: a guest that was started by hand is where it runs, whatever the journals say.
        if id == guestsOwner, !isGuestOff { isMemoryLost = true }
        self[id].losePower()
        late[id.rawValue] = []
        if sabotage == .losesCommits {
            self[id].journal = self[id].journal.map { record in
                var record = record
                record.isDecided = false
                return record
            }
        }
    }

    /// What is sent dies with the link; DRBD connects again by itself when it is back.
    private mutating func cutLink() {
        losePeers()
        isLinked = false
        hasSender = false
        for id in HostID.allCases { self[id].pendingRestore = nil }
    }

    private mutating func letWordAge() {
        if word != nil { word = .old }
    }

    mutating func finishLate(_ id: HostID) {
        isLate = true
        while !late[id.rawValue].isEmpty { apply(id, "what hung", late[id.rawValue].removeFirst()) }
        isLate = false
    }

    private mutating func apply(_ id: HostID, _ name: String, _ change: @Sendable (inout ModelHost) -> Void) {
        note("\(name) on \(id)")
        let before = self[id]
        change(&self[id])
        tellPeer(of: id, before)
        judgeChange(of: id, from: before)
        meetPeers()
        letTimePass()
        judge()
    }
}
