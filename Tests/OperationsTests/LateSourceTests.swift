import Foundation
import HostModel
import Hosts
import Migration
import Reporting
import Testing

@testable import Operations

/// A source that was declared dead on the target comes back and orders what it would have ordered.
@Suite("A source that comes back late")
final class LateSourceTests {
    private let root = FileManager.default.temporaryDirectory.path + "/xenlvs-late-\(UInt64.random(in: 0...UInt64.max))"
    private let host: HostContext
    private let worker: HostWorker
    private let spec: MigrationSpec

    init() throws {
        for directory in ["state", "run", "links"] {
            try FileManager.default.createDirectory(atPath: "\(root)/\(directory)", withIntermediateDirectories: true)
        }
        host = try HostContext(
            paths: Paths(
                state: root + "/state", run: root + "/run", links: root + "/links", configuration: root + "/x.yaml"))
        worker = HostWorker(host: host, version: "test")
        var spec = try OutlineTests.facts().spec
        spec.uuid = "6f1c0a52-7b1e-4f0e-9d39-0f4f6f6f2a11"
        self.spec = spec
        let machine = try JSONText.encode(MigrationMachine(plan: spec.plan))
        try host.database.insert(
            MigrationRecord(
                id: spec.id.text, domain: spec.domain.text, role: .target, epoch: 3, spec: try JSONText.encode(spec),
                machine: machine, decided: false, isOpen: true, created: 1, updated: 1), minors: [], ports: [])
    }

    deinit { try? FileManager.default.removeItem(atPath: root) }

    private func order(_ step: Step) -> StepOrder { StepOrder(step: step, role: .target, spec: spec, epoch: 4) }

    private func mirror() throws {
        try worker.mirror(
            MirrorUpdate(id: spec.id, epoch: 4, machine: MigrationMachine(plan: spec.plan), events: []))
    }

    private func journal() throws -> ResolutionJournal {
        try ResolutionJournal(spec, declaringDead: spec.source.name, in: host.database)
    }

    private func decide() throws {
        let record = try host.database.migration(spec.id.text)
        try host.database.update(spec.id.text, machine: record.machine, decided: true, isOpen: true, at: 2)
    }

    private func code(_ body: () async throws -> Void) async -> Failure.Code? {
        do { try await body() } catch { return (error as? Failure)?.code }
        return nil
    }

    @Test("It is told that the domain is not its own any more, whatever it orders, and changes nothing here")
    func decided() async throws {
        var journal = try journal()
        try decide()
        try journal.finish(.migrated)
        let before = try host.database.migration(spec.id.text)
        for step in [Step.connectTarget, .discardOnTarget, .cleanTargetAfterRollback, .closeTarget, .startOnTarget] {
            #expect(await code { _ = try await worker.perform(order(step)) } == .takenOver, "\(step)")
        }
        #expect(await code { try mirror() } == .takenOver)
        #expect(try host.database.migration(spec.id.text) == before)
    }

    @Test("While the operator's command is not finished nothing is let in")
    func underWay() async throws {
        _ = try journal()
        for step in [Step.connectTarget, .discardOnTarget] {
            #expect(await code { _ = try await worker.perform(order(step)) } == .busy, "\(step)")
        }
        #expect(await code { try mirror() } == .busy)
        try decide()
        #expect(await code { _ = try await worker.perform(order(.discardOnTarget)) } == .takenOver)
    }

    @Test("Where nothing could be kept it may have its guest back")
    func nothingKept() async throws {
        var journal = try journal()
        try journal.finish(.lost(because: Failure(.unreachable, "nodea was declared dead")))
        for step in [Step.discardOnTarget, .cleanTargetAfterRollback, .closeTargetAfterRollback] {
            #expect(await code { _ = try await worker.perform(order(step)) } == nil, "\(step)")
        }
        #expect(await code { _ = try await worker.perform(order(.connectTarget)) } == .refused)
        // Its history is not mixed into the one that was ended here.
        #expect(await code { try mirror() } == .refused)
    }

    @Test("The target's journal tells what has become of it")
    func report() throws {
        var journal = try journal()
        try journal.finish(.lost(because: Failure(.unreachable, "nodea was declared dead")))
        let report = try MigrationReports(host: host).report(spec.id)
        #expect(report.outcome.state == .lost)
        #expect(report.domainRunsOn == nil)
        #expect(report.notes.map(\.text) == ["nodea was declared dead by the operator"])
        #expect(try !host.database.migration(spec.id.text).isOpen)
        #expect(try CoordinatorJournal.history(spec.id, in: host.database).declaresDead(spec.source.name))
    }

    @Test("A decision is taken back only where no image can be restored any more")
    func reclaimed() throws {
        try decide()
        try host.images.prepare()
        for purpose in [SavedImages.Purpose.handOver, .substitution] { _ = try host.images.create(spec.id, purpose) }
        let earlier = "\(host.images.directory)/\(spec.id).2.00000000.image"
        try Data().write(to: URL(fileURLWithPath: earlier))
        #expect(try host.images.ofEarlierBoots() == [earlier])
        try host.images.spendAll(spec.id)
        try host.images.spendAll(spec.id)
        let names = try FileManager.default.contentsOfDirectory(atPath: host.images.directory)
        #expect(names.count == 3 && names.allSatisfy { $0.hasSuffix(".image.spent") })
        #expect(try host.images.ofEarlierBoots().isEmpty)
        try host.database.takeDecisionBack(spec.id.text)
        #expect(try !host.database.migration(spec.id.text).decided)
    }
}
