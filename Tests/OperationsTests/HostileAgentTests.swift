import Foundation
import HostModel
import Hosts
import Migration
import Replication
import Storage
import Testing

@testable import Operations

/// What a host that may reach the agent must not be able to do with it.
@Suite("A hostile host at the agent")
struct HostileAgentTests {
    /// The failure of one request, after checking that it had no effect.
    private func refusal(
        _ target: TargetHost, _ session: AgentSession, _ request: HostRequest,
        _ location: SourceLocation = #_sourceLocation
    ) async throws -> Failure {
        var session = session
        let (volumes, files) = (try target.host.database.volumes(), try target.files())
        let failure = await #expect(throws: Failure.self, sourceLocation: location) {
            try await session.answer(request)
        }
        #expect(target.programs.mutations.isEmpty, sourceLocation: location)
        #expect(try target.host.database.volumes() == volumes, sourceLocation: location)
        #expect(try target.files() == files, sourceLocation: location)
        return try #require(failure, sourceLocation: location)
    }

    // MARK: The connection

    @Test("Nothing is answered before a greeting, nor after one that was refused")
    func greeting() async throws {
        let target = try TargetHost()
        var session = AgentSession(worker: target.worker)
        let survey = HostRequest.survey(SurveyQuery(domain: nil, volumes: []))
        #expect(try await refusal(target, session, survey).code == .refused)
        await #expect(throws: Failure.self) { try await session.answer(.hello(protocolVersion: 999, host: "nodea")) }
        #expect(try await refusal(target, session, survey).what.contains("not greeted"))
        for name in ["-oProxyCommand=x", "a b", "", "../x", String(repeating: "n", count: 300)] {
            let hello = HostRequest.hello(protocolVersion: AgentProtocol.version, host: name)
            await #expect(throws: Failure.self) { try await session.answer(hello) }
        }
    }

    @Test("A connection belongs to the host that opened it")
    func secondGreeting() async throws {
        let target = try TargetHost()
        var session = try await target.session()
        _ = try await session.answer(.hello(protocolVersion: AgentProtocol.version, host: "nodea"))
        let other = HostRequest.hello(protocolVersion: AgentProtocol.version, host: "nodec")
        #expect(try await refusal(target, session, other).why?.contains("nodea") == true)
    }

    @Test("Another host's migration is nobody's business")
    func foreignMigration() async throws {
        let target = try TargetHost()
        let spec = try TargetHost.spec()
        try target.begin(spec)
        let session = try await target.session(from: "nodec")
        let update = MirrorUpdate(id: spec.id, epoch: 9, machine: MigrationMachine(plan: spec.plan), events: [])
        for request in [
            .replicas(spec.id), .checksum(spec.id, spec.volumes[0].name), .mirror(update),
            .reconnect(spec.id, spec.volumes[0].name, secret: .random()), TargetHost.order(.discardOnTarget, spec),
            TargetHost.order(.reserveTarget, spec),
        ] as [HostRequest] {
            #expect(try await refusal(target, session, request).why?.contains("nodea") == true)
        }
    }

    @Test("What this host is the source of cannot be driven, nor its journal rewritten, from outside")
    func sourceRole() async throws {
        let target = try TargetHost()
        let spec = try TargetHost.spec(volume: "db", source: "nodea")
        try target.take(spec, .source)
        let session = try await target.session()
        let before = try target.host.database.migration(spec.id.text)
        var machine = MigrationMachine(plan: spec.plan)
        _ = machine.handle(.done)
        let update = MirrorUpdate(id: spec.id, epoch: 1 << 30, machine: machine, events: [])
        for request in [
            .mirror(update), .replicas(spec.id), .checksum(spec.id, spec.volumes[0].name),
            TargetHost.order(.cleanSource, spec, role: .source), TargetHost.order(.saveForReplica, spec, role: .source),
        ] as [HostRequest] {
            #expect(try await refusal(target, session, request).code == .refused)
        }
        #expect(try target.host.database.migration(spec.id.text) == before)
    }

    @Test("A step of the source's is refused on the target too, where it would remove what lies at the source's place")
    func sourceStepOnTarget() async throws {
        let target = try TargetHost()
        let spec = try TargetHost.spec()
        try target.begin(spec)
        let session = try await target.session()
        // That the target's copies are the guest's disks is for its own operator to say.
        #expect(try await refusal(target, session, TargetHost.order(.claimTarget, spec)).code == .refused)
        for step in Step.allCases where step.side != .target {
            #expect(try await refusal(target, session, TargetHost.order(step, spec)).code == .refused)
            await #expect(throws: Failure.self) {
                try await target.worker.perform(StepOrder(step: step, role: .target, spec: spec, epoch: 3))
            }
        }
        #expect(target.programs.mutations.isEmpty)
    }

    // MARK: Order, and what was said before

    @Test("Without a reservation no step does anything")
    func unknown() async throws {
        let target = try TargetHost()
        let (session, spec) = (try await target.session(), try TargetHost.spec())
        for step in Step.allCases where step.side == .target && step != .reserveTarget {
            var session = session
            let reply = try? await session.answer(TargetHost.order(step, spec))
            if case .performed(let result)? = reply { #expect(result.notes.isEmpty) }
        }
        #expect(target.programs.mutations.isEmpty)
        #expect(!FileManager.default.fileExists(atPath: target.host.paths.run))
    }

    @Test("No step is taken on the wrong side of the decision", arguments: [false, true])
    func decision(_ isDecided: Bool) async throws {
        let target = try TargetHost()
        let spec = try TargetHost.spec()
        try target.begin(spec)
        if isDecided {
            try target.host.database.update(spec.id.text, machine: "{}", decided: true, isOpen: true, at: 2)
        }
        let session = try await target.session()
        let wrong: DecisionTiming = isDecided ? .before : .after
        for step in Step.allCases where step.targetTiming == wrong && step != .reserveTarget {
            let failure = try await refusal(target, session, TargetHost.order(step, spec))
            #expect(failure.what.contains("out of order"))
        }
    }

    @Test("Nothing is attached, linked or given away before the migration has its volumes")
    func volumesFirst() async throws {
        let target = try TargetHost()
        let spec = try TargetHost.spec(domain: "shop", id: "shop-20261121-0002", volume: "old")
        try target.take(spec, .target)
        let session = try await target.session()
        for step in [
            Step.makeTargetReplica, .connectTarget, .linkTargetToReplica, .promoteTarget, .acknowledgeDecision,
        ] {
            let failure = try await refusal(target, session, TargetHost.order(step, spec))
            #expect(failure.what.contains("is not migration"))
        }
        let checksum = HostRequest.checksum(spec.id, spec.volumes[0].name)
        #expect(try await refusal(target, session, checksum).code == .refused)
    }

    @Test(
        "An order of an older run, for a migration that has ended, or that differs from what was agreed on, is refused")
    func replay() async throws {
        let target = try TargetHost()
        let spec = try TargetHost.spec()
        try target.begin(spec)
        let session = try await target.session()
        let old = TargetHost.order(.linkTargetToReplica, spec, epoch: 2)
        #expect(try await refusal(target, session, old).why?.contains("run 3 has taken over") == true)
        for change in [
            { $0.volumes[0].size = .mebibytes(128) }, { $0.volumes[0].targetMinor = 8 }, { $0.memory = .gibibytes(1) },
            { $0.plan = MigrationPlan(settlement: .early, comparesCopies: $0.plan.comparesCopies) },
        ] as [(inout MigrationSpec) -> Void] {
            var other = spec
            change(&other)
            for step in [Step.reserveTarget, .makeTargetVolumes, .cleanTargetAfterRollback] {
                #expect(try await refusal(target, session, TargetHost.order(step, other)).code == .refused)
            }
        }
        try target.host.database.update(spec.id.text, machine: "{}", decided: false, isOpen: false, at: 2)
        for step in [Step.makeTargetVolumes, .linkTargetToReplica, .reserveTarget, .acknowledgeDecision] {
            #expect(try await refusal(target, session, TargetHost.order(step, spec)).why == nil)
        }
    }

    @Test("A mirrored history never goes back, is bounded, and opens nothing again")
    func mirror() async throws {
        let target = try TargetHost()
        let spec = try TargetHost.spec()
        try target.take(spec, .target, isOpen: false)
        let session = try await target.session()
        func update(_ epoch: Int64, _ notes: Int = 0, plan: MigrationPlan? = nil) -> HostRequest {
            let text = String(repeating: "x", count: 4000)
            let events = (0..<notes).map { MigrationEvent(sequence: $0 + 1, time: 1, kind: .note(text)) }
            return .mirror(
                MirrorUpdate(
                    id: spec.id, epoch: epoch, machine: MigrationMachine(plan: plan ?? spec.plan), events: events))
        }
        #expect(try await refusal(target, session, update(4, 1)).code == .notFound)
        #expect(try target.host.database.historyLength(of: spec.id.text) == 0)
        #expect(try !target.host.database.migration(spec.id.text).isOpen)
        #expect(try await refusal(target, session, update(3)).code == .refused)
        #expect(try await refusal(target, session, update(.max)).code == .refused)
        #expect(try await refusal(target, session, update(-1)).code == .refused)
        #expect(try await refusal(target, session, update(5, 5000)).what.contains("too long"))
        let other = MigrationPlan(settlement: .early, comparesCopies: true)
        #expect(try await refusal(target, session, update(5, plan: other)).code == .refused)
    }

    // MARK: What is here already

    @Test("A volume, a link or a migration that exists here is not taken over by its name")
    func existing() async throws {
        let target = try TargetHost()
        let session = try await target.session()
        try FileManager.default.createSymbolicLink(
            atPath: target.root + "/links/hand", withDestinationPath: "/dev/null")
        try target.begin(try TargetHost.spec(domain: "mail", id: "mail-20261121-0001", volume: "mail", number: 9))
        for (volume, why) in [
            ("db", "in use"), ("old", "another domain's"), ("hand", "did not make it"), ("mail", "not finished"),
        ] {
            // In another group there is nothing of that name; the name is the host's all the same.
            for group in ["vg0", "vg1"] {
                let spec = try TargetHost.spec(volume: volume, group: group)
                let failure = try await refusal(target, session, TargetHost.order(.reserveTarget, spec))
                #expect(failure.why?.contains(why) == true)
            }
        }
        // What LVM has and xenlvs does not know is found when the volume is to be made.
        var taking = session
        let root = try TargetHost.spec(volume: "root")
        _ = try await taking.answer(TargetHost.order(.reserveTarget, root))
        #expect(
            try await refusal(target, session, TargetHost.order(.makeTargetVolumes, root)).why?.contains("no record")
                == true)
    }

    @Test("Nothing gets into the journal that could not be read from it again")
    func unreadable() throws {
        let target = try TargetHost()
        var spec = try TargetHost.spec()
        spec.target.address = "fe80::1%eth0"
        let starter = MigrationStarter(worker: target.worker)
        #expect(throws: Failure.self) { try starter.begin(spec) }
        #expect(try target.host.database.migrations(openOnly: true).isEmpty)
        try starter.begin(try TargetHost.spec())
        #expect(try OpenMigration.all(in: target.host.database).map(\.role) == [.source])
    }

    @Test("The same guest's old copy is used again")
    func retired() async throws {
        let target = try TargetHost(restriction: TargetHost.restriction)
        var session = try await target.session()
        let spec = try TargetHost.spec(domain: "shop", id: "shop-20261121-0002", volume: "old")
        _ = try await session.answer(TargetHost.order(.reserveTarget, spec))
        _ = try await session.answer(TargetHost.order(.makeTargetVolumes, spec))
        let state = try target.worker.recordedVolume(try VolumeName("old"))?.state
        #expect(state == .incoming(migration: "shop-20261121-0002"))
    }
}
