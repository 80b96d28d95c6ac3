import Foundation

/// Commands on a node, over one ssh connection that they share: a login costs a second under emulation, a command
/// over an open connection a tenth.
extension LabNode {
    /// Runs a bash script as root on the node and waits for its end.
    ///
    /// - Parameters:
    ///   - script: as for `bash -c`.
    ///   - input: what it reads on standard input.
    ///   - timeout: after this it is ended on the node, and the call throws.
    ///   - check: whether to throw if it exits with anything but 0.
    @discardableResult
    public func run(
        _ script: String, input: Data? = nil, timeout: Duration = .seconds(60), check: Bool = true
    ) async throws -> RunResult {
        try await openConnection()
        let seconds = timeout.components.seconds
        // The limit is kept on the node: killing the local ssh would leave the script running there.
        // Of a program that a signal ended ssh says nothing but 255: a shell beside it makes the usual 128 and more of it.
        let remote = "timeout --kill-after=5 \(seconds) bash -c \(shellQuoted(script)); exit $?"
        let command = try ssh(remote, input: input)
        let result = try await command.wait(timeout: timeout + .seconds(30), for: "\(name): \(script)")
        if result.exit == 124 {
            throw LabError.timedOut(
                waitingFor: "\(name): \(script)", after: timeout,
                evidence: lastLines(result.stdout) + lastLines(result.stderr))
        }
        if check, result.exit != 0 { throw LabError.commandFailed(place: name, command: script, result: result) }
        return result
    }

    /// Starts a bash script on the node that goes on in the background; what it writes can be read meanwhile.
    public func start(_ script: String) async throws -> LabProcess {
        try await openConnection()
        let job = "/run/lab-job-\(UUID().uuidString)"
        // sshd gives each command a session of its own: the shell's number is that of its process group.
        let command = try ssh("echo $$ >\(job); \(script)")
        return LabProcess(node: self, job: job, script: script, command: command)
    }

    /// Copies a file of this machine to the node, by way of a temporary name so that a running program can be replaced.
    public func push(_ file: URL, to path: String, mode: String = "0755") async throws {
        let packed = directory.scratch.appending(path: "\(UUID().uuidString).zst")
        defer { try? FileManager.default.removeItem(at: packed) }
        // ssh's encryption is the slow part under emulation: a quarter of the bytes takes a quarter of the time.
        _ = try await LocalCommand.run(
            "zstd", ["--quiet", "-3", "-f", file.path, "-o", packed.path], timeout: .seconds(120))
        let target = shellQuoted(path)
        try await run(
            """
            set -e; mkdir -p "$(dirname \(target))"
            zstd --quiet -d -c >\(target).new; chmod \(mode) \(target).new; sync \(target).new; mv \(target).new \(target)
            """, input: Data(contentsOf: packed, options: .alwaysMapped), timeout: .seconds(300))
    }

    /// Copies a file of the node to this machine.
    public func pull(_ path: String, to file: URL) async throws {
        try await openConnection()
        _ = try await LocalCommand.run(
            "scp", ["-q", "-F", directory.sshConfiguration.path, "\(name):\(path)", file.path],
            timeout: .seconds(300), scratch: directory.scratch)
    }

    private func ssh(_ remote: String, input: Data? = nil) throws -> LocalCommand {
        try LocalCommand(
            "ssh", ["-F", directory.sshConfiguration.path, name, remote], input: input, scratch: directory.scratch)
    }

    /// Makes the shared connection unless it stands. Several processes may ask at once: one makes it.
    func openConnection() async throws {
        if try await connectionStands() { return }
        guard isPoweredOn else { throw LabError.unusable("\(name) is switched off") }
        try await directory.locked("\(name).ssh.lock") {
            if try await connectionStands() { return }
            // A master that died with the node leaves its socket behind, and a new one would not replace it.
            try? FileManager.default.removeItem(at: directory.file("\(name).ssh"))
            let arguments = ["-F", directory.sshConfiguration.path, "-M", "-f", "-N", name]
            try await waitUntil("ssh to \(name)", within: .seconds(120), evidence: consoleEvidence) {
                try await LocalCommand.run(
                    "ssh", arguments, timeout: .seconds(60), check: false, scratch: directory.scratch
                ).exit == 0
            }
        }
    }

    /// Ends the shared connection, if there is one.
    func closeConnection() async {
        _ = try? await control("exit")
        try? FileManager.default.removeItem(at: directory.file("\(name).ssh"))
    }

    private func connectionStands() async throws -> Bool {
        guard FileManager.default.fileExists(atPath: directory.file("\(name).ssh").path) else { return false }
        return try await control("check").exit == 0
    }

    private func control(_ request: String) async throws -> RunResult {
        try await LocalCommand.run(
            "ssh", ["-F", directory.sshConfiguration.path, "-O", request, name], timeout: .seconds(60), check: false,
            scratch: directory.scratch)
    }
}

/// One word for the shell, whatever is in it.
func shellQuoted(_ text: String) -> String { "'" + text.replacing("'", with: "'\\''") + "'" }
