import HostModel
import Hosts
import Migration
import Testing

@testable import Operations

@Suite("A source that was restarted after the decision of a live hand-over")
struct RestartedSourceTests {
    @Test("It has no replicas any more that could be Primary, and the migration goes on")
    func demote() async throws {
        let host = try TargetHost()
        var spec = try TargetHost.spec()
        spec.plan = MigrationPlan(method: .live, settlement: .late, comparesCopies: false)
        try host.take(spec, .source, decided: true)
        let result = try await host.worker.perform(
            StepOrder(step: .demoteSource, role: .source, spec: spec, epoch: 3))
        #expect(result.notes.isEmpty)
        #expect(host.programs.mutations.isEmpty)
    }
}
