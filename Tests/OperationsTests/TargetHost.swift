import Domains
import Foundation
import HostModel
import Hosts
import Migration
import Storage
import Synchronization

@testable import Operations

/// A host without Xen, LVM or DRBD: its files are in a directory of their own, its programs answer from a table, and every
/// command with an effect is remembered.
///
/// It has these logical volumes: `db` (a guest's disk), `old` (the old copy of the guest shop's disk) and `root` (none of
/// xenlvs's), all in vg0.
final class TargetHost {
    let root: String
    let programs = RecordedPrograms()
    let host: HostContext
    let worker: HostWorker

    static let restriction = try? AgentRestriction(sources: ["nodea"], groups: ["vg0"], directories: [])

    init(restriction: AgentRestriction? = nil) throws {
        let memory = FileManager.default.isWritableFile(atPath: "/dev/shm") ? "/dev/shm" : "/tmp"
        root = "\(memory)/xenlvs-target-\(UInt64.random(in: 0...UInt64.max))"
        for directory in ["", "/links", "/pool", "/state", "/state/images"] {
            try FileManager.default.createDirectory(atPath: root + directory, withIntermediateDirectories: true)
        }
        try Data("host: nodeb\n".utf8).write(to: URL(fileURLWithPath: root + "/xenlvs.yaml"))
        host = try HostContext(
            paths: Paths(
                state: root + "/state", run: root + "/run", links: root + "/links", configuration: root + "/xenlvs.yaml"
            ),
            runner: programs)
        worker = HostWorker(host: host, version: "test", restriction: restriction)
        try record(Sample.volume("db"))
        try record(Sample.volume("old", .retired(migration: "shop-20261101-0001")))
        try take(Self.spec(domain: "shop", id: "shop-20261101-0001", volume: "old", number: 40), .source, isOpen: false)
    }

    deinit { try? FileManager.default.removeItem(atPath: root) }

    func record(_ volume: Volume) throws { try host.put(volume) }

    /// Puts a migration into the journal.
    func take(_ spec: MigrationSpec, _ role: MigrationRecord.Role, decided: Bool = false, isOpen: Bool = true) throws {
        try host.database.insert(
            MigrationRecord(
                id: spec.id.text, domain: spec.domain.text, role: role, epoch: 3, spec: try JSONText.encode(spec),
                machine: try JSONText.encode(MigrationMachine(plan: spec.plan)), decided: decided, isOpen: isOpen,
                created: 1, updated: 1),
            minors: isOpen ? spec.volumes.map(\.targetMinor) : [], ports: isOpen ? spec.volumes.map(\.port) : [])
    }

    /// A migration from nodea that has its volume here, not yet decided.
    func begin(_ spec: MigrationSpec) throws {
        try take(spec, .target)
        for volume in spec.volumes {
            try record(worker.targetVolume(volume, spec, state: .incoming(migration: spec.id.text), uuid: nil))
        }
    }

    func session(from peer: String = "nodea") async throws -> AgentSession {
        var session = AgentSession(worker: worker)
        _ = try await session.answer(.hello(protocolVersion: AgentProtocol.version, host: peer))
        return session
    }

    /// Everything below the root with its size, but for the journal's own files and locks.
    func files() throws -> [String] {
        try FileManager.default.subpathsOfDirectory(atPath: root).filter {
            !$0.hasPrefix("state/state.db") && !$0.hasPrefix("run")
        }.sorted()
    }

    static func spec(
        domain: String = "web1", id: String = "web1-20261121-0001", volume: String = "web1", source: String = "nodea",
        group: String = "vg0", number: Int = 7
    ) throws -> MigrationSpec {
        let place = try Sample.lvPlace(volume, in: group)
        return MigrationSpec(
            id: try MigrationID(id), domain: try DomainName(domain), uuid: "4a3e907b-f9a3-4c66-89f7-449cc6af31c5",
            memory: .mebibytes(96), source: Endpoint(name: try HostName(source), address: "192.0.2.1"),
            target: Endpoint(name: try HostName("nodeb"), address: "127.0.0.1"),
            volumes: [
                VolumeSpec(
                    name: try VolumeName(volume), device: "xvda", size: .mebibytes(64), sourcePlace: place,
                    targetPlace: place, sourceMinor: number, targetMinor: number, port: 7800 + number)
            ], plan: MigrationPlan(settlement: .late, comparesCopies: false), verifies: false, bandwidth: nil,
            removesSource: true)
    }

