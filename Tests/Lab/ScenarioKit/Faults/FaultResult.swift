/// What one case came to.
package struct FaultResult: Sendable, Codable {
    package enum Outcome: String, Sendable, Codable, CaseIterable {
        /// The run went on, or came to its end.
        case wentOn = "went on"
        /// The run stopped, or died, and was resumed.
        case resumed
        /// The migration was taken back, by the run itself or by `abort`.
        case rolledBack = "rolled back"
        /// The host that had the guest lost power, and with it the guest's memory: it was started again from its disk.
        case lostMemory = "started again"
        /// The place was not come by.
        case notReached = "not reached"
    }

    package let fault: FaultCase
    /// What the choice of cases follows from, and with it the case's neighbours in its chain; nil where they were named.
    package var seed: UInt64?
    package var outcome: Outcome
    /// Whether the fault met anything there.
    package var hasMet: Bool
    /// From the operator's command to the place where the run had been, or to its end, in seconds; nil where none was needed.
    package var recoverySeconds: Double?
    /// How many commands the operator had to type.
    package var commands = 0
    /// What was not as it must be, each as a sentence.
    package var problems: [String] = []

    static let givenUp = "the chain was given up"

    /// Whether the cases that would have followed in its chain were left out because of what was found.
    package var isLastOfChain: Bool { problems.contains { $0.hasPrefix(Self.givenUp) } }

    /// An operator types one command after a fault, not two; where the guest was lost with its host the first may tell that it has
    /// to be started.
    var judgedByEffort: FaultResult {
        var result = self
        if commands > (outcome == .lostMemory ? 2 : 1) { result.problems.append("it took \(commands) commands") }
        return result
    }
}
