import HostModel
import Hosts
import Migration
import Storage
import Testing

@testable import Operations

@Suite("The source's copy at the end of a migration")
struct OldCopyTests {
    @Test(
        "It is removed where that was asked for, but kept where the target was taken over", arguments: [false, true])
    func removal(_ isTakenOver: Bool) async throws {
        let host = try TargetHost()
        let spec = try TargetHost.spec(domain: "db", volume: "db", number: 12)
        #expect(spec.removesSource)
        try host.take(spec, .source)
        var machine = MigrationMachine(plan: spec.plan)
        if isTakenOver {
            _ = machine.handle(.takenOver(Failure(.takenOver, "the domain db belongs to nodeb for good")))
            _ = machine.handle(.resumed)
        } else {
            while machine.state != .forward(.cleanSource) { _ = machine.handle(.done) }
        }
        #expect(machine.state == .forward(.cleanSource))
        try host.host.database.update(
            spec.id.text, machine: try JSONText.encode(machine), decided: true, isOpen: true, at: 2)
        let result = try await host.worker.perform(
            StepOrder(step: .cleanSource, role: .source, spec: spec, epoch: 3))
        let isRemoved = host.programs.mutations.contains { command in
            command.arguments.first == "lvremove"
                && command.arguments.contains { $0.hasSuffix("lv_name=\"db\"") }
        }
        #expect(isRemoved == !isTakenOver)
        let volume = try host.host.recordedVolume(try VolumeName("db"))
        #expect(volume?.state == (isTakenOver ? .retired(migration: spec.id.text) : nil))
        #expect(result.notes.contains { $0.contains("is kept") } == isTakenOver)
    }
}
