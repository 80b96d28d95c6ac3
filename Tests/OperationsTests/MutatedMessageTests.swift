import Foundation
import HostModel
import Hosts
import Migration
import Replication
import Reporting
import Storage
import Testing

@testable import Operations

/// 100,000 lines that are almost what a coordinator sends, through the agent as it runs.
@Suite("Mutated messages")
struct MutatedMessageTests {
    private static let batches = 50
    private static let linesInBatch = 2_000
    /// `XENLVS_SEED` repeats a run.
    private static let seed = ProcessInfo.processInfo.environment["XENLVS_SEED"].flatMap { UInt64($0) } ?? 20_261_121

    @Test("No crash, and nothing happens to what is here", arguments: 0..<batches)
    func mutated(_ batch: Int) async throws {
        if batch == 0 { print("mutated messages: XENLVS_SEED=\(Self.seed)") }
        let target = try TargetHost(restriction: batch % 2 == 0 ? TargetHost.restriction : nil)
        let lines = try Self.prepare(target)
        let before = try Protected(target)
        var mutator = try Mutator(seed: Self.seed &+ UInt64(batch), lines)
        let hello = Array(lines[0].utf8)
        for _ in 0..<Self.linesInBatch {
            try await Self.serve(target, [hello, mutator.next()])
        }
        let after = try Protected(target)
        #expect(after == before, "seed \(Self.seed)")
        for command in target.programs.mutations {
            let words = Set(
                command.arguments.flatMap { $0.split(whereSeparator: { "/\"=".contains($0) }).map(String.init) })
            #expect(words.isDisjoint(with: ["db", "old", "root", "shop"]), "seed \(Self.seed): \(command)")
            #expect(batch % 2 == 1 || words.isDisjoint(with: ["vg1"]), "seed \(Self.seed): \(command)")
        }
        try Self.checkJournal(target, isRestricted: batch % 2 == 0)
    }

    /// What no message may change.
    private struct Protected: Equatable {
        var volumes: [VolumeRecord]
        var migrations: [MigrationRecord]
        var histories: [Int]
        var files: [String]

        init(_ target: TargetHost) throws {
            let database = target.host.database
            volumes = try database.volumes().filter { ["db", "old"].contains($0.name.text) }
            let ids = ["shop-20261101-0001", "web1-20261121-0002", "web1-20261121-0004"]
            migrations = try ids.map(database.migration)
            histories = try ids.map(database.historyLength)
            files = try target.files()
        }
    }

    /// A migration in each state, and every message for each of them.
    private static func prepare(_ target: TargetHost) throws -> [String] {
        let open = try TargetHost.spec()
        try target.begin(open)
        // This host is the source; it has ended; another host's.
        let away = try TargetHost.spec(domain: "db", id: "web1-20261121-0002", volume: "db", number: 12)
        try target.take(away, .source)
        let ended = try TargetHost.spec(domain: "web3", id: "web1-20261121-0003", volume: "web3", number: 13)
        try target.take(ended, .target, isOpen: false)
        let other = try TargetHost.spec(
            domain: "web4", id: "web1-20261121-0004", volume: "web4", source: "nodec", number: 14)
        try target.begin(other)
        let fresh = try TargetHost.spec(domain: "web5", id: "web1-20261121-0005", volume: "web5", number: 15)
        let taken = try TargetHost.spec(domain: "db", id: "web1-20261121-0006", volume: "db", number: 16)
        var requests = [HostRequest.hello(protocolVersion: AgentProtocol.version, host: "nodea")]
        requests.append(.survey(SurveyQuery(domain: open.domain, volumes: [open.volumes[0].name])))
        for spec in [open, away, ended, other] { requests += try messages(spec) }
        requests += [TargetHost.order(.reserveTarget, fresh), TargetHost.order(.reserveTarget, taken)]
        requests += [TargetHost.order(.makeTargetReplica, taken), TargetHost.order(.acknowledgeDecision, taken)]
        return try requests.enumerated().map { try JSONText.encode(RequestLine(id: $0, request: $1)) }
    }

    private static func messages(_ spec: MigrationSpec) throws -> [HostRequest] {
        let volume = spec.volumes[0].name
        let events = [
            MigrationEvent(sequence: 1, time: 5, kind: .note("a")),
            MigrationEvent(sequence: 2, time: 6, kind: .attachedAgain),
        ]
        var promotion = StepOrder(step: .promoteTarget, role: .target, spec: spec, epoch: 3, secret: .random())
        let status = try ReplicaStatus.parse(
            events2: """
                exists resource name:xenlvs-\(volume) role:Secondary suspended:no
                exists connection name:xenlvs-\(volume) peer-node-id:1 conn-name:x connection:Connected role:Secondary
                exists device name:xenlvs-\(volume) volume:0 minor:7 disk:UpToDate size:65536 read:0 written:0
                exists peer-device name:xenlvs-\(volume) peer-node-id:1 volume:0 replication:Established \
                peer-disk:UpToDate resync-suspended:no received:0 sent:0 out-of-sync:0
                exists -
                """)
        promotion.sourceReplicas = [VolumeReplica(volume: volume, status: status.first)]
        let update = MirrorUpdate(id: spec.id, epoch: 3, machine: MigrationMachine(plan: spec.plan), events: events)
        return [
            .perform(promotion), .replicas(spec.id), .verify(spec.id, volume, wholly: true),
            .reconnect(spec.id, volume, secret: .random()), .explain(spec.id, volume), .checksum(spec.id, volume),
            .mirror(update),
        ] + Step.allCases.map { TargetHost.order($0, spec, role: $0.side == .source ? .source : .target) }
    }

    /// One connection: the lines, and its end.
    private static func serve(_ target: TargetHost, _ lines: [[UInt8]]) async throws {
        let path = target.root + "/input"
        let input = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        unlink(path)
        let output = open("/dev/null", O_WRONLY | O_CLOEXEC)
        defer {
            close(input)
            close(output)
        }
        let bytes = lines.flatMap { $0 + [UInt8(ascii: "\n")] }
        guard write(input, bytes, bytes.count) == bytes.count, lseek(input, 0, SEEK_SET) == 0 else {
            throw Failure(.failed, "cannot write a test's input")
        }
        try? await AgentServer(worker: target.worker, input: input, output: output).run()
    }

    /// What was taken into the journal is what may be taken in, and can be shown.
    private static func checkJournal(_ target: TargetHost, isRestricted: Bool) throws {
        for record in try target.host.database.migrations() where record.epoch < 1 << 32 {
            let spec = try JSONText.decode(MigrationSpec.self, from: record.spec, what: "a test's journal")
            guard record.role == .target, spec.source.name.text != "nodec", isRestricted else { continue }
            try TargetHost.restriction?.check(spec)
        }
        for report in try MigrationReports(host: target.host).all() {
            #expect(!TextReport.render(report, width: 80, color: false, unicode: false).contains("\u{1B}"))
            _ = HTMLReport.render(report)
        }
    }
}
