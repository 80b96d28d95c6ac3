import HostModel
import Hosts
import Migration

/// A target's own journal of a migration that it brings to its end alone. Its events follow those that the source had sent.
struct ResolutionJournal {
    private let spec: MigrationSpec
    private let database: StateDatabase
    private var nextSequence: Int
    private var unwritten: [MigrationEvent] = []
    /// The run's number: higher than any that a source can have.
    let epoch: Int64

    /// Takes the migration over: whatever the source orders from here on is refused.
    init(_ spec: MigrationSpec, declaringDead host: HostName, in database: StateDatabase) throws {
        self.spec = spec
        self.database = database
        let record = try database.migration(spec.id.text)
        epoch = ResolutionEpoch.next(after: record.epoch)
        let history = try CoordinatorJournal.history(spec.id, in: database)
        nextSequence = (history.last?.sequence ?? 0) + 1
        note(.runBegan(epoch: epoch, resumed: true))
        if !history.declaresDead(host) { note(.declaredDead(host)) }
        // The word first: with it this can be gone on with whoever answers by then, without it the source would be locked out.
        try flush()
        try database.raiseEpoch(of: spec.id.text, to: epoch)
    }

    mutating func note(_ kind: MigrationEvent.Kind) {
        unwritten.append(MigrationEvent(sequence: nextSequence, time: HostContext.now(), kind: kind))
        nextSequence += 1
    }

    mutating func flush() throws {
        try write(machine: try database.migration(spec.id.text).machine, isOpen: true)
    }

    /// Closes the migration with its outcome, in one write, and gives its DRBD numbers back.
    mutating func finish(_ outcome: MigrationMachine.Outcome) throws {
        note(.finished(outcome))
        let machine = MigrationMachine(plan: spec.plan, endedWith: outcome)
        try write(machine: try JSONText.encode(machine), isOpen: false)
    }

    /// The decision is the steps' to make.
    private mutating func write(machine: String, isOpen: Bool) throws {
        try database.update(
            spec.id.text, machine: machine, decided: false, isOpen: isOpen, at: HostContext.now(),
            events: try unwritten.map { ($0.sequence, try JSONText.encode($0)) })
        unwritten = []
    }
}
