import HostModel
import Hosts
import Storage
import Testing

@testable import Operations

@Suite("The start of a migration", .enabled(if: canMakeDeviceNodes, "needs device nodes"))
struct MigrationStartTests {
    private func starter(_ host: BracketHost) -> MigrationStarter {
        MigrationStarter(worker: HostWorker(host: host.host, version: "test"))
    }

    private func request(_ host: BracketHost) throws -> MigrationRequest {
        MigrationRequest(domain: host.name, target: try HostName("nodeb"), targetGroup: nil)
    }

    private func checkpoint(_ stage: Checkpoint.Stage) throws -> Checkpoint {
        Checkpoint(
            name: try VolumeName("web1-1"), domain: try DomainName("web1"), uuid: BracketHost.uuid,
            memory: .mebibytes(8), stage: stage, created: 1, disks: [])
    }

    @Test("While a bracket or a checkpoint is at work on the domain no migration of it begins, and the other way round")
    func held() async throws {
        let host = try BracketHost()
        let starter = starter(host)
        let checkpoints = CheckpointManager(worker: starter.worker)
        try await host.bracket.holding(host.name) { expectBusy { _ = try starter.hold(host.name) } }
        try await checkpoints.holding(host.name) { expectBusy { _ = try starter.hold(host.name) } }
        let lock = try starter.hold(host.name)
        for body in [host.bracket.holding, checkpoints.holding] as [Holding] {
            let failure = await #expect(throws: Failure.self) { try await body(host.name) {} }
            #expect(failure?.code == .busy)
        }
        _ = try starter.hold(try DomainName("db"))
        withExtendedLifetime(lock) {}
    }

    private typealias Holding = (DomainName, () async throws -> Void) async throws -> Void

    private func expectBusy(_ body: () throws -> Void) {
        let failure = #expect(throws: Failure.self) { try body() }
        #expect(failure?.code == .busy && failure?.remedy != nil, "\(String(describing: failure))")
    }

    @Test(
        "A bracket that has not ended is brought back first",
        arguments: [DomainBracket.Record.Stage.saving, .away, .back])
    func bracket(_ stage: DomainBracket.Record.Stage) async throws {
        let host = try BracketHost()
        try await host.leave(stage)
        let failure = await #expect(throws: Failure.self) { try await starter(host).prospect(try request(host)) }
        #expect(failure?.code == .busy)
        #expect(failure?.remedy?.contains("xenlvs recover") == true)
        #expect(host.xen.mutations.isEmpty)
    }

    @Test(
        "So is a checkpoint that is not finished", arguments: [Checkpoint.Stage.making, .rollingBack, .starting])
    func checkpoint(stage: Checkpoint.Stage) async throws {
        let host = try BracketHost()
        try CheckpointStore(host.host.paths).save(try checkpoint(stage))
        let failure = await #expect(throws: Failure.self) { try await starter(host).prospect(try request(host)) }
        #expect(failure?.code == .busy)
        #expect(failure?.remedy == CheckpointManager.remedy(try checkpoint(stage)))
        #expect(host.xen.mutations.isEmpty)
    }

    @Test("Whole checkpoints, and what becomes of another domain, do not concern it")
    func others() async throws {
        let host = try BracketHost()
        let starter = starter(host)
        try CheckpointStore(host.host.paths).save(try checkpoint(.whole))
        try starter.requireNoneStopped(host.name)
        try await host.leave(.saving)
        try starter.requireNoneStopped(try DomainName("db"))
    }
}
