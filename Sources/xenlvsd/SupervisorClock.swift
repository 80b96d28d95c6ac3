import Dispatch
import HostModel
import Hosts
import Serving

/// Has exports looked at once a second, on a thread of its own: it may wait for servers, files and devices.
final class SupervisorClock: Sendable {
    private let ending = DispatchSemaphore(value: 0)
    private let ended = DispatchSemaphore(value: 0)
    /// As long as a server that does not answer is waited for.
    private static let endSeconds = 10

    func start(_ supervisor: ExportSupervisor) throws(Failure) {
        try BackgroundThread.start { [self] in
            var number = 0
            while ending.wait(timeout: .now() + .seconds(1)) == .timedOut {
                number += 1
                supervisor.tick(number)
            }
            ended.signal()
        }
    }

    /// Ends it; after that nothing is asked of the servers.
    func end() {
        ending.signal()
        _ = ended.wait(timeout: .now() + .seconds(Self.endSeconds))
    }
}
