import HostModel

@testable import Migration

/// What one simulated host holds of one domain with one volume.
///
/// Data is modelled by currency, not by content: `isCurrent` says whether the host's volume holds everything the guest
/// ever wrote. That keeps the state space finite, so that every reachable state can be visited.
struct SimulatedHost: Hashable {
    enum Link: Hashable { case none, volume, replica }
    enum Replica: Hashable { case down, secondary, primary }
    enum Domain: Hashable { case none, paused, running }
    enum Image: Hashable { case none, whole, spent }

    var isReserved = false
    var hasVolume = false
    var isCurrent = false
    /// DRBD says UpToDate of the host's own copy.
    var isComplete = false
    var replica = Replica.down
    var connects = false
    var link = Link.none
    var domain = Domain.none
    var domainUses = Link.none
    var image = Image.none
    /// The guest has not written since the image was taken.
    var imageMatches = false
    var knowsDecision = false
    /// The guest has run here.
    var hasRun = false
    /// `xl restore` runs and waits for the tail of the stream.
    var restorePending = false
}

/// Two hosts and the steps that change them, each written as the real hosts do it: what is already so is left alone.
struct SimulatedWorld: Hashable {
    var source = SimulatedHost()
    var target = SimulatedHost()
    /// DRBD reports UpToDate on both sides.
    var isSynchronised = false
    /// The target is lost for good, with everything it had.
    var isTargetDead = false
    /// The source has lost what it had in memory; its disk is as it left it.
    var isSourceRestarted = false
    /// The decision stood once: from then on the guest may have run on the target.
    var wasDecided = false
    var violation: String?

    static let beginning: SimulatedWorld = {
        var world = SimulatedWorld()
        world.source.hasVolume = true
        world.source.isCurrent = true
        world.source.link = .volume
        world.source.domain = .running
        world.source.domainUses = .volume
        return world
    }()

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
    mutating func open(_ host: WritableKeyPath<SimulatedWorld, SimulatedHost>) throws {
        let held = self[keyPath: host]
        try require(held.link == .volume || (held.link == .replica && held.replica == .primary))
        if !held.imageMatches { violation = "an image was restored after the guest had run on" }
        if !held.isCurrent { violation = "a guest was restored on an old copy of its disk" }
        self[keyPath: host].domain = .paused
        self[keyPath: host].domainUses = held.link
    }

    mutating func `continue`(_ host: WritableKeyPath<SimulatedWorld, SimulatedHost>) throws {
        if self[keyPath: host].domain == .running { return }
        try require(self[keyPath: host].domain == .paused)
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
        try require(self[keyPath: host].domain == .none || self[keyPath: host].domainUses != .replica)
        self[keyPath: host].replica = .down
        self[keyPath: host].connects = false
    }

    mutating func targetDies() {
        target = SimulatedHost()
        isTargetDead = true
    }

    /// The source falls silent for good, as far as its target's operator knows: it has lost its power, or only its network.
    mutating func sourceIsLost(restarting: Bool, isCommitted: Bool) {
        coordinatorDies()
        source.connects = false
        isSynchronised = false
        // There is no newer copy left.
        if target.isComplete { target.isCurrent = true }
        guard restarting else { return }
        isSourceRestarted = true
        source.domain = .none
        source.domainUses = .none
        source.image = .none
        source.replica = .down
        source.link = isCommitted || !source.hasVolume ? .none : .volume
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
            case (.none, false, _): .absent
            }
        let copies: TargetFacts.Copies = target.isComplete ? .upToDate : target.hasVolume ? .incomplete : .unknown
        return TargetFacts(isDecided: target.knowsDecision, guest: guest, copies: copies)
    }

    /// Whether somebody could restore memory on a disk that may be newer: a command of ours, or `xl restore` typed by hand.
    var offersOldMemory: Bool { wasDecided && source.link == .volume && source.image == .whole }

    /// Time passes: a running guest writes.
    mutating func tick() {
        if source.domain == .running, target.domain == .running { violation = "the domain runs on both hosts" }
        if source.domain == .running { write(on: \.source, peer: \.target) }
        if target.domain == .running { write(on: \.target, peer: \.source) }
        if source.replica == .primary, target.replica == .primary, isConnected { violation = "two Primaries" }
        for host in [source, target] where host.domain != .none {
            if host.domainUses == .replica, host.replica != .primary {
                violation = "a domain lost the replica below it"
            }
            if host.domainUses == .volume, host.replica == .primary {
                violation = "a domain writes below a Primary replica"
            }
        }
        if target.domain == .running, !target.knowsDecision { violation = "the target runs without the decision" }
    }

    private mutating func write(
        on host: WritableKeyPath<SimulatedWorld, SimulatedHost>, peer: WritableKeyPath<SimulatedWorld, SimulatedHost>
    ) {
        if !self[keyPath: host].isCurrent { violation = "a guest writes to an old copy" }
        let replicates = self[keyPath: host].domainUses == .replica && isConnected && isSynchronised
        self[keyPath: peer].isCurrent = self[keyPath: peer].hasVolume && replicates
        self[keyPath: host].imageMatches = false
        self[keyPath: peer].imageMatches = false
        if !isConnected { isSynchronised = false }
    }

    /// The guest exists: it runs or is paused somewhere, or a whole image waits beside a current copy of its disk.
    var guestSurvives: Bool {
        [source, target].contains { host in
            host.domain != .none || (host.image == .whole && host.imageMatches && host.isCurrent)
        }
    }
}
