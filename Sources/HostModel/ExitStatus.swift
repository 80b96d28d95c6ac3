/// The exit codes of the command line; a contract, see the man page.
public enum ExitStatus: Int32, Sendable {
    case done = 0
    case failed = 1
    case rolledBack = 2
    case partlyDone = 3
    case needsRecovery = 4
    case busy = 5
    case notFound = 6
    case usage = 64
    case interrupted = 130
}

extension Failure.Code {
    public var exitStatus: ExitStatus {
        switch self {
        case .usage: .usage
        case .notFound: .notFound
        case .refused, .failed, .unreachable: .failed
        case .busy: .busy
        case .outcomeUnknown: .partlyDone
        case .inconsistent, .needsRecovery, .takenOver, .runsUndecided: .needsRecovery
        case .interrupted: .interrupted
        }
    }
}
