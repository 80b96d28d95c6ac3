import Foundation
import HostModel
import Hosts
import Migration
import Storage
import Testing

@testable import Operations

@Suite("A domain that runs on its target without a decision", .enabled(if: canMakeDeviceNodes, "needs device nodes"))
struct UndecidedRunTests {
    /// The target, on which the domain runs.
    private let host: BracketHost
    private let worker: HostWorker

    init() throws {
        host = try BracketHost()
        worker = HostWorker(host: host.host, version: "test")
    }

    private func begin(_ plan: MigrationPlan, decided: Bool = false) throws -> MigrationSpec {
        var spec = try TargetHost.spec(source: "nodec")
        spec.plan = plan
        try host.host.database.insert(
            MigrationRecord(
                id: spec.id.text, domain: spec.domain.text, role: .target, epoch: 3, spec: try JSONText.encode(spec),
                machine: try JSONText.encode(MigrationMachine(plan: spec.plan)), decided: decided, isOpen: true,
                created: 1, updated: 1), minors: [], ports: [])
        return spec
    }

    private func ask(_ spec: MigrationSpec) async -> Failure? {
        let note = MigrationEvent(sequence: 1, time: 1, kind: .note("asked"))
        let update = MirrorUpdate(id: spec.id, epoch: 4, machine: MigrationMachine(plan: spec.plan), events: [note])
        do { _ = try await worker.handle(.mirror(update)) } catch { return error as? Failure }
        return nil
    }

    private static let live = MigrationPlan(method: .live, settlement: .late, comparesCopies: false)

    @Test(
        "The target says so whenever its source asks, and takes the source's journal all the same",
        arguments: [live, MigrationPlan(settlement: .late, comparesCopies: false)])
    func told(_ plan: MigrationPlan) async throws {
        let spec = try begin(plan)
        let failure = try #require(await ask(spec))
        #expect(failure.code == .runsUndecided && failure.code.exitStatus == .needsRecovery)
        #expect(try CoordinatorJournal.history(spec.id, in: host.host.database).count == 1)
        for step in plan.method == .live ? [Step.clearTarget, .discardOnTarget] : [.discardOnTarget] {
            let order = StepOrder(step: step, role: .target, spec: spec, epoch: 4)
            let volume = worker.targetVolume(
                spec.volumes[0], spec, state: .incoming(migration: spec.id.text), uuid: nil)
            try host.host.put(volume)
            let failure = await #expect(throws: Failure.self) { try await worker.perform(order) }
            #expect(failure?.code == .runsUndecided, "\(step): \(String(describing: failure))")
        }
        #expect(host.xen.mutations.isEmpty)
    }

    @Test("One that waits there, is not there, or belongs there, is nothing to be told")
    func fine() async throws {
        let spec = try begin(Self.live)
        host.xen.put(FakeXen.Guest(id: 5, state: "--p---"))
        #expect(await ask(spec) == nil)
        host.xen.put(nil)
        #expect(await ask(spec) == nil)
    }

    @Test("After the decision it may run")
    func decided() async throws { #expect(await ask(try begin(Self.live, decided: true)) == nil) }

    @Test("It crosses the wire")
    func wire() throws {
        let failure = Failure(.runsUndecided, "web1 was let run", host: "nodeb")
        let line = try JSONText.encode(HostReply.failed(failure))
        guard case .failed(failure) = try JSONText.decode(HostReply.self, from: line, what: "a reply") else {
            Issue.record("\(line)")
            return
        }
    }

    @Test(
        "The source says how it is there, and what can be typed",
        arguments: [GuestHere.runs, .suspendedAway, .saved, .absent, .stopped("paused"), .unknown("xl fails")])
    func words(_ guest: GuestHere) throws {
        let spec = try TargetHost.spec(source: "nodec")
        let told = Failure(.runsUndecided, "web1 was let run", host: "nodeb", why: "it is active there").tellingOf(
            guest, spec)
        #expect(told.code == .runsUndecided && told.host == "nodeb")
        #expect(told.why?.contains("active there") == true && told.why?.contains("nodec") == true)
        let remedy = try #require(told.remedy)
        #expect(remedy.contains("xenlvs migration resolve \(spec.id) --fenced nodec"))
        #expect(remedy.contains("xl destroy web1' on nodeb") && remedy.contains("migration abort \(spec.id)"))
        #expect(remedy.contains("web1--migratedaway") == (guest == .suspendedAway))
        #expect(remedy.contains("/images/\(spec.id).*") == (guest == .saved || guest == .stopped("paused")))
    }
}
