import Glibc
import Synchronization

/// How long udev is waited for, which makes and removes the nodes of devices.
///
/// One that hangs would hold up a boot, or whoever has a volume's lock, for as long as it does. Once it has let
/// somebody wait in vain the next ones wait less, until it is seen to work again.
final class UdevPatience: Sendable {
    static let shared = UdevPatience(.seconds(30), afterwards: .seconds(2))

    private let limit: Duration
    private let laterLimit: Duration
    private let hangs = Mutex(false)

    init(_ limit: Duration, afterwards laterLimit: Duration) {
        (self.limit, self.laterLimit) = (limit, laterLimit)
    }

    /// Whether udev was seen to be done in time. Blocks.
    func wait(until isDone: () -> Bool) -> Bool {
        let deadline = ContinuousClock.now + (hangs.withLock { $0 } ? laterLimit : limit)
        var isInTime = isDone()
        while !isInTime, ContinuousClock.now < deadline {
            usleep(2_000)
            isInTime = isDone()
        }
        hangs.withLock { $0 = !isInTime }
        return isInTime
    }
}
