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

    @Test("It is seen that the guest stands still, whatever 'xl migrate' says of it")
    func seen() async throws {
        let stage = try Stage(standstill: .milliseconds(400), interval: .milliseconds(20))
        let carrying = stage.begin()
        try await stage.wait(forLooks: 2)
        #expect(!stage.isStanding)
        let stopped = ContinuousClock.now
        stage.xl.stop()
        let failure = await #expect(throws: Failure.self) { try await carrying.value }
        #expect(stopped.duration(to: .now) >= .milliseconds(400))
        #expect(failure?.what.contains("does not arrive in time") == true, "\(String(describing: failure))")
        #expect(stage.isStanding)
        #expect(stage.heard() == LiveMigration.banner)
    }

    @Test("A guest that runs again was not suspended, and one of which 'xl migrate' tells is not looked at")
    func looks() async throws {
        let stage = try Stage(interval: .milliseconds(20))
        let carrying = stage.begin()
        stage.xl.stop()
        try await stage.wait(forLooks: 3)
        #expect(stage.isStanding)
        stage.xl.stop(false)
        try await stage.wait(forLooks: 3)
        #expect(!stage.isStanding)
        stage.xl.suspend()
        try await Task.sleep(for: .milliseconds(100))
        let looks = stage.xl.looks
        try await Task.sleep(for: .milliseconds(200))
        #expect(stage.xl.looks == looks)
        stage.live.abandon()
        _ = await carrying.result
    }

    @Test("An 'xl migrate' that has ended is not waited for, although its stream stays open")
    func ended() async throws {
        let stage = try Stage()
        let carrying = stage.begin()
        stage.xl.fail(Failure(.outcomeUnknown, "'xl migrate' is still running"))
        let failure = await #expect(throws: Failure.self) { try await carrying.value }
        #expect(failure?.what == "'xl migrate' is still running", "\(String(describing: failure))")
        #expect(stage.heard() == LiveMigration.banner)
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

    init(standstill: Duration = .seconds(60), interval: Duration = .seconds(60)) throws {
        var (forth, back): ([Int32], [Int32]) = ([-1, -1], [-1, -1])
        guard pipe(&forth) == 0, pipe(&back) == 0 else { throw Failure(.failed, "cannot make pipes") }
        let (xl, target) = (SuspendingXL(), SayingTarget())
        let domain = DomainName(unchecked: "web1")
        live = try LiveHandOver(
            domain, target, (fromXL: forth[0], toXL: back[1]), xl, standstill: standstill, interval: interval)
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

    /// Whether it is known here that the guest stands still.
    var isStanding: Bool { live.suspension != nil }

    /// Waits until the guest has been looked at so often again.
    func wait(forLooks count: Int) async throws {
        let (before, deadline) = (xl.looks, ContinuousClock.now + .seconds(240))
        while xl.looks < before + count, ContinuousClock.now < deadline { try await Task.sleep(for: .milliseconds(5)) }
        #expect(xl.looks >= before + count)
    }
}

private final class SuspendingXL: MigratingXL {
    private struct State {
        var moment: HostMoment?
        var failure: Failure?
        var stands = false
        var looks = 0
    }

    private let state = Mutex(State())

    var suspension: HostMoment? { state.withLock { $0.moment } }
    var hasEnded: Bool { state.withLock { $0.failure != nil } }
    /// How often the guest was looked at.
    var looks: Int { state.withLock { $0.looks } }

    func suspend() { state.withLock { $0.moment = .now } }
    func stop(_ stands: Bool = true) { state.withLock { $0.stands = stands } }
    func fail(_ failure: Failure) { state.withLock { $0.failure = failure } }
    func end(within limit: Duration) async -> Bool { true }
    func ownFailure(_ what: String) -> Failure? { state.withLock { $0.failure } }

    func guestStandsStill() async throws -> Bool {
        state.withLock { state in
            state.looks += 1
            return state.stands
        }
    }
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
