import HostModel

@testable import Migration

/// What one simulated host holds of one domain with one volume.
///
/// Data is modelled by currency, not by content: `isCurrent` says whether the host's volume holds everything the guest
/// ever wrote. That keeps the state space finite, so that every reachable state can be visited.
struct SimulatedHost: Hashable {
    enum Link: Hashable { case none, volume, replica, deviceSwitch }
    /// Where the switch leads, if there is one.
    enum Table: Hashable { case none, volume, replica, closed }
    enum Replica: Hashable { case down, secondary, primary }
    /// `away` is suspended on the source, under another name, once `xl migrate` has let it go.
    enum Domain: Hashable { case none, paused, running, away }
    enum Image: Hashable { case none, whole, spent }

    var isReserved = false
    var hasVolume = false
    var isCurrent = false
    /// DRBD says UpToDate of the host's own copy.
    var isComplete = false
    var replica = Replica.down
    var connects = false
    var link = Link.none
    var table = Table.none
    var domain = Domain.none
    var domainUses = Link.none
    var image = Image.none
    /// The guest has not written since the image was taken.
    var imageMatches = false
    var knowsDecision = false
    /// The guest has run here.
    var hasRun = false
    /// Requests of a guest that does not run here any more may still reach its disk.
    var hasRequests = false
    /// `xl restore` runs and waits for the tail of the stream.
    var restorePending = false

    /// What the domain writes to in the end.
    enum Reach: Hashable { case nothing, volume, replica }

    var reach: Reach {
        switch (domainUses, table) {
        case (.none, _), (.deviceSwitch, .none), (.deviceSwitch, .closed): .nothing
        case (.volume, _), (.deviceSwitch, .volume): .volume
        case (.replica, _), (.deviceSwitch, .replica): .replica
        }
    }

    /// The disk of a guest without a migration: plainly the volume, or a switch that leads to it.
    func hasPlainDisk(_ plan: MigrationPlan) -> Bool {
        plan.usesSwitches ? link == .deviceSwitch && table == .volume : link == .volume && table == .none
    }

    mutating func linkToVolume(_ plan: MigrationPlan) {
        link = plan.usesSwitches ? .deviceSwitch : .volume
        if plan.usesSwitches { table = .volume }
    }
}

/// Two hosts and the steps that change them, each written as the real hosts do it: what is already so is left alone.
struct SimulatedWorld: Hashable {
    var source = SimulatedHost()
    var target = SimulatedHost()
    /// DRBD reports UpToDate on both sides.
    var isSynchronised = false
    /// Both hosts have one and the same disk.
    var isShared = false
    var isLive = false
    /// The guest is shut down and started: it has no memory that could be lost.
    var isCold = false
    /// DRBD lets both sides be Primary.
    var isWindowOpen = false
    /// The target is lost for good, with everything it had.
    var isTargetDead = false
    /// The hosts do not hear each other for now.
    var isLinkCut = false
    /// The source has lost what it had in memory; its disk is as it left it.
    var isSourceRestarted = false
    /// The decision stood once: from then on the guest may have run on the target.
    var wasDecided = false
    var violation: String?

    static func beginning(_ plan: MigrationPlan) -> SimulatedWorld {
        var world = SimulatedWorld()
        world.source.hasVolume = true
        world.source.isCurrent = true
        world.source.linkToVolume(plan)
        world.source.domain = .running
        world.source.domainUses = world.source.link
        world.isLive = plan.method == .live
        world.isCold = plan.method == .cold
        guard plan.storage == .shared else { return world }
        world.isShared = true
        world.target.hasVolume = true
        world.target.isCurrent = true
        world.target.isComplete = true
        world.target.linkToVolume(plan)
        return world
    }

    /// Whether nothing is heard of a step.
    func isDeaf(to step: Step) -> Bool { (isTargetDead || isLinkCut) && step.side != .source }

    var isConnected: Bool {
        source.connects && target.connects && source.replica != .down && target.replica != .down
    }

    /// Refusals of a simulated host; the text is fixed so that equal states stay equal.
    struct Refused: Error {}

    mutating func require(_ condition: Bool) throws { if !condition { throw Refused() } }

    /// A saved guest's image must be restored on exactly the data that it was saved over.
    mutating func restore(_ host: WritableKeyPath<SimulatedWorld, SimulatedHost>) throws {
        if self[keyPath: host].domain != .none { return }
        try require(self[keyPath: host].image == .whole)
        try open(host)
    }

    /// A domain comes into being, paused, on what the link points to.
    /// - Parameter isLive: with the memory that the guest has at this moment, and not with an image's.
    mutating func open(
        _ host: WritableKeyPath<SimulatedWorld, SimulatedHost>, whileMatching isLive: Bool = false
    ) throws {
        if isLive { (source.imageMatches, target.imageMatches) = (true, true) }
        let held = self[keyPath: host]
        // A closed switch can be opened, and would refuse the guest's first request: who opens it has to look before.
        try require(
            held.link == .volume || (held.link == .replica && held.replica == .primary)
                || (held.link == .deviceSwitch && (held.table == .volume || held.table == .replica)))
        if !held.imageMatches { violation = "an image was restored after the guest had run on" }
        if !held.isCurrent { violation = "a guest was restored on an old copy of its disk" }
        self[keyPath: host].domain = .paused
        self[keyPath: host].domainUses = held.link
    }

