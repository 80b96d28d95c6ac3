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
        let result = try await cleaned(host, isTakenOver: isTakenOver)
        let isRemoved = host.programs.mutations.contains { command in
            command.arguments.first == "lvremove"
                && command.arguments.contains { $0.hasSuffix("lv_name=\"db\"") }
        }
        #expect(isRemoved == !isTakenOver)
        #expect(host.programs.names.contains("db") == isTakenOver)
        let volume = try host.host.recordedVolume(try VolumeName("db"))
        #expect(volume?.state == (isTakenOver ? .retired(migration: try spec().id.text) : nil))
        #expect(result.notes.contains { $0.contains("is kept") } == isTakenOver)
    }

    @Test("It is kept where a snapshot has been taken of it meanwhile, and the snapshot with it")
    func snapshot() async throws {
        let host = try TargetHost()
        host.programs.takeSnapshot("before", of: "db")
        try expectKept(try await cleaned(host, isTakenOver: false), host, saying: "it has a snapshot 'before'")
        #expect(host.programs.names == ["db", "old", "root", "before"])
    }

    @Test("It is kept where a checkpoint knows it, also one whose snapshot is lost")
    func checkpoint() async throws {
        let host = try TargetHost()
        try CheckpointStore(host.host.paths).save(try Sample.checkpoint(of: "db"))
        try expectKept(
            try await cleaned(host, isTakenOver: false), host, saying: "the checkpoint 'db-1' needs it")
    }

    private func expectKept(_ result: StepResult, _ host: TargetHost, saying words: String) throws {
        let volume = try host.host.recordedVolume(try VolumeName("db"))
        #expect(volume?.state == .retired(migration: try spec().id.text))
        #expect(volume?.logicalVolumeUUID == "abc")
        #expect(host.programs.names.contains("db"))
        let note = result.notes.first { $0.contains("is kept, although it was to be removed") }
        #expect(note?.contains(words) == true && note?.contains("xenlvs volume remove db") == true, "\(result.notes)")
    }

    @Test(
        "A copy that an aborted migration has made is kept where there is a snapshot of it", arguments: [false, true])
    func aborted(_ hasSnapshot: Bool) async throws {
        let host = try TargetHost()
        let spec = try spec()
        try host.begin(spec)
        host.programs.tag("db", try LogicalVolumeTag.migration(spec.id.text).text)
        if hasSnapshot { host.programs.takeSnapshot("before", of: "db") }
        let result = try await host.worker.perform(
            StepOrder(step: .cleanTargetAfterRollback, role: .target, spec: spec, epoch: 3))
        #expect(host.programs.names == (hasSnapshot ? ["db", "old", "root", "before"] : ["old", "root"]))
        let volume = try host.host.recordedVolume(try VolumeName("db"))
        #expect(volume?.state == (hasSnapshot ? .retired(migration: spec.id.text) : nil))
        #expect(result.notes.contains { $0.contains("it has a snapshot 'before'") } == hasSnapshot)
    }

    @Test("A migration back does not fill it while a snapshot or a checkpoint needs what it holds")
    func usedAgain() async throws {
        let spec = try TargetHost.spec(domain: "shop", volume: "old", number: 12)
        for expected in [nil, "it has a snapshot 'before'", "the checkpoint 'old-1' needs it"] as [String?] {
            let host = try TargetHost()
            if expected?.contains("snapshot") == true { host.programs.takeSnapshot("before", of: "old") }
            if expected?.contains("checkpoint") == true {
                try CheckpointStore(host.host.paths).save(try Sample.checkpoint(of: "old"))
            }
            let query = SurveyQuery(domain: nil, volumes: [try VolumeName("old")])
            let seen = try await host.worker.survey(query).volumes.first?.dependants
            #expect(seen?.map(\.sentence) == [expected].compactMap(\.self))
            guard let expected else {
                #expect(try await host.worker.makeVolumes(spec).notes.first?.contains("used again") == true)
                continue
            }
            let failure = await #expect(throws: Failure.self) { try await host.worker.makeVolumes(spec) }
            #expect(failure?.what == "the old copy of old at vg0/old cannot be used again")
            #expect(failure?.why == "its content would be overwritten, and \(expected)")
            #expect(host.programs.mutations.isEmpty)
            let volume = try host.host.recordedVolume(try VolumeName("old"))
            #expect(volume?.state == .retired(migration: "shop-20261101-0001"))
        }
    }

    private func spec() throws -> MigrationSpec { try TargetHost.spec(domain: "db", volume: "db", number: 12) }

    /// Performs the step at the end of a migration from here that is to remove the source's copy.
    private func cleaned(_ host: TargetHost, isTakenOver: Bool) async throws -> StepResult {
        let spec = try spec()
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
        return try await host.worker.perform(
            StepOrder(step: .cleanSource, role: .source, spec: spec, epoch: 3))
    }
}
