import Domains
import Glibc
import HostModel
import Hosts
import ImageStream
import Migration
import Storage
import Synchronization

/// The target's end of a live hand-over: feeds `xl migrate-receive -p` with the stream, and lets it come to its end, which
/// leaves the domain paused under its own name.
///
/// Before that whatever goes wrong, a lost connection and the death of this process included, ends the stream, and `xl` takes
/// down what it has built; one that hangs is ended, and what it leaves is cleared away by the next step that looks. Afterwards
/// the domain waits for the decision, or is discarded.
struct LiveReceiver: Sendable {
    private let spec: MigrationSpec
    private let worker: HostWorker
    private let input: BoundedIO
    private let say: @Sendable (ReceiverEvent) throws -> Void
    private static let limit = Duration.seconds(120)
    /// For what `xl` does once it has its permission: it renames the domain. The guest stands still meanwhile.
    private static let renaming = Duration.seconds(60)

    init(
        _ spec: MigrationSpec, _ worker: HostWorker, _ input: BoundedIO,
        say: @escaping @Sendable (ReceiverEvent) throws -> Void
    ) {
        self.spec = spec
        self.worker = worker
        self.input = input
        self.say = say
    }

    func run() async throws {
        try await worker.checkReadyToOpen(spec)
        let deadline = XLCommands.deadline(memory: spec.memory) + .seconds(600)
        let xl = try ChildChannel(
            XLCommands.migrateReceive(deadline: deadline), purpose: "the arrival of \(spec.domain)")
        let feed = LiveFeed(into: xl, from: input, ImageScrutiny(spec, worker))
        do {
            try await hear(LiveMigration.banner, xl, feed, within: Self.limit)
            try say(.ready)
            try feed.start()
            let id = try await number(xl, feed)
            // How long the guest's memory may take is the source's to say: it knows whether the guest runs meanwhile.
            try await hear(LiveMigration.ready, xl, feed, within: .seconds(86_400))
            try say(.holding(size: feed.size))
            try feed.permit(LiveMigration.permission)
            // 'xl' has only to rename the domain meanwhile.
            let objection = worker.objectionToBackends(of: id, spec)
            try await hear(LiveMigration.report + [LiveMigration.success], xl, feed, within: Self.renaming)
            if let objection { throw objection }
            try worker.noteArrival(spec.id, id)
        } catch {
            let cause = feed.failure
            await xl.end(within: .seconds(60))
            throw cause ?? error
        }
        try say(.restored)
        // What is left for it to do is to end.
        _ = await xl.exitCode(limit: .seconds(60))
    }

    /// The number that the domain has here, as soon as it has one: while its memory arrives there is time to ask.
    private func number(_ xl: ChildChannel, _ feed: LiveFeed) async throws -> DomainID {
        while true {
            if let arrival = try await worker.arrivals(spec).first { return arrival.id }
            if await xl.exitCode(limit: .milliseconds(200)) != nil { throw await failure(of: xl) }
            if let failure = feed.failure { throw failure }
        }
    }

    /// Waits for exactly these words of `xl`, for no longer than `limit` and than its stream lasts: an `xl` that hangs does not
    /// notice its end.
    private func hear(
        _ words: [UInt8], _ xl: ChildChannel, _ feed: LiveFeed, within limit: Duration
    ) async throws {
        let output = xl.output
        let heard = try await Blocking.run("xl migrate-receive") {
            try Self.waitForWords(output, feed, within: limit)
            var bytes = [UInt8](repeating: 0, count: words.count)
            let isWhole = try bytes.withUnsafeMutableBytes { try output.fill($0, limit: Self.limit) }
            return isWhole && bytes == words
        }
        guard heard else { throw await failure(of: xl) }
    }

    /// Returns when there is something to be read, or the end of it. Blocks.
    private static func waitForWords(_ output: BoundedIO, _ feed: LiveFeed, within limit: Duration) throws {
        let deadline = ContinuousClock.now + limit
        var request = pollfd(fd: output.descriptor, events: Int16(POLLIN), revents: 0)
        while poll(&request, 1, 200) <= 0 {
            if let failure = feed.failure { throw failure }
            guard ContinuousClock.now < deadline else {
                throw Failure(
                    .failed, "'xl migrate-receive' hangs", why: "it has said nothing for \(limit)",
                    remedy: "look at 'xl list', at the processes named xl and at /var/log/xen")
            }
        }
    }

    private func failure(of xl: ChildChannel) async -> Failure {
        xl.closeInput()
        let code = await xl.exitCode(limit: .seconds(60))
        return XLFailure.explain(
            CommandResult(termination: .exited(code ?? -1), output: "", errors: xl.errorOutput),
            doing: "cannot take \(spec.domain) in")
    }
}

/// Where a live stream's frames go: into `xl`'s standard input, once the configuration in front was seen. On a thread of its
/// own, which ends with the stream or with this process.
private final class LiveFeed: Sendable {
    private enum Phase {
        case feeding, permitted
        case ended(Failure)
    }

    private struct Progress: ~Copyable {
        var phase = Phase.feeding
        var scrutiny: ImageScrutiny
        var size: Int64 = 0
    }

    private let xl: ChildChannel
    private let input: BoundedIO
    private let state: Mutex<Progress>
    /// Beside the state, which is held while something is written.
    private let ending = Mutex<Failure?>(nil)
    /// The source does not wait longer for an `xl` that takes nothing either.
    private static let limit = Duration.seconds(30)
    /// The source sends a sign of life every few seconds.
    private static let silence = Duration.seconds(30)

    init(into xl: ChildChannel, from input: BoundedIO, _ scrutiny: ImageScrutiny) {
        self.xl = xl
        self.input = input
        state = Mutex(Progress(scrutiny: scrutiny))
    }

    var size: Int64 { state.withLock { $0.size } }

    /// Why the stream has ended before the permission; nil where it has not.
    var failure: Failure? { ending.withLock { $0 } }

    func start() throws {
        try BackgroundThread.start { [self] in
            do { while true { try takeOne() } } catch { end(Failure(error, doing: "cannot take the stream")) }
        }
    }

    /// Writes the permission, if the stream has not ended: from then on its end means nothing.
    func permit(_ words: [UInt8]) throws {
        try state.withLock { state in
            if case .ended(let failure) = state.phase { throw failure }
            try xl.input.write(words, limit: Self.limit)
            state.phase = .permitted
        }
    }

    private func takeOne() throws {
        guard let frame = try Frame.read(from: input, limit: Self.silence) else {
            throw Failure(.unreachable, "the image channel ended before the domain was handed over")
        }
        switch frame {
        case .data(let bytes):
            let xl = self.xl
            try state.withLock { state in
                guard case .feeding = state.phase else {
                    throw Failure(.refused, "the stream goes on behind its end")
                }
                state.size += Int64(bytes.count)
                try bytes.withUnsafeBytes { try state.scrutiny.pass($0) { try xl.input.write($0, limit: Self.limit) } }
            }
        case .cancel: throw Failure(.interrupted, "the source gave the hand-over up")
        case .keepAlive: break
        case .begin, .end, .release:
            throw Failure(.refused, "the image channel carries what does not belong there")
        }
    }

    private func end(_ failure: Failure) {
        state.withLock { state in
            guard case .feeding = state.phase else { return }
            state.phase = .ended(failure)
            ending.withLock { $0 = failure }
            // 'xl' notices, and destroys what it has built.
            xl.closeInput()
        }
    }
}
