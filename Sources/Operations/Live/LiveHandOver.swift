import CLinux
import Domains
import Glibc
import HostModel
import Hosts
import ImageStream
import Migration
import Storage
import Synchronization

/// One live hand-over as the source sees it: `xl migrate` here, a receiver there, and between them this process, which
/// carries the stream and says to either what the other has said.
///
/// `xl migrate` survives this process; its stream does not. What follows is `LiveMigration`'s table: before its permission was
/// given the guest runs on here, afterwards it stays suspended, and is let run again or destroyed by whoever comes next.
final class LiveHandOver: Sendable {
    private let channel: ImageChannel
    private let fromXL: BoundedIO
    private let toXL: BoundedIO
    private let migration: RunningMigration
    private let progress = Mutex(Progress())
    /// Readable once the stream has come to its end.
    private let wake: Int32

    private struct Progress {
        var sent: Int64 = 0
        var isClosed = false
        var isAbandoned = false
        var arrival: ContinuousClock.Instant?
    }

    private static let limit = Duration.seconds(60)

    /// Starts both ends; the guest runs on. Where it throws, `xl migrate` has not begun, or ends for want of its transport.
    static func begin(_ spec: MigrationSpec, _ epoch: Int64, _ id: DomainID, _ host: HostContext) async throws
        -> LiveHandOver
    {
        let channel = try await ImageChannel.open(spec: spec, epoch: epoch, .live)
        do {
            let socket = host.liveSocket(of: spec.id)
            let listener = try TransportListener(at: socket)
            let migration = RunningMigration(
                XLCommands.migrate(
                    id, through: try TransportRelay.line(socket),
                    deadline: XLCommands.deadline(memory: spec.memory) + .seconds(600)), on: host)
            let deadline = ContinuousClock.now + .seconds(30)
            while ContinuousClock.now < deadline, !migration.hasEnded {
                // Looked for now and then, without waiting: 'xl' may end meanwhile.
                guard let ends = try listener.accept(within: 0) else {
                    try await Task.sleep(for: .milliseconds(10))
                    continue
                }
                return try LiveHandOver(channel, ends, migration)
            }
            _ = await migration.end(within: .seconds(5))
            throw migration.ownFailure("cannot migrate \(spec.domain)")
                ?? Failure(.failed, "cannot migrate \(spec.domain)", why: "'xl migrate' has not begun to send")
        } catch {
            channel.kill()
            throw error
        }
    }

    private init(_ channel: ImageChannel, _ ends: (fromXL: Int32, toXL: Int32), _ migration: RunningMigration) throws {
        let wake = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard wake >= 0 else { throw Failure.system("cannot make an event") }
        self.wake = wake
        self.channel = channel
        self.migration = migration
        fromXL = BoundedIO(descriptor: ends.fromXL, purpose: "the stream of 'xl migrate'")
        toXL = BoundedIO(descriptor: ends.toXL, purpose: "the answers to 'xl migrate'")
    }

    deinit {
        letGo()
        close(wake)
    }

    /// Bytes of the stream so far.
    var sent: ByteCount { ByteCount(progress.withLock { $0.sent }) }

    /// When the guest was asked to suspend itself; nil before.
    var suspension: HostMoment? { migration.suspension }

    /// When the target last said that it has the guest; nil before.
    var arrival: ContinuousClock.Instant? { progress.withLock { $0.arrival } }

    /// Carries the stream to its end, and both sides' words. Afterwards the guest is suspended here, under its other name, and
    /// paused there.
    func carry() async throws {
        try toXL.write(LiveMigration.banner, limit: Self.limit)
        async let stream: Void = Blocking.run("live stream") { [self] in try pump() }
        do {
            guard case .holding = try await nextEvent() else { throw channel.outOfTurn() }
        } catch {
            _ = eventfd_write(wake, 1)
            // Where the stream has ended first, that is the cause.
            try await stream
            throw error
        }
        _ = eventfd_write(wake, 1)
        try await stream
        try toXL.write(LiveMigration.ready, limit: Self.limit)
        try await Blocking.run("permission") { [self] in
            var words = [UInt8](repeating: 0, count: LiveMigration.permission.count)
            let isWhole = try words.withUnsafeMutableBytes { try fromXL.fill($0, limit: Self.limit) }
            guard isWhole, words == LiveMigration.permission else {
                throw Failure(.failed, "'xl migrate' does not let the domain go", why: "it said something else")
            }
        }
        guard case .restored = try await nextEvent() else { throw channel.outOfTurn() }
        // The channel is closed later: the guest stands still.
        progress.withLock { $0.arrival = .now }
    }

