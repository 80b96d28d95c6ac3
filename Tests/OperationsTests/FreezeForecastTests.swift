import HostModel
import Migration
import Reporting
import Testing

@testable import Operations

@Suite("How long a freeze will take")
struct FreezeForecastTests {
    private func specification(
        _ domain: String = "web1", from source: String = "nodea", to target: String = "nodeb", memory: Int64 = 96,
        method: MigrationPlan.Method = .threeFreeze
    ) throws -> MigrationSpec {
        MigrationSpec(
            id: try MigrationID("web1-20261121-0001"), domain: try DomainName(domain), uuid: "u",
            memory: .mebibytes(memory), source: Endpoint(name: try HostName(source), address: "10.77.0.1"),
            target: Endpoint(name: try HostName(target), address: "10.77.0.2"),
            volumes: [try Sample.specification("web1")],
            plan: MigrationPlan(method: method, settlement: .late, comparesCopies: false), verifies: false,
            bandwidth: nil, removesSource: false)
    }

    /// A migration with freezes of these lengths, in milliseconds.
    private func report(
        _ spec: MigrationSpec, _ lengths: [Int64], outcome: MigrationMachine.Outcome = .migrated, runs: Int = 1
    ) -> MigrationReport {
        var events: [MigrationEvent] = []
        var time: Int64 = 1000
        func add(_ kind: MigrationEvent.Kind, after milliseconds: Int64 = 0) {
            time += milliseconds
            events.append(MigrationEvent(sequence: events.count + 1, time: time, kind: kind))
        }
        for run in 1...runs { add(.runBegan(epoch: Int64(run), resumed: run > 1)) }
        let all: [(Freeze, Step)] = [
            (.substitution, .saveForReplica), (.handOver, .transferImage), (.settlement, .saveForVolume),
        ]
        for ((freeze, step), length) in zip(spec.plan.method == .oneFreeze ? [all[1]] : all, lengths) {
            add(.stepBegan(step))
            add(.freezeBegan(freeze))
            add(.freezeEnded(freeze), after: length)
            add(.stepEnded(step))
        }
        add(.finished(outcome))
        return MigrationReport(spec: spec, events: events, now: time)
    }

    @Test("It is the median of what the same guest took on the same way")
    func median() throws {
        let (there, back) = (try specification(), try specification(from: "nodeb", to: "nodea"))
        let other = try specification("db1")
        let past = [
            report(there, [6000, 9000, 5000]), report(other, [1, 1, 1]), report(back, [2, 2, 2]),
            report(there, [7000, 8000, 5500]), report(there, [9000, 8500, 5100]),
        ]
        let forecast = FreezeForecast.all(there, past: past)
        #expect(forecast.map(\.number) == [1, 2, 3])
        #expect(forecast.map(\.milliseconds) == [7000, 8500, 5100])
        #expect(forecast.text == "1 about 7.0 s, 2 about 8.5 s, 3 about 5.1 s, as in the last 3 such migrations")
        // The other way before another guest; that before nothing.
        #expect(FreezeForecast.all(there, past: Array(past[1...2])).map(\.milliseconds) == [2, 2, 2])
        #expect(FreezeForecast.all(there, past: [past[1]]).map(\.milliseconds) == [1, 1, 1])
    }

    @Test("Only the last five count")
    func last() throws {
        let spec = try specification()
        let past = [3, 4, 5, 6, 7, 1000, 1000, 1000].map { report(spec, [$0, $0, $0]) }
        #expect(FreezeForecast.all(spec, past: past).map(\.milliseconds) == [5, 5, 5])
    }

    @Test("What went otherwise is no measure")
    func incomparable() throws {
        let spec = try specification()
        let past = [
            report(spec, [5, 5, 5], outcome: .rolledBack(because: Failure(.failed, "no"))),
            report(spec, [5, 5, 5], runs: 2), report(try specification(memory: 128), [5, 5, 5]),
            report(try specification(method: .oneFreeze), [5]), report(spec, []),
        ]
        #expect(FreezeForecast.all(spec, past: past).isEmpty)
        #expect([FreezeForecast]().text.hasPrefix("not predicted"))
        #expect(FreezeForecast.all(try specification(method: .oneFreeze), past: past).map(\.milliseconds) == [5])
    }
}
