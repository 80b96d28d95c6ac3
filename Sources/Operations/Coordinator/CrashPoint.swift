import HostModel
import Migration
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// A place at which a process of xenlvs ends or stops on purpose, so that a test can show what follows.
///
/// `XENLVS_CRASH_AT=STEP:before` or `STEP:after` kills the run, as a power cut would; `XENLVS_STOP_AT`, with the same words,
/// stops it until it gets a SIGCONT, so that something can be done to the hosts meanwhile; there it goes on when it comes by
/// once more, on a way back. Both say so on standard error.
/// Several places are separated by commas. STEP is the raw value of a `Step`, `SwapStep` or `CheckpointStep`. *Before* means
/// that nothing of the step was done; *after*, that it was done and the journal does not know it.
///
/// `STEP.N:before` and `STEP.N:after` are the places around the Nth thing (from 1) that the step changes outside the process
/// which performs it: a command that changes something, a link, an image's mark. On the other host it is the agent that
/// ends there, if it is given the variable.
public struct CrashPoint: Sendable, Equatable {
    public enum Moment: String, Sendable, CaseIterable { case before, after }
    public enum Act: String, Sendable, CaseIterable {
        case crash = "XENLVS_CRASH_AT"
        case stop = "XENLVS_STOP_AT"
    }

    /// Where this process has been stopped already.
    private static let stopped = Mutex<Set<String>>([])

    public let act: Act
    /// The raw value of a `Step`, a `SwapStep` or a `CheckpointStep`.
    public let step: String
    /// Counted from 1; nil for the step itself.
    public let effect: Int?
    public let moment: Moment

    /// Throws a `.usage` failure where `text` names no place.
    public init(_ act: Act, at text: String) throws(Failure) {
        let words = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        let name = (words.first ?? "").split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        let effect = name.count == 2 ? Int(name[1]) : nil
        guard words.count == 2, Self.steps.contains(name[0]), let moment = Moment(rawValue: words[1]),
            name.count == 1 || effect.map({ $0 > 0 }) == true
        else {
            throw Failure(
                .usage, "\(act.rawValue)='\(text.prefix(200))' names no place in a migration",
                remedy: "give STEP:before, STEP:after, or STEP.NUMBER:before or after; the steps are "
                    + Self.steps.joined(separator: ", "))
        }
        self.act = act
        step = name[0]
        self.effect = effect
        self.moment = moment
    }

    private static let steps =
        Step.allCases.map(\.rawValue) + SwapStep.allCases.map(\.rawValue) + CheckpointStep.allCases.map(\.rawValue)

    /// What the environment asks for. Only root is listened to: what it asks for can leave a guest saved.
    public static func inEnvironment(_ variables: [String: String], isRoot: Bool = geteuid() == 0) throws(Failure)
        -> [CrashPoint]
    {
        guard isRoot else { return [] }
        var points: [CrashPoint] = []
        for act in Act.allCases {
            for text in (variables[act.rawValue] ?? "").split(separator: ",") {
                points.append(try CrashPoint(act, at: String(text)))
            }
        }
        return points
    }

    /// Ends or stops this process if this is the place.
    func pass(_ step: String, effect: Int? = nil, _ moment: Moment) {
        guard step == self.step, effect == self.effect, moment == self.moment else { return }
        let place = "\(step)\(effect.map { ".\($0)" } ?? ""):\(moment.rawValue)"
        let (word, signal) =
            switch act {
            case .crash: ("crashed", SIGKILL)
            case .stop: ("stopped", SIGSTOP)
            }
        if act == .stop, !Self.stopped.withLock({ $0.insert(place).inserted }) { return }
        let line = "\(word) at \(place)\n"
        _ = line.withCString { write(2, $0, strlen($0)) }
        kill(getpid(), signal)
    }
}
