import DeviceMapper
import Storage
import Testing

@testable import Operations

@Suite("What is said to a map")
struct MapJudgeTests {
    private let one = BlockDeviceNumber(major: 8, minor: 0)
    private let two = BlockDeviceNumber(major: 8, minor: 16)
    private let bad = PathHealth.bad("it has no pulse")

    private func status(_ first: Bool, _ second: Bool, groups: Int = 1, active: Int = 0) -> MultipathStatus {
        let paths = [(one, first), (two, second)].map {
            MultipathStatus.Path(device: $0, isActive: $1, failures: 0)
        }
        guard groups == 2 else { return MultipathStatus(groups: [.init(state: .active, paths: paths)]) }
        return MultipathStatus(
            groups: paths.enumerated().map { .init(state: $0 == active ? .active : .enabled, paths: [$1]) })
    }

    @Test("A path that is bad is failed at once, and taken back when it was good twice in a row")
    func failAndReinstate() {
        var judge = MapJudge()
        let policy = MapPolicy()
        func decide(_ status: MultipathStatus, _ looks: [BlockDeviceNumber: PathHealth]) -> [MultipathMessage] {
            judge.decide(policy, status, queues: true, looks, now: .zero)
        }
        #expect(decide(status(true, true), [one: .good, two: bad]) == [.failPath(two)])
        #expect(judge.reasons == [two: "it has no pulse"])
        #expect(decide(status(true, false), [one: .good, two: bad]).isEmpty)
        #expect(decide(status(true, false), [two: .good]).isEmpty)
        // No news is no good news.
        #expect(decide(status(true, false), [:]).isEmpty)
        #expect(decide(status(true, false), [two: bad]).isEmpty)
        #expect(decide(status(true, false), [two: .good]).isEmpty)
        #expect(decide(status(true, false), [two: .good]) == [.reinstatePath(two)])
        #expect(judge.reasons.isEmpty)
        // One that the kernel has failed by itself, by a request's error.
        #expect(decide(status(false, true), [one: .good]) == [])
        #expect(judge.reasons[one]?.contains("error") == true)
    }

    @Test("Requests wait for a path as long as they may, and no longer")
    func waiting() {
        var judge = MapJudge()
        let policy = MapPolicy(noPathSeconds: 20)
        func decide(
            _ status: MultipathStatus, queues: Bool, _ looks: [BlockDeviceNumber: PathHealth] = [:], at second: Int
        ) -> [MultipathMessage] {
            judge.decide(policy, status, queues: queues, looks, now: .seconds(second))
        }
        // From the moment in which the last one is failed.
        #expect(
            decide(status(true, true), queues: false, [one: bad, two: bad], at: 1)
                == [.queueIfNoPath, .failPath(one), .failPath(two)])
        #expect(decide(status(false, false), queues: true, at: 20).isEmpty)
        #expect(decide(status(false, false), queues: true, at: 21) == [.failIfNoPath])
        #expect(decide(status(false, false), queues: false, at: 30).isEmpty)
        #expect(decide(status(false, false), queues: false, [two: .good], at: 31).isEmpty)
        #expect(
            decide(status(false, false), queues: false, [two: .good], at: 32) == [.queueIfNoPath, .reinstatePath(two)])
        #expect(decide(status(false, true), queues: true, at: 33).isEmpty && judge.withoutPathSince == nil)
        var none = MapJudge()
        #expect(none.decide(MapPolicy(noPathSeconds: 0), status(true, true), queues: false, [:], now: .zero).isEmpty)
        #expect(
            none.decide(MapPolicy(noPathSeconds: 0), status(true, true), queues: true, [:], now: .zero) == [
                .failIfNoPath
            ])
    }

    @Test("Back to the earlier path where that is asked for")
    func failback() {
        var judge = MapJudge()
        var policy = MapPolicy(grouping: .failover)
        let onSecond = status(true, true, groups: 2, active: 1)
        #expect(judge.decide(policy, onSecond, queues: true, [:], now: .zero) == [.switchGroup(1)])
        #expect(judge.decide(policy, status(true, true, groups: 2), queues: true, [:], now: .zero).isEmpty)
        #expect(
            judge.decide(policy, status(false, true, groups: 2, active: 1), queues: true, [:], now: .zero).isEmpty)
        policy.failback = .manual
        #expect(judge.decide(policy, onSecond, queues: true, [:], now: .zero).isEmpty)
    }
}
