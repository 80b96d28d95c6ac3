/// Waits until `condition` holds, and says what it waited for when it does not within `limit`.
///
/// - Parameters:
///   - what: completes the sentence "waited for …".
///   - limit: the longest wait.
///   - interval: the pause between two looks.
///   - evidence: what to show when the wait was in vain.
///   - condition: looked at once more after the limit has passed, so that a slow machine gets a fair last look.
public nonisolated(nonsending) func waitUntil(
    _ what: String,
    within limit: Duration,
    every interval: Duration = .milliseconds(100),
    evidence: () -> String = { "" },
    condition: () async throws -> Bool
) async throws {
    let clock = ContinuousClock()
    let deadline = clock.now + limit
    while true {
        let late = clock.now >= deadline
        if try await condition() { return }
        if late { throw LabError.timedOut(waitingFor: what, after: limit, evidence: evidence()) }
        try await Task.sleep(for: interval)
    }
}

/// The end of a text: enough to see why something went wrong, little enough to read.
func lastLines(_ text: String, _ count: Int = 25) -> String {
    text.split(separator: "\n", omittingEmptySubsequences: false).suffix(count).joined(separator: "\n")
}
