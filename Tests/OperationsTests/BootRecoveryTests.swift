import HostModel
import Migration
import Reporting
import Testing

@testable import Operations

@Suite("What is told of an open migration at boot")
struct BootRecoveryTests {
    private func advice(
        _ role: Role, isDecided: Bool, isMemoryLost: Bool, _ kinds: [MigrationEvent.Kind] = []
    ) throws -> OpenMigrationAdvice {
        let began: [MigrationEvent.Kind] = [.runBegan(epoch: 1, resumed: false), .stepBegan(.synchronise)]
        let events = (began + kinds).enumerated().map { index, kind in
            MigrationEvent(sequence: index + 1, time: Int64(index), kind: kind)
        }
        let report = MigrationReport(spec: try OutlineTests.facts().spec, events: events)
        return OpenMigrationAdvice(report, role, isDecided: isDecided, isMemoryLost: isMemoryLost)
    }

    private let id = "web1-20261121-XXXX"

    @Test("A source whose guest was lost with the last boot can only be taken back")
    func restartedSource() throws {
        let stop = MigrationEvent.Kind.suspended(Failure(.unreachable, "lost"), needsRecovery: false)
        let advice = try advice(.source, isDecided: false, isMemoryLost: true, [stop])
        #expect(
            advice.line
                == "migration \(id) of web1 (source): stopped in synchronise; the domain was lost when this host was "
                + "restarted: xenlvs migration abort \(id)")
    }

    @Test("Until the decision a source has the choice, after it none")
    func source() throws {
        let (resume, abort) = ("xenlvs migration resume \(id)", "xenlvs migration abort \(id)")
        #expect(try advice(.source, isDecided: false, isMemoryLost: false).commands == [resume, abort])
        let decided = try advice(.source, isDecided: true, isMemoryLost: true)
        #expect(decided.commands == [resume])
        #expect(decided.why == "the domain belongs to nodeb")
        #expect(decided.state == "left in synchronise")
    }

    @Test("A target asks its source, unless that is lost for good")
    func target() throws {
        let advice = try advice(.target, isDecided: false, isMemoryLost: false)
        #expect(advice.commands.first == "xenlvs migration resume \(id)")
        #expect(advice.commands.last?.hasSuffix("xenlvs migration resolve \(id) --fenced nodea") == true)
    }

    @Test("What the operator has begun to resolve is finished in the same way")
    func declaredDead() throws {
        let dead = MigrationEvent.Kind.declaredDead(try HostName("nodea"))
        let advice = try advice(.target, isDecided: true, isMemoryLost: false, [dead])
        #expect(advice.commands == ["xenlvs migration resolve \(id) --fenced nodea"])
    }
}