    /// Ends `carry` where it can still be ended without a guest that is suspended; it throws `.interrupted` then.
    func abandon() {
        progress.withLock { $0.isAbandoned = true }
        _ = eventfd_write(wake, 1)
    }

    /// A memory that is sent while the guest runs takes as long as it takes.
    private func nextEvent() async throws -> ReceiverEvent { try await channel.nextEvent(within: .seconds(86_400)) }

    /// Tells `xl migrate` that the guest belongs to the target: it destroys what is left of it here. Waits for its end.
    func succeed() async throws {
        try toXL.write(LiveMigration.report + [LiveMigration.success], limit: Self.limit)
        await channel.close(within: .seconds(10))
        _ = await migration.end(within: .seconds(60))
        letGo()
    }

    /// Gives the hand-over up, and waits until `xl migrate` has ended. Without its permission it lets the guest run on.
    func giveUp() async {
        letGo()
        try? channel.write(.cancel)
        await channel.close(within: .seconds(5))
        _ = await migration.end(within: .seconds(120))
    }

    /// Why `xl migrate` has failed; nil where it has not.
    func ownFailure(_ what: String) -> Failure? { migration.ownFailure(what) }

    /// Ends the stream and the answers: `xl migrate` notices at once.
    private func letGo() {
        let isFirst = progress.withLock { progress in
            defer { progress.isClosed = true }
            return !progress.isClosed
        }
        guard isFirst else { return }
        fromXL.close()
        toXL.close()
    }

    /// Carries bytes until the target has all of them, which it says on another way. Blocks.
    private func pump() throws {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 4096)
        defer { buffer.deallocate() }
        while true {
            var requests = [
                pollfd(fd: fromXL.descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: wake, events: Int16(POLLIN), revents: 0),
            ]
            let ready = poll(&requests, 2, 5_000)
            if ready < 0, errno != EINTR { throw Failure.system("cannot wait for 'xl migrate'") }
            if ready <= 0 {
                try channel.write(.keepAlive)
                continue
            }
            if requests[1].revents != 0 {
                guard progress.withLock({ $0.isAbandoned }) else { return }
                try? channel.write(.cancel)
                throw Failure(.interrupted, "interrupted by the operator")
            }
            let count = try fromXL.read(into: buffer, limit: Self.limit)
            guard count > 0 else {
                try? channel.write(.cancel)
                throw Failure(.failed, "the stream of 'xl migrate' has ended too early")
            }
            try channel.writeData(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            progress.withLock { $0.sent += Int64(count) }
        }
    }
}

/// An `xl migrate` that is at work, and what it has said.
private final class RunningMigration: Sendable {
    private let state: State

    private final class State: Sendable {
        let moment = Mutex<HostMoment?>(nil)
        let result = Mutex<Result<CommandResult, any Error>?>(nil)
    }

    init(_ command: Command, on host: HostContext) {
        let state = State()
        self.state = state
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

    /// Waits for its end; false where it has not come within `limit`.
    func end(within limit: Duration) async -> Bool {
        let deadline = ContinuousClock.now + limit
        while !hasEnded, ContinuousClock.now < deadline { try? await Task.sleep(for: .milliseconds(10)) }
        return hasEnded
    }

    /// Why it has failed; nil where it has not, or not yet.
    func ownFailure(_ what: String) -> Failure? {
        switch state.result.withLock({ $0 }) {
        case .success(let result) where result.termination != .exited(0): XLFailure.explain(result, doing: what)
        case .failure(let error): Failure(error, doing: what)
        case .success, nil: nil
        }
    }
}

extension HostContext {
    /// Where `xl migrate`'s transport finds the coordinator.
    func liveSocket(of id: MigrationID) -> String { "\(paths.run)/live-\(id).sock" }

    /// Removes what a coordinator that was killed in a hand-over has left of it.
    func removeLiveSocket(of id: MigrationID) throws { try DurableFile.remove(liveSocket(of: id)) }
}
