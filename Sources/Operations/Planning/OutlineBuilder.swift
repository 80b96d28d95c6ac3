import Domains
import HostModel
import Migration
import Replication
import Storage

/// Writes down what each step of a migration will change, with the builders that the steps themselves use. Pure.
struct OutlineBuilder {
    /// A change on a host that is yet to be named.
    enum Change {
        case command(Command, String? = nil)
        /// A command that names the domain by a number which it does not have yet.
        case domainCommand(Command)
        case link(String)
        case file(String, String? = nil)
        case journal(String)
        case exchange(String)

        /// The same, done only where `condition` holds.
        func only(_ condition: String) -> Change {
            switch self {
            case .command(let command, _): .command(command, condition)
            case .file(let text, _): .file(text, condition)
            case .domainCommand, .link, .journal, .exchange: self
            }
        }
    }

    let facts: OutlineFacts
    let storage: OutlineStorage
    var spec: MigrationSpec { facts.spec }

    init(_ facts: OutlineFacts) {
        self.facts = facts
        storage = OutlineStorage(facts: facts)
    }

    /// - Throws: `.refused` where a volume group has no room.
    func outline() throws -> MigrationOutline {
        var steps = [
            MigrationOutline.PlannedStep(
                number: 0, step: nil, phase: .prepare, title: "take the migration into the source's journal",
                freeze: nil, actions: actions(.source, beginning))
        ]
        for (index, step) in spec.plan.steps.enumerated() {
            steps.append(
                MigrationOutline.PlannedStep(
                    number: index + 1, step: step, phase: step.phase, title: step.title,
                    freeze: spec.plan.freeze(during: step).map(spec.plan.number), actions: try actions(of: step)))
        }
        let words = steps.flatMap(\.actions).map(\.text)
        let placeholders = OutlineWord.meanings.filter { entry in words.contains { $0.contains(entry.word) } }
        return MigrationOutline(
            domain: spec.domain, source: spec.source.name, target: spec.target.name, method: spec.plan.method,
            methodReason: facts.methodReason, freezes: facts.freezes,
            placeholders: placeholders.map { MigrationOutline.Placeholder(word: $0.word, meaning: $0.meaning) },
            steps: steps)
    }

    private var beginning: [Change] {
        [
            .file("make \(facts.source.images), 0700"),
            .journal("migration \(spec.id) as its source" + numbersTaken(\.sourceMinor)),
        ]
    }

    /// The numbers that go with the journal's entry; nothing where no disk is copied.
    func numbersTaken(_ minor: (VolumeSpec) -> Int) -> String {
        spec.volumes.isEmpty ? "" : ", with the DRBD minors \(numbers(minor)) and ports \(numbers(\.port))"
    }

    func numbers(_ number: (VolumeSpec) -> Int) -> String {
        spec.volumes.map { String(number($0)) }.joined(separator: ", ")
    }

    func actions(_ role: Role, _ changes: [Change]) -> [MigrationOutline.Action] {
        changes.map { change in
            let (kind, text, condition): (MigrationOutline.Action.Kind, String, String?) =
                switch change {
                case .command(let command, let condition): (.command, command.description, condition)
                case .domainCommand(let command): (.command, lineWithUnknownDomain(command), nil)
                case .link(let text): (.link, text, nil)
                case .file(let text, let condition): (.file, text, condition)
                case .journal(let text): (.journal, text, nil)
                case .exchange(let text): (.exchange, text, nil)
                }
            return MigrationOutline.Action(host: facts.host(role).name, kind: kind, text: text, condition: condition)
        }
    }

    private func lineWithUnknownDomain(_ command: Command) -> String {
        var shown = command
        let number = facts.domain.description
        shown.arguments = command.arguments.map { $0 == number ? OutlineWord.domain : $0 }
        return shown.description
    }
}
