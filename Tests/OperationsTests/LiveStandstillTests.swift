import Domains
import Glibc
import HostModel
import ImageStream
import Synchronization
import Testing

@testable import Operations

@Suite("How long a live hand-over keeps the guest waiting")
struct LiveStandstillTests {
    @Test("A target that says nothing is waited for while the guest runs, and not for long once it was suspended")
    func standstill() async throws {
        let stage = try Stage(standstill: .milliseconds(400))
        let carrying = stage.begin()
        try await Task.sleep(for: .milliseconds(800))
        let suspended = ContinuousClock.now
        stage.xl.suspend()
        let failure = await #expect(throws: Failure.self) { try await carrying.value }
        #expect(suspended.duration(to: .now) >= .milliseconds(400))
        #expect(failure?.code == .failed && failure?.host == "nodeb", "\(String(describing: failure))")
        #expect(failure?.what.contains("does not arrive in time") == true)
        // Without these words 'xl migrate' lets the guest run on.
        #expect(stage.heard() == LiveMigration.banner)
        #expect(stage.live.arrival == nil)
    }

    @Test("An interruption ends it also while the guest stands still and the target says nothing")
    func abandoned() async throws {
        let stage = try Stage()
        stage.xl.suspend()
        let carrying = stage.begin()
        stage.live.abandon()
        let failure = await #expect(throws: Failure.self) { try await carrying.value }
        #expect(failure?.code == .interrupted, "\(String(describing: failure))")
        #expect(stage.heard() == LiveMigration.banner)
    }

    @Test("It ends it also while 'xl migrate' has not let the guest go")
    func abandonedBeforePermission() async throws {
        let stage = try Stage()
        stage.xl.suspend()
        let carrying = stage.begin()
        stage.target.say(.holding(size: 1))
        try await stage.wait(for: LiveMigration.banner + LiveMigration.ready)
        stage.live.abandon()
        let failure = await #expect(throws: Failure.self) { try await carrying.value }
        #expect(failure?.code == .interrupted, "\(String(describing: failure))")
    }

    @Test("Once 'xl migrate' has let the guest go nothing is called back")
    func abandonedAfterPermission() async throws {
        let stage = try Stage(standstill: .milliseconds(1))
        let carrying = stage.begin()
        stage.target.say(.holding(size: 1))
        try await stage.wait(for: LiveMigration.banner + LiveMigration.ready)
        stage.xl.suspend()
        stage.say(LiveMigration.permission)
        stage.live.abandon()
        try await Task.sleep(for: .milliseconds(300))
        stage.target.say(.restored)
        try await carrying.value
        #expect(stage.live.arrival != nil)
    }

    @Test("A stream that ends is noticed although the target says nothing of it")
    func brokenStream() async throws {
        let stage = try Stage()
        let carrying = stage.begin()
        stage.endStream()
        let failure = await #expect(throws: Failure.self) { try await carrying.value }
        #expect(failure?.what.contains("ended too early") == true, "\(String(describing: failure))")
    }
}

/// A hand-over between an `xl migrate` and a target that do what the test says.
private final class Stage {
    let xl: SuspendingXL
    let target: SayingTarget
    let live: LiveHandOver
    /// Where `xl` writes its stream, and where it hears the answers.
    private let stream: Int32
    private let answers: Int32
    private var isStreamOpen = true

    init(standstill: Duration = .seconds(60)) throws {
        var (forth, back): ([Int32], [Int32]) = ([-1, -1], [-1, -1])
        guard pipe(&forth) == 0, pipe(&back) == 0 else { throw Failure(.failed, "cannot make pipes") }
        let (xl, target) = (SuspendingXL(), SayingTarget())
        let domain = DomainName(unchecked: "web1")
        live = try LiveHandOver(domain, target, (fromXL: forth[0], toXL: back[1]), xl, standstill: standstill)
        (self.xl, self.target) = (xl, target)
        (stream, answers) = (forth[1], back[0])
        _ = fcntl(answers, F_SETFL, O_NONBLOCK)
    }

    deinit {
        if isStreamOpen { close(stream) }
        close(answers)
    }

    func begin() -> Task<Void, any Error> {
        let live = self.live
        return Task { try await live.carry() }
    }

    func say(_ words: [UInt8]) { _ = write(stream, words, words.count) }

    func endStream() {
        close(stream)
        isStreamOpen = false
    }

    /// What `xl` was told since it was asked last.
    func heard() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = read(answers, &bytes, bytes.count)
        return Array(bytes.prefix(max(0, count)))
    }

    /// Waits until `xl` has been told all of `words`. Beside tests that block, a task may have to wait for minutes.
    func wait(for words: [UInt8]) async throws {
        var all: [UInt8] = []
        let deadline = ContinuousClock.now + .seconds(240)
        while all != words, ContinuousClock.now < deadline {
            all += heard()
            try await Task.sleep(for: .milliseconds(5))
        }
        #expect(all == words)
    }
}

private final class SuspendingXL: MigratingXL {
    private let moment = Mutex<HostMoment?>(nil)

    var suspension: HostMoment? { moment.withLock { $0 } }
    func suspend() { moment.withLock { $0 = .now } }
    func end(within limit: Duration) async -> Bool { true }
    func ownFailure(_ what: String) -> Failure? { nil }
}

private final class SayingTarget: LiveChannel {
    let host = HostName(unchecked: "nodeb")
    private let events = Mutex<[ReceiverEvent]>([])

    func say(_ event: ReceiverEvent) { events.withLock { $0.append(event) } }

    func event(within limit: Duration) async throws -> ReceiverEvent? {
        let deadline = ContinuousClock.now + limit
        while ContinuousClock.now < deadline {
            if let event = next() { return event }
            try await Task.sleep(for: .milliseconds(5))
        }
        return nil
    }

    private func next() -> ReceiverEvent? {
        events.withLock { events -> ReceiverEvent? in events.isEmpty ? nil : events.removeFirst() }
    }

    func write(_ frame: Frame) throws {}
    func writeData(_ bytes: UnsafeRawBufferPointer) throws {}
    func outOfTurn() -> Failure { Failure(.failed, "\(host) answered out of turn") }
    func close(within limit: Duration) async {}
}
