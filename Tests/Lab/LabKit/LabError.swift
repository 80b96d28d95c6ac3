/// What can go wrong in the lab itself, in words that say what was being waited for or tried.
public enum LabError: Error, CustomStringConvertible, Sendable {
    /// A limit passed. `evidence` is what was last seen: usually the end of a console.
    case timedOut(waitingFor: String, after: Duration, evidence: String)
    /// A command on this machine or on a node ended with something else than 0.
    case commandFailed(place: String, command: String, result: RunResult)
    /// The lab is not in a state in which this can be done.
    case unusable(String)

    public var description: String {
        switch self {
        case .timedOut(let what, let limit, let evidence):
            "waited \(limit) for \(what), in vain; last seen:\n\(evidence)"
        case .commandFailed(let place, let command, let result):
            """
            on \(place), exit \(result.exit): \(command)
            \(result.stderr)\(result.stdout.suffix(2000))
            """
        case .unusable(let reason):
            reason
        }
    }
}
