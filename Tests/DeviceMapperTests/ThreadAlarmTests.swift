import Foundation
import Glibc
import HostModel
import Testing

@testable import DeviceMapper

@Suite("The alarm that ends a wait")
struct ThreadAlarmTests {
    /// What ends a pause of a second on a thread that holds all signals back, as a dispatch queue's: 0 for its end.
    private func pause(limit: Duration?) async throws -> Int32 {
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
                        return usleep(1_000_000) == 0 ? 0 : errno
                    })
            }
            thread.start()
        }
    }

    @Test("It ends a system call of a thread that holds signals back")
    func ends() async throws {
        #expect(try await pause(limit: .milliseconds(100)) == EINTR)
    }

    @Test("It stays quiet until it is started, and a second one works as the first")
    func quiet() async throws {
        for _ in 1...2 {
            #expect(try await pause(limit: nil) == 0)
        }
        #expect(try await pause(limit: .milliseconds(50)) == EINTR)
    }
}
