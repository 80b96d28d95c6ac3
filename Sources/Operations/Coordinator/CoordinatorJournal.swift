import HostModel
import Hosts
import Migration

/// The coordinator's durable memory of one migration: the machine, and the history that the report is made of.
///
/// Events are gathered and written with the machine in one transaction, so that a step costs one sync of the disk.
public struct CoordinatorJournal {
    public let id: MigrationID
    public let epoch: Int64
    public private(set) var machine: MigrationMachine
    private let database: StateDatabase
    private var nextSequence: Int
    private var unwritten: [MigrationEvent] = []
    private var unmirrored: [MigrationEvent]
    /// The freeze that an earlier run left open.
    let openFreeze: (freeze: Freeze, since: Int64)?
    /// The first freeze has begun in an earlier run.
    let hasFrozen: Bool
    /// An earlier run has attached the target's replicas a second time.
    let hasAttachedAgain: Bool
    /// The operator has declared the target dead: it is asked nothing any more.
    private(set) var hasDeclaredTargetDead: Bool
    /// What the machine says is not recorded.
    private(set) var isBehind = false
    /// When an earlier run last wrote here; milliseconds since 1970.
    let lastTime: Int64

    /// Takes a migration over for a new run: raises its epoch. Throws where the journal cannot be read.
    public init(takingOver id: MigrationID, in database: StateDatabase) throws {
        self.id = id
        self.database = database
        let record = try database.migration(id.text)
        machine = try record.decodedMachine()
        epoch = record.epoch + 1
        lastTime = record.updated
        try database.raiseEpoch(of: id.text, to: epoch)
        let history = try Self.history(id, in: database)
        nextSequence = (history.last?.sequence ?? 0) + 1
        unmirrored = history
        openFreeze = Self.openFreeze(history)
        hasFrozen = history.contains { $0.kind == .freezeBegan(.substitution) }
        hasAttachedAgain = history.contains { $0.kind == .attachedAgain }
        let spec = try JSONText.decode(MigrationSpec.self, from: record.spec, what: "migration \(id)")
        hasDeclaredTargetDead = history.declaresDead(spec.target.name)
    }

    /// A migration's history as it was recorded.
    public static func history(_ id: MigrationID, in database: StateDatabase) throws -> [MigrationEvent] {
        try database.events(of: id.text).map {
            try JSONText.decode(MigrationEvent.self, from: $0.body, what: "the history of migration \(id)")
        }
    }

    private static func openFreeze(_ history: [MigrationEvent]) -> (freeze: Freeze, since: Int64)? {
        history.reduce(nil) { open, event in
            switch event.kind {
            case .freezeBegan(let freeze): (freeze, event.time)
            case .freezeEnded: nil
            default: open
            }
        }
    }

    /// Adds to the history; written with the next advance or flush.
    mutating func note(_ kind: MigrationEvent.Kind, at time: Int64 = HostContext.now()) {
        let event = MigrationEvent(sequence: nextSequence, time: time, kind: kind)
        nextSequence += 1
        if case .declaredDead = kind { hasDeclaredTargetDead = true }
        unwritten.append(event)
        unmirrored.append(event)
    }

    /// Tells the machine and records where that leads, durably, before anybody acts on it. Where it cannot be recorded the
    /// machine stays where it was.
    mutating func advance(
        _ event: MigrationMachine.Event, _ notes: [MigrationEvent.Kind]
    ) throws -> MigrationMachine.Action {
        for kind in notes { note(kind) }
        var next = machine
        let action = next.handle(event)
        if case .refuse = action { return action }
        try write(next)
        machine = next
        return action
    }

    /// For a way back that cannot be recorded.
    mutating func advanceUnrecorded(_ event: MigrationMachine.Event) -> MigrationMachine.Action {
        isBehind = true
        return machine.handle(event)
    }

    mutating func flush() throws { try write(machine) }

    private mutating func write(_ machine: MigrationMachine) throws {
        let isOpen: Bool
        if case .finished = machine.state { isOpen = false } else { isOpen = true }
        try database.update(
            id.text, machine: try JSONText.encode(machine), decided: machine.isCommitted, isOpen: isOpen,
            at: HostContext.now(), events: try unwritten.map { ($0.sequence, try JSONText.encode($0)) })
        unwritten = []
        isBehind = false
    }

    mutating func takeUnmirrored() -> [MigrationEvent] {
        defer { unmirrored = [] }
        return unmirrored
    }

    mutating func returnUnmirrored(_ events: [MigrationEvent]) { unmirrored = events + unmirrored }
}

extension [MigrationEvent] {
    /// The operator has declared this host dead.
    public func declaresDead(_ host: HostName) -> Bool { contains { $0.kind == .declaredDead(host) } }
}

extension MigrationRecord {
    /// What `machine` holds. Throws `.inconsistent` where it cannot be read.
    func decodedMachine() throws -> MigrationMachine {
        try JSONText.decode(MigrationMachine.self, from: machine, what: "the state of migration \(id)")
    }
}
