/// A script that runs in the background on a node.
public final class LabProcess: Sendable {
    private let node: LabNode
    private let job: String
    private let script: String
    private let command: LocalCommand

    init(node: LabNode, job: String, script: String, command: LocalCommand) {
        self.node = node
        self.job = job
        self.script = script
        self.command = command
    }

    /// What it has written to standard output so far.
    public var output: String { command.outputSoFar }
    /// What it has written to standard error so far.
    public var errors: String { command.errorsSoFar }
    public var isRunning: Bool { command.isRunning }

    /// Waits for its end.
    @discardableResult
    public func wait(timeout: Duration = .seconds(120)) async throws -> RunResult {
        try await command.wait(timeout: timeout, for: "\(node.name): \(script)")
    }

    /// Waits until its standard output contains a text, or fails if it ends without.
    public func waitForOutput(_ text: String, timeout: Duration = .seconds(60)) async throws {
        try await waitUntil(
            "'\(text)' from \(node.name): \(script)", within: timeout, every: .milliseconds(20),
            evidence: { lastLines(self.output) + lastLines(self.errors) },
            condition: {
                let ended = !self.isRunning
                if self.output.contains(text) { return true }
                if ended { throw LabError.unusable("\(self.script) ended without '\(text)': \(self.errors)") }
                return false
            })
    }

    /// Sends a signal to the script and everything it has started.
    public func signal(_ name: String = "KILL") async throws {
        try await node.run("kill -\(name) -- -$(cat \(job))")
    }

    /// Cuts the connection the script was started over. The script itself lives until it next writes or ends.
    public func disconnect() { command.terminate() }
}
