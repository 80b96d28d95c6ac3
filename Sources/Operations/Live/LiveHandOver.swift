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
    private let domain: DomainName
    private let channel: any LiveChannel
    private let fromXL: BoundedIO
    private let toXL: BoundedIO
    private let migration: any MigratingXL
    private let standstill: Duration
    private let interval: Duration
    private let progress = Mutex(Progress())
    /// Readable once the stream has come to its end.
    private let wake: Int32

    private struct Progress {
        var sent: Int64 = 0
        var isBroken = false
        var isClosed = false
        var isAbandoned = false
        /// When the guest was first seen to stand still, as long as it was seen so ever since.
        var standing: HostMoment?
        var arrival: ContinuousClock.Instant?
    }

    /// How long the guest may stand still before the target has all of it. What is left of its memory by then takes seconds;
    /// after two minutes those who wait for it, clusters and connections and its own kernel, take it for dead. It is no less
    /// than libxl gives a guest to follow its request (60 s to acknowledge it, and 60 s more).
    static let longestStandstill = Duration.seconds(120)
    private static let limit = Duration.seconds(60)
    /// How often a wait for the target looks at everything else.
    private static let glance = Duration.milliseconds(250)

    /// Starts both ends; the guest runs on. Where it throws, `xl migrate` has not begun, or ends for want of its transport.
    static func begin(_ spec: MigrationSpec, _ epoch: Int64, _ id: DomainID, _ host: HostContext) async throws
        -> LiveHandOver
    {
        let channel = try await ImageChannel.open(spec: spec, epoch: epoch, .live)
        // Whoever takes the guest back, or tidies up, lets it go.
        let watcher = DomainWatcher.of(id)
        watcher?.hold()
        do {
            let socket = host.liveSocket(of: spec.id)
            let listener = try TransportListener(at: socket)
            let migration = RunningMigration(
                XLCommands.migrate(
                    id, through: try TransportRelay.line(socket),
                    deadline: XLCommands.deadline(memory: spec.memory) + .seconds(600)), of: id, on: host)
            let deadline = ContinuousClock.now + .seconds(30)
            while ContinuousClock.now < deadline, !migration.hasEnded {
                // Looked for now and then, without waiting: 'xl' may end meanwhile.
                guard let ends = try listener.accept(within: 0) else {
                    try await Task.sleep(for: .milliseconds(10))
                    continue
                }
                return try LiveHandOver(spec.domain, channel, ends, migration)
            }
            await migration.end(within: .seconds(5))
            throw migration.ownFailure("cannot migrate \(spec.domain)")
                ?? Failure(.failed, "cannot migrate \(spec.domain)", why: "'xl migrate' has not begun to send")
        } catch {
            watcher?.letGo()
            channel.kill()
            throw error
        }
    }

    /// - Parameters:
    ///   - standstill: how long the guest may stand still before the target has all of it.
    ///   - interval: how often Xen is asked whether it does, as long as `xl migrate` does not say so.
    init(
        _ domain: DomainName, _ channel: any LiveChannel, _ ends: (fromXL: Int32, toXL: Int32),
        _ migration: any MigratingXL, standstill: Duration = LiveHandOver.longestStandstill,
        interval: Duration = .seconds(5)
    ) throws {
        let wake = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard wake >= 0 else { throw Failure.system("cannot make an event") }
        self.wake = wake
        self.domain = domain
        self.channel = channel
        self.migration = migration
        (self.standstill, self.interval) = (standstill, interval)
        fromXL = BoundedIO(descriptor: ends.fromXL, purpose: "the stream of 'xl migrate'")
        toXL = BoundedIO(descriptor: ends.toXL, purpose: "the answers to 'xl migrate'")
    }

    deinit {
        letGo()
        close(wake)
    }

    /// Bytes of the stream so far.
    var sent: ByteCount { ByteCount(progress.withLock { $0.sent }) }

    /// When the guest was asked to suspend itself; where `xl migrate` does not say so, when it was seen to stand still.
    var suspension: HostMoment? { migration.suspension ?? progress.withLock { $0.standing } }

    /// When the target last said that it has the guest; nil before.
    var arrival: ContinuousClock.Instant? { progress.withLock { $0.arrival } }

    /// Carries the stream to its end, and both sides' words. Afterwards the guest is suspended here, under its other name, and
    /// paused there.
    ///
    /// Whatever it throws, nothing has run on the target, and nothing will: that takes the decision. Up to its permission `xl
    /// migrate` lets the guest run on here as soon as its stream is closed; from then on the way back does.
    func carry() async throws {
        try toXL.write(LiveMigration.banner, limit: Self.limit)
        async let stream: Void = Blocking.run("live stream") { [self] in try pump() }
        do { try await waitUntilHeld() } catch {
            _ = eventfd_write(wake, 1)
            // Where the stream has ended first, that is the cause.
            try await stream
            throw error
        }
        _ = eventfd_write(wake, 1)
        try await stream
        try requireNotAbandoned()
        try toXL.write(LiveMigration.ready, limit: Self.limit)
        try await Blocking.run("permission") { [self] in try takePermission() }
        try await hearOfArrival()
        // The channel is closed later: the guest stands still.
        progress.withLock { $0.arrival = .now }
    }

    /// Ends `carry`, which throws `.interrupted` then, until `xl migrate` has let the guest go. Afterwards it does nothing: what
    /// becomes of the guest is decided by whoever takes the next step.
    func abandon() {
        progress.withLock { $0.isAbandoned = true }
        _ = eventfd_write(wake, 1)
    }

    /// Nil where nobody has asked for the end.
    private var abandonment: Failure? {
        progress.withLock { $0.isAbandoned } ? Failure(.interrupted, "interrupted by the operator") : nil
    }

    private func requireNotAbandoned() throws { if let abandonment { throw abandonment } }

    /// Waits until the target has all of the guest: as long as it takes while the guest runs, and not for long once it was asked
    /// to suspend itself.
    private func waitUntilHeld() async throws {
        // Beside the wait: what the target says is heard at once.
        let looks = Task { [self] in await lookForStandstill() }
        defer { looks.cancel() }
        while true {
            if let event = try await channel.event(within: Self.glance) {
                guard case .holding = event else { throw channel.outOfTurn() }
                return
            }
            // A target that hangs would never say that it hears no more.
            if progress.withLock({ $0.isBroken }) {
                throw Failure(.failed, "the stream of 'xl migrate' has ended too early")
            }
            // What it has started may hold the stream open.
            if migration.hasEnded {
                throw ownFailure("cannot migrate \(domain)")
                    ?? Failure(.failed, "'xl migrate' has ended before the target had all of \(domain)")
            }
            guard let suspension, suspension.millisecondsAgo > standstill.milliseconds else { continue }
            throw Failure(
                .failed, "the domain \(domain) does not arrive in time", host: channel.host.text,
                why: "it has stood still, or was asked to, for more than \(standstill), and is not there yet",
                remedy: "it goes on on the source; look at 'xl list', at the processes named xl and at /var/log/xen on "
                    + "\(channel.host), then migrate it again")
        }
    }

    /// Asks Xen now and then whether the guest stands still, until `xl migrate` says so: another's words may be others.
    private func lookForStandstill() async {
        while migration.suspension == nil {
            do { try await Task.sleep(for: interval) } catch { return }
            guard migration.suspension == nil, let stands = try? await migration.guestStandsStill() else { continue }
            progress.withLock { $0.standing = stands ? $0.standing ?? .now : nil }
        }
    }

    /// Waits for `xl migrate` to let the guest go. It has only to rename it. Blocks.
    private func takePermission() throws {
        let what = "'xl migrate' does not let the domain go"
        let deadline = ContinuousClock.now + Self.limit
        var request = pollfd(fd: fromXL.descriptor, events: Int16(POLLIN), revents: 0)
        while true {
            let abandonment = self.abandonment
            // Looked for after that: whom it has let go nobody calls back.
            if poll(&request, 1, 100) > 0 { break }
            if let abandonment { throw abandonment }
            guard ContinuousClock.now < deadline else {
                throw Failure(.failed, what, why: "it has said nothing for \(Self.limit)")
            }
        }
        var words = [UInt8](repeating: 0, count: LiveMigration.permission.count)
        let isWhole = try words.withUnsafeMutableBytes { try fromXL.fill($0, limit: Self.limit) }
        guard isWhole, words == LiveMigration.permission else {
            throw Failure(.failed, what, why: "it said something else")
        }
    }

    /// The target's `xl` has its permission since it has all of the guest, and has only to rename it.
    private func hearOfArrival() async throws {
        guard let event = try await channel.event(within: Self.limit) else {
            throw Failure(
                .outcomeUnknown, "it is not known whether \(domain) has arrived", host: channel.host.text,
                why: "nothing was heard for \(Self.limit)", remedy: "look at the processes named xl there")
        }
        guard case .restored = event else { throw channel.outOfTurn() }
    }

    /// Tells `xl migrate` that the guest belongs to the target: it destroys what is left of it here. Waits for its end.
    func succeed() async throws {
        try toXL.write(LiveMigration.report + [LiveMigration.success], limit: Self.limit)
        await channel.close(within: .seconds(10))
        await migration.end(within: .seconds(60))
        letGo()
    }

    /// Gives the hand-over up, and waits until `xl migrate` has ended. Without its permission it lets the guest run on.
    func giveUp() async {
        letGo()
        try? channel.write(.cancel)
        await channel.close(within: .seconds(5))
        await migration.end(within: .seconds(120))
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
        do { try carryBytes() } catch {
            progress.withLock { $0.isBroken = true }
            throw error
        }
    }

    private func carryBytes() throws {
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
            if requests[1].revents != 0 { return try requireNotAbandoned() }
            let count = try fromXL.read(into: buffer, limit: Self.limit)
            guard count > 0 else { throw Failure(.failed, "the stream of 'xl migrate' has ended too early") }
            try channel.writeData(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            progress.withLock { $0.sent += Int64(count) }
        }
    }
}

extension HostContext {
    /// Where `xl migrate`'s transport finds the coordinator.
    func liveSocket(of id: MigrationID) -> String { "\(paths.run)/live-\(id).sock" }

    /// Removes what a coordinator that was killed in a hand-over has left of it.
    func removeLiveSocket(of id: MigrationID) throws { try DurableFile.remove(liveSocket(of: id)) }
}
