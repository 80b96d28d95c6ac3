import HostModel
import Hosts
import Migration
import Storage
import Testing

@testable import Operations

@Suite("A guest that is gone before the migration has saved it")
struct GoneGuestTests {
    @Test("The way back neither looks for an image nor restores one, and says that the guest is not there")
    func neverSaved() async throws {
        let host = try TargetHost()
        let spec = try TargetHost.spec()
        try host.take(spec, .source)
        let saved = try await perform(.saveForRollback, spec, on: host)
        #expect(saved.domainWasLost)
        #expect(saved.notes.contains { $0.contains("xl create") })
        for step in [Step.restoreOnSource, .continueOnSource] { _ = try await perform(step, spec, on: host) }
        #expect(host.programs.mutations.isEmpty)
    }

    @Test("Where there is an image that is not whole the operator is asked", arguments: SavedImages.Purpose.allCases)
    func notWhole(_ purpose: SavedImages.Purpose) async throws {
        let host = try TargetHost()
        let spec = try TargetHost.spec()
        try host.take(spec, .source)
        _ = try host.host.images.create(spec.id, purpose)
        await #expect(throws: Failure.self) { try await perform(.saveForRollback, spec, on: host) }
    }

    @discardableResult
    private func perform(_ step: Step, _ spec: MigrationSpec, on host: TargetHost) async throws -> StepResult {
        try await host.worker.perform(StepOrder(step: step, role: .source, spec: spec, epoch: 3))
    }
}