    mutating func `continue`(_ host: WritableKeyPath<SimulatedWorld, SimulatedHost>) throws {
        if self[keyPath: host].domain == .running { return }
        try require(self[keyPath: host].domain == .paused)
        // Any other guest's memory on a copy of its own is as old as that is.
        if isShared || isLive, !self[keyPath: host].imageMatches {
            violation = "a guest was let run whose memory is older than its disk"
        }
        let other: WritableKeyPath<SimulatedWorld, SimulatedHost> = host == \.source ? \.target : \.source
        if isShared || isLive, self[keyPath: other].hasRequests {
            violation = "a late request reaches a disk that was handed over"
        }
        self[keyPath: host].image = .spent
        self[keyPath: host].domain = .running
        self[keyPath: host].hasRun = true
    }

    mutating func save(_ host: WritableKeyPath<SimulatedWorld, SimulatedHost>) throws {
        if self[keyPath: host].domain == .none, self[keyPath: host].image == .whole { return }
        try require(self[keyPath: host].domain == .running)
        self[keyPath: host].domain = .none
        self[keyPath: host].domainUses = .none
        self[keyPath: host].image = .whole
        self[keyPath: host].imageMatches = true
    }

    mutating func takeDown(_ host: WritableKeyPath<SimulatedWorld, SimulatedHost>) throws {
        // A device in use cannot be taken down: the kernel refuses.
        try require(self[keyPath: host].domain == .none || self[keyPath: host].reach != .replica)
        if self[keyPath: host].table == .replica { self[keyPath: host].table = .closed }
        self[keyPath: host].replica = .down
        self[keyPath: host].connects = false
    }

    /// DRBD loses its connection. Two Primaries do not connect again by themselves.
    mutating func cutLink() {
        isLinkCut = true
        (source.connects, target.connects) = (false, false)
    }

    mutating func targetDies() {
        target = SimulatedHost()
        if isShared { (target.hasVolume, target.isCurrent, target.link) = (true, true, .volume) }
        isTargetDead = true
    }

    /// The source falls silent for good, as far as its target's operator knows: it has lost its power, or only its network.
    mutating func sourceIsLost(restarting: Bool, _ machine: MigrationMachine) {
        coordinatorDies()
        // What is done from now on is done on one host alone.
        isLinkCut = false
        source.connects = false
        isSynchronised = false
        // There is no newer copy left.
        if target.isComplete { target.isCurrent = true }
        guard restarting else { return }
        source.hasRequests = false
        isSourceRestarted = true
        source.domain = .none
        source.domainUses = .none
        source.image = .none
        source.replica = .down
        (source.link, source.table) = (.none, .none)
        if !machine.isCommitted, source.hasVolume { source.linkToVolume(machine.plan) }
    }

    /// What the target's operator finds.
    var targetFacts: TargetFacts {
        let guest: TargetFacts.Guest =
            switch (target.domain, target.image == .whole, target.hasRun) {
            case (.running, _, _): .running
            case (.paused, true, true): .pausedInSettlement
            case (.paused, _, _): .paused
            case (.none, true, true): .saved
            case (.none, true, false): .received
            case (.none, false, _), (.away, _, _): .absent
            }
        let copies: TargetFacts.Copies = target.isComplete ? .upToDate : target.hasVolume ? .incomplete : .unknown
        return TargetFacts(isDecided: target.knowsDecision, guest: guest, copies: copies)
    }

    /// Whether somebody could restore memory on a disk that may be newer: a command of ours, or `xl restore` typed by hand.
    var offersOldMemory: Bool {
        let isOpen = source.link == .volume || source.link == .deviceSwitch && source.table == .volume
        return wasDecided && isOpen && source.image == .whole && (!isShared || target.knowsDecision)
    }

    /// Time passes: a running guest writes.
    mutating func tick() {
        if source.domain == .running, target.domain == .running { violation = "the domain runs on both hosts" }
        if source.domain == .running { write(on: \.source, peer: \.target) }
        if target.domain == .running { write(on: \.target, peer: \.source) }
        if source.replica == .primary, target.replica == .primary, isConnected, !isWindowOpen {
            violation = "two Primaries"
        }
        for host in [source, target] where host.domain != .none {
            if host.reach == .replica, host.replica != .primary {
                violation = "a domain lost the replica below it"
            }
            if host.domain == .running, host.reach == .nothing {
                violation = "a running domain's disk refuses its writes"
            }
            // By a switch a domain may be led past a Primary: whoever relies on the peer's copy then is found out by it.
            if host.domainUses == .volume, host.replica == .primary {
                violation = "a domain writes below a Primary replica"
            }
        }
        if target.domain == .running, target.domainUses == .volume, target.replica != .down {
            violation = "a guest writes below a replica that the peer may still be told of"
        }
        if target.domain == .away { violation = "the target has let the domain go" }
        if isWindowOpen, isConnected, target.domain == .running, target.reach == .volume {
            violation = "two Primaries are allowed longer than for the hand-over"
        }
        if target.domain == .running, !target.knowsDecision { violation = "the target runs without the decision" }
    }

    private mutating func write(
        on host: WritableKeyPath<SimulatedWorld, SimulatedHost>, peer: WritableKeyPath<SimulatedWorld, SimulatedHost>
    ) {
        if !self[keyPath: host].isCurrent { violation = "a guest writes to an old copy" }
        let replicates = self[keyPath: host].reach == .replica && isConnected && isSynchronised
        self[keyPath: peer].isCurrent = self[keyPath: peer].hasVolume && (replicates || isShared)
        self[keyPath: host].imageMatches = false
        self[keyPath: peer].imageMatches = false
        if !isConnected { isSynchronised = false }
    }

    /// The guest exists: it runs or is paused somewhere, or a whole image waits beside a current copy of its disk.
    var guestSurvives: Bool {
        [source, target].contains { host in
            isCold && host.hasVolume && host.isCurrent || host.domain != .none
                || (host.image == .whole && host.imageMatches && host.isCurrent)
        }
    }
}
