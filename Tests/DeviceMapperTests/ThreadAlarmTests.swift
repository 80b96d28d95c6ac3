import Foundation
import Glibc
import HostModel
import Testing

@testable import DeviceMapper

@Suite("The alarm that ends a wait")
struct ThreadAlarmTests {
    /// How long a pause of two seconds lasts on a thread that holds all signals back, as a dispatch queue's.
    private func pause(limit: Duration?) async throws -> (Duration, code: Int32) {
        try await withCheckedThrowingContinuation { continuation in
            let thread = Thread {
                continuation.resume(
                    with: Result {
                        var all = sigset_t()
                        sigfillset(&all)
                        pthread_sigmask(SIG_BLOCK, &all, nil)
                        let alarm = try ThreadAlarm(doing: "test")
                        if let limit { alarm.start(limit) }
                        defer { alarm.stop() }
                        let begin = ContinuousClock.now
                        let code = usleep(1_000_000) == 0 ? 0 : errno
                        return (ContinuousClock.now - begin, code)
                    })
            }
            thread.start()
        }
    }

    @Test("It ends a system call of a thread that holds signals back", .timeLimit(.minutes(1)))
    func ends() async throws {
        let (length, code) = try await pause(limit: .milliseconds(100))
        #expect(code == EINTR)
        #expect(length < .milliseconds(900))
    }

    @Test("It stays quiet until it is started, and a second one works as the first", .timeLimit(.minutes(1)))
    func quiet() async throws {
        for _ in 1...2 {
            let (_, code) = try await pause(limit: nil)
            #expect(code == 0)
        }
        #expect(try await pause(limit: .milliseconds(50)).code == EINTR)
    }
}