    static func order(
        _ step: Step, _ spec: MigrationSpec, role: Role = .target, epoch: Int64 = 3
    ) -> HostRequest { .perform(StepOrder(step: step, role: role, spec: spec, epoch: epoch)) }
}

/// Programs that answer from a table.
final class RecordedPrograms: CommandRunner {
    private struct State {
        var volumes = ["db", "old", "root"]
        /// What snapshots are of, by their names.
        var origins: [String: String] = [:]
        /// Beside that of every LV of xenlvs's.
        var tags: [String: String] = [:]
        var mutations: [Command] = []

        /// As LVM does it with --yes: the snapshots go with what they are of.
        mutating func remove(_ selection: String) {
            let isSparing = selection.contains("lv_role!=\"origin\"")
            let chosen = volumes.filter { name in
                selection.hasSuffix("lv_name=\"\(name)\"") && !(isSparing && origins.values.contains(name))
            }
            let gone = chosen + origins.filter { chosen.contains($0.value) }.map(\.key)
            volumes.removeAll(where: gone.contains)
            origins = origins.filter { !gone.contains($0.key) }
        }
    }

    private let state = Mutex(State())

    /// The commands with an effect, in order.
    var mutations: [Command] { state.withLock { $0.mutations } }
    /// The names of the LVs that are there.
    var names: [String] { state.withLock { $0.volumes } }

    /// Somebody takes a snapshot by LVM's own command.
    func takeSnapshot(_ name: String, of origin: String) {
        state.withLock { state in
            state.volumes.append(name)
            state.origins[name] = origin
        }
    }

    func tag(_ name: String, _ tag: String) { state.withLock { $0.tags[name] = tag } }

    func run(_ command: Command) async throws -> CommandResult {
        if command.effect == .mutation { apply(command) }
        return CommandResult(termination: .exited(0), output: answer(command), errors: "")
    }

    private func apply(_ command: Command) {
        state.withLock { state in
            state.mutations.append(command)
            if command.arguments.first == "lvremove" { state.remove(command.arguments[3]) }
            guard let index = command.arguments.firstIndex(of: "--name"), command.arguments[0] == "lvcreate" else {
                return
            }
            state.volumes.append(command.arguments[index + 1])
        }
    }

    private func answer(_ command: Command) -> String {
        switch (command.tool, command.arguments.first) {
        case (.xl, "list"): Self.domains
        case (.lvm, "lvs"): volumes(command.arguments)
        case (.lvm, "vgs"): Self.groups
        default: ""
        }
    }

    private func volumes(_ arguments: [String]) -> String {
        if arguments.last == "origin!=\"\"" { return Self.report(snapshots) }
        guard let selection = arguments.first(where: { $0.hasPrefix("lv_name=") }), arguments.last == "vg0" else {
            return Self.report([])
        }
        let state = state.withLock { $0 }
        return Self.report(
            state.volumes.filter { selection == "lv_name=\"\($0)\"" }.map { name in
                let tags = name == "root" ? "" : ["xenlvs", state.tags[name]].compactMap(\.self).joined(separator: ",")
                let role = state.origins.values.contains(name) ? "public,origin,thickorigin" : "public"
                return """
                    {"vg_name":"vg0", "lv_name":"\(name)", "lv_uuid":"abc", "lv_size":"67108864", \
                    "lv_attr":"-wi-a-----", "lv_tags":"\(tags)", "lv_layout":"linear", "lv_role":"\(role)", \
                    "lv_health_status":"", "lv_device_open":"", "lv_kernel_major":"253", "lv_kernel_minor":"0"}
                    """
            })
    }

    private var snapshots: [String] {
        state.withLock { $0.origins }.sorted { $0.key < $1.key }.map { name, origin in
            """
            {"vg_name":"vg0", "lv_name":"\(name)", "origin":"\(origin)", "lv_size":"12582912", \
            "data_percent":"4.00", "lv_attr":"swi-a-s---"}
            """
        }
    }

    private static func report(_ rows: [String]) -> String {
        "{\"report\": [{\"lv\": [\(rows.joined(separator: ", "))]}]}"
    }

    private static let domains =
        "Name                                        ID   Mem VCPUs\tState\tTime(s)\n"
        + "Domain-0                                     0   700     1     r-----     136.0\n"

    private static let groups = """
        {"report": [{"vg": [{"vg_name":"vg0", "vg_uuid":"u", "vg_size":"8585740288", "vg_free":"1073741824", \
        "vg_extent_size":"4194304", "vg_attr":"wz--n-", "vg_missing_pv_count":"0"}]}]}
        """
}
