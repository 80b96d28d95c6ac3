import AoE
import BlockServer
import Dispatch
import HostModel
import Hosts
import Synchronization

/// Opens a backing on a thread of its own: a device that hangs must not hang anything else.
final class BackingOpener: Sendable {
    typealias Outcome = Result<Handover<Backing>, Failure>

    private let outcome = Mutex<Outcome?>(nil)
    private let done = DispatchSemaphore(value: 0)

    /// Begins to open what a record names.
    static func start(_ record: ExportRecord) throws(Failure) -> BackingOpener {
        let opener = BackingOpener()
        try BackgroundThread.start { opener.open(record) }
        return opener
    }

    private func open(_ record: ExportRecord) {
        let result: Outcome
        do throws(Failure) {
            result = .success(
                Handover(try Backing(opening: record.path, readOnly: record.isReadOnly, policy: record.cache)))
        } catch { result = .failure(error) }
        outcome.withLock { $0 = result }
        done.signal()
    }

    /// What came of it, waiting at most so long; nil where it is still under way. Only once.
    func wait(milliseconds: Int) -> Outcome? {
        guard done.wait(timeout: .now() + .milliseconds(milliseconds)) == .success else { return nil }
        return outcome.withLock { outcome in
            defer { outcome = nil }
            return outcome
        }
    }
}
