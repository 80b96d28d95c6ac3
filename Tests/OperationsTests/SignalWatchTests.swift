import Glibc
import Hosts
import Testing

/// Each in a process of its own.
@Suite("Signals that must not end what is under way")
struct SignalWatchTests {
    @Test("What is finished is finished, and a signal is told", arguments: [SIGINT, SIGTERM, SIGHUP])
    func finished(_ number: Int32) async {
        await #expect(processExitsWith: .exitCode(0)) { [number = number as Int32] in
            // Libdispatch takes each over once: the second time must be as the first.
            for _ in 0..<2 {
                let (value, wasInterrupted) = try await SignalWatch.finishing {
                    kill(getpid(), number)
                    try await Task.sleep(for: .milliseconds(500))
                    return 7
                }
                precondition(value == 7 && wasInterrupted)
                let quiet = await SignalWatch.finishing { 8 }
                precondition(quiet.value == 8 && !quiet.wasInterrupted)
            }
            exit(0)
        }
    }

    @Test("After it they do again what they did before")
    func afterwards() async {
        await #expect(processExitsWith: .signal(SIGTERM)) {
            _ = await SignalWatch.finishing { 1 }
            kill(getpid(), SIGTERM)
            try await Task.sleep(for: .seconds(10))
            exit(0)
        }
        await #expect(processExitsWith: .exitCode(0)) {
            signal(SIGHUP, SIG_IGN)
            _ = await SignalWatch.finishing { 1 }
            kill(getpid(), SIGHUP)
            try await Task.sleep(for: .milliseconds(500))
            exit(0)
        }
    }

    @Test("A failure is thrown on, and two that watch are both told")
    func two() async {
        await #expect(processExitsWith: .exitCode(0)) {
            struct Defect: Error {}
            let outer = try await SignalWatch.finishing {
                do {
                    _ = try await SignalWatch.finishing {
                        kill(getpid(), SIGINT)
                        try await Task.sleep(for: .milliseconds(500))
                        throw Defect()
                    }
                    return false
                } catch is Defect { return true }
            }
            precondition(outer.value && outer.wasInterrupted)
            exit(0)
        }
    }
}
