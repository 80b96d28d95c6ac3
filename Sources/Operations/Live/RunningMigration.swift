import Domains
import HostModel
import Hosts
import Synchronization

/// An `xl migrate` that is at work, as a live hand-over sees it.
protocol MigratingXL: Sendable {
    /// When it has said that it asks the guest to suspend itself; nil before.
    var suspension: HostMoment? { get }

    /// Whether it has ended, or its deadline has passed.
    var hasEnded: Bool { get }

    /// Whether Xen says that the guest stands still. Runs a program.
    func guestStandsStill() async throws -> Bool

    /// Waits for its end; false where it has not come within `limit`.
    @discardableResult
    func end(within limit: Duration) async -> Bool

    /// Why it has failed; nil where it has not, or not yet.
    func ownFailure(_ what: String) -> Failure?
}

/// One that was started here, and what it has said.
final class RunningMigration: MigratingXL {
    private let id: DomainID
    private let host: HostContext
    private let state: State

    private final class State: Sendable {
        let moment = Mutex<HostMoment?>(nil)
        let result = Mutex<Result<CommandResult, any Error>?>(nil)
    }

    /// - Parameter id: of the guest that `command` moves.
    init(_ command: Command, of id: DomainID, on host: HostContext) {
        let state = State()
        (self.id, self.host, self.state) = (id, host, state)
        var command = command
        command.acceptedExitCodes = Set(0...255)
        Task { [command] in
            do {
                let result = try await host.runner.run(command) { line in
                    guard LiveMigration.tellsOfSuspension(line) else { return }
                    state.moment.withLock { $0 = $0 ?? .now }
                }
                state.result.withLock { $0 = .success(result) }
            } catch { state.result.withLock { $0 = .failure(error) } }
        }
    }

    var suspension: HostMoment? { state.moment.withLock { $0 } }
    var hasEnded: Bool { state.result.withLock { $0 != nil } }

    func guestStandsStill() async throws -> Bool {
        let listing = try await host.runner.domains()
        switch listing.domain(id)?.state {
        case .paused, .suspended: return true
        case .active, .poweredOff, .rebooting, .crashed, .dying, nil: return false
        }
    }

    @discardableResult
    func end(within limit: Duration) async -> Bool {
        let deadline = ContinuousClock.now + limit
        while !hasEnded, ContinuousClock.now < deadline { try? await Task.sleep(for: .milliseconds(10)) }
        return hasEnded
    }

    func ownFailure(_ what: String) -> Failure? {
        switch state.result.withLock({ $0 }) {
        case .success(let result) where result.termination != .exited(0): XLFailure.explain(result, doing: what)
        case .failure(let error): Failure(error, doing: what)
        case .success, nil: nil
        }
    }
}
