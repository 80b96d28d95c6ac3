import Foundation
import HostModel
import Hosts
import Migration
import Testing

@testable import Operations

/// A migration acts on a domain that somebody else has paused, or is restoring.
@Suite("A domain that is not a migration's to let run", .enabled(if: canMakeDeviceNodes, "needs device nodes"))
struct PausedByOthersTests {
    private let host: BracketHost
    private let worker: HostWorker
    private let spec: MigrationSpec

    init() throws {
        host = try BracketHost()
        worker = HostWorker(host: host.host, version: "test")
        spec = try TargetHost.spec(source: "nodea")
        try host.host.database.insert(
            MigrationRecord(
                id: spec.id.text, domain: spec.domain.text, role: .source, epoch: 3, spec: try JSONText.encode(spec),
                machine: try JSONText.encode(MigrationMachine(plan: spec.plan)), decided: false, isOpen: true,
                created: 1, updated: 1), minors: [], ports: [])
    }

    private func pause(isComplete: Bool = true) {
        host.xen.put(FakeXen.Guest(id: 5, state: "--p---", isComplete: isComplete))
    }

    /// A whole image of the migration.
    private func save(_ purpose: SavedImages.Purpose) throws {
        let path = try host.host.images.create(spec.id, purpose)
        try Data(FakeXen.image).write(to: URL(fileURLWithPath: path))
    }

    private func perform(_ step: Step) async throws -> StepResult {
        try await worker.perform(StepOrder(step: step, role: .source, spec: spec, epoch: 3))
    }

    @Test("The way back says so, and does not let it run")
    func saveForRollback() async throws {
        pause()
        let failure = await #expect(throws: Failure.self) { try await perform(.saveForRollback) }
        #expect(failure?.why?.contains("not by this migration") == true)
        #expect(failure?.remedy?.contains("xl unpause web1") == true)
        #expect(host.xen.mutations.isEmpty)
    }

    @Test("Nor do the steps that let a restored domain run", arguments: [Step.continueOnSource, .continueOnReplica])
    func letRun(_ step: Step) async throws {
        pause()
        #expect(try await perform(step).notes.contains { $0.contains("xl unpause web1") })
        #expect(host.xen.mutations.isEmpty)
        // One that has run since it was restored is not the migration's any more either.
        try save(.substitution)
        try host.host.images.markSpent(spec.id, .substitution)
        try host.host.images.retireSpent(spec.id, .substitution)
        #expect(try await perform(step).notes.contains { $0.contains("xl unpause web1") })
        #expect(host.xen.mutations.isEmpty)
    }

    @Test("What the migration has restored it lets run, even after a kill right before it", arguments: [true, false])
    func own(_ isSpent: Bool) async throws {
        pause()
        try save(.substitution)
        if isSpent { try host.host.images.markSpent(spec.id, .substitution) }
        #expect(try await perform(.continueOnSource).notes.isEmpty)
        #expect(host.xen.mutations == ["unpause 5"])
        #expect(try host.host.images.state(spec.id, .substitution) == .spent)
        #expect(!host.host.images.awaitsRun(spec.id, .substitution))
    }

    @Test("A half-restored domain is destroyed only where the migration has its image")
    func halfRestored() async throws {
        pause(isComplete: false)
        #expect(try await worker.clearUnfinished(spec).isPaused)
        #expect(host.xen.mutations.isEmpty)
        try save(.handOver)
        #expect(try await worker.clearUnfinished(spec) == .absent)
        #expect(host.xen.mutations == ["destroy 5"])
    }
}
