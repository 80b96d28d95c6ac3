import HostModel
import Migration
import Reporting

/// Everything that a migration would change, in order: what `--dry-run` prints. Its field names are a contract.
public struct MigrationOutline: Sendable, Encodable, Equatable {
    /// One change.
    public struct Action: Sendable, Encodable, Equatable {
        public enum Kind: String, Sendable, Encodable {
            /// A program that is run.
            case command
            /// A link below `/dev/xenlvs`.
            case link
            /// A file that is made, renamed or removed.
            case file
            /// An entry in a host's journal.
            case journal
            /// Something that passes between the hosts, or is waited for.
            case exchange
        }

        public var host: HostName
        public var kind: Kind
        /// A command line as it could be typed, secrets replaced; otherwise a sentence.
        public var text: String
        /// When it is done, where that is known only then.
        public var condition: String?
    }

    public struct PlannedStep: Sendable, Encodable, Equatable {
        /// From 1 on; 0 is what comes before the first step.
        public var number: Int
        /// The step's name in the journal; nil for number 0.
        public var step: Step?
        public var phase: Step.Phase
        public var title: String
        /// The number of the freeze that the guest feels meanwhile.
        public var freeze: Int?
        public var actions: [Action]
    }

    /// A word that stands in an action for what only the run itself will know.
    public struct Placeholder: Sendable, Encodable, Equatable {
        public var word: String
        public var meaning: String
    }

    public var domain: DomainName
    public var source: HostName
    public var target: HostName
    public var method: MigrationPlan.Method
    /// Why it is that method.
    public var methodReason: String
    /// None where nothing is known to go by.
    public var freezes: [FreezeForecast]
    public var placeholders: [Placeholder]
    public var steps: [PlannedStep]
}

extension MigrationOutline {
    static let remarks = [
        "Nothing was changed. Left out is what only looks: before and after each step both hosts are asked whether it "
            + "has taken effect (lvs, xl list, xenstore-read, drbdsetup events2 and others).",
        "Ctrl-C, or a failure before the decision, leads back to the source by other commands than these.",
    ]

    /// For people.
    public var text: String {
        var lines = [
            "Migration of \(domain) from \(source) to \(target)", "Method: \(method.rawValue), \(methodReason)",
            "Freezes: \(freezes.text)", "",
        ]
        lines += Self.remarks + [""]
        if !placeholders.isEmpty {
            let width = placeholders.map(\.word.count).max() ?? 0
            lines += placeholders.map { "\($0.word.padded(to: width))  \($0.meaning)" } + [""]
        }
        let width = max(source.text.count, target.text.count)
        var freeze: Int?
        for step in steps {
            if step.freeze != freeze {
                if let ended = freeze { lines.append("--- freeze \(ended) has ended ---") }
                if let begins = step.freeze { lines.append("--- freeze \(begins) ---") }
                freeze = step.freeze
            }
            lines.append("\(step.number). \(step.title)")
            lines += step.actions.map { action in
                let condition = action.condition.map { "   # \($0)" } ?? ""
                return "   \(action.host.text.padded(to: width))  \(action.kind.mark)\(action.text)\(condition)"
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// For programs.
    public func json() throws -> String { try PrettyJSON.encode(self) + "\n" }
}

extension MigrationOutline.Action.Kind {
    /// What stands in front of such an action for people.
    fileprivate var mark: String {
        switch self {
        case .command: "$ "
        case .link: "link: "
        case .file, .exchange: ""
        case .journal: "record: "
        }
    }
}

extension String {
    fileprivate func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
