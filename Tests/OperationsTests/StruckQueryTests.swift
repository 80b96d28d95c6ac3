import Glibc
import HostModel
import Testing

@testable import Hosts

@Suite("A query that a signal for its parent has ended")
struct StruckQueryTests {
    /// What comes of a query whose runs end like this, and how many there were.
    private func ask(
        _ ends: [CommandResult.Termination]
    ) async throws -> (end: CommandResult.Termination, runs: Int) {
        var runs = 0
        let result = try await ProcessRunner.asking {
            defer { runs += 1 }
            return CommandResult(termination: ends[min(runs, ends.count - 1)], output: "", errors: "")
        }
        return (result.termination, runs)
    }

    @Test("It is asked again after Ctrl-C, a hangup and a request to end", arguments: [SIGINT, SIGHUP, SIGTERM])
    func repeated(_ signal: Int32) async throws {
        let (end, runs) = try await ask([.signalled(signal), .exited(0)])
        #expect(end == .exited(0) && runs == 2)
    }

    @Test("Not for ever, and not after anything else")
    func ends() async throws {
        var (end, runs) = try await ask([.signalled(SIGINT)])
        #expect(end == .signalled(SIGINT) && runs == 3)
        for other in [CommandResult.Termination.exited(1), .signalled(SIGKILL), .signalled(SIGSEGV)] {
            (end, runs) = try await ask([other, .exited(0)])
            #expect(end == other && runs == 1)
        }
    }
}
