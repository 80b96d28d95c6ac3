import Domains
import Foundation
import Glibc
import HostModel
import Storage
import Synchronization

@testable import Operations

/// A host on which the domain web1 runs on two LVs.
final class CheckpointHost {
    let base: BracketHost
    let lvm: FakeLVM
    let manager: CheckpointManager
    /// Of the first checkpoint.
    let name: VolumeName
    var xen: FakeXen { base.xen }

    init(patience: Duration = .zero) throws {
        let xen = FakeXen()
        lvm = FakeLVM(beside: xen)
        base = try BracketHost(xen: xen, runner: lvm)
        name = try VolumeName("web1-1")
        var manager = CheckpointManager(worker: HostWorker(host: base.host, version: "test"))
        manager.patience = patience
        self.manager = manager
        for (_, volume, _) in BracketHost.disks { try base.host.put(try Sample.volume(volume)) }
    }

    /// As a run leaves it that was killed in this stage. What is in Xen is left to the test.
    func leave(_ stage: Checkpoint.Stage, _ revival: Checkpoint.Revival? = nil, hasDisks: Bool = true) throws {
        let disks = try BracketHost.disks.map { device, volume, _ in
            Checkpoint.Disk(
                device: device, volume: try VolumeName(volume), logicalVolumeUUID: "abc", size: .mebibytes(64),
                snapshot: LogicalVolumeReference(
                    group: try VolumeGroupName("vg0"), name: try LogicalVolumeName("\(volume).cp1")))
        }
        try manager.store.save(
            Checkpoint(
                name: name, domain: base.name, uuid: BracketHost.uuid, memory: .mebibytes(8), stage: stage, created: 1,
                disks: hasDisks ? disks : [], revival: revival))
        try Data(FakeXen.image).write(to: URL(fileURLWithPath: manager.store.image(name).path))
    }

    /// In this boot, unless a test wants another one.
    func revival(_ id: UInt32?, machine: String? = nil) throws -> Checkpoint.Revival {
        Checkpoint.Revival(machine: try machine ?? MachineIdentity.read(), id: id.flatMap { DomainID($0) })
    }

    /// A process like the `xl restore` from the checkpoint's image, until it is ended.
    func beginRestore() async throws -> Process {
        let image = manager.store.image(name).path
        try FileManager.default.createSymbolicLink(atPath: base.root + "/xl", withDestinationPath: "/bin/sh")
        try Data("read line\n".utf8).write(to: URL(fileURLWithPath: base.root + "/restore"))
        let process = Process()
        process.executableURL = URL(fileURLWithPath: base.root + "/xl")
        process.currentDirectoryURL = URL(fileURLWithPath: base.root)
        process.arguments = ["restore", "-p", image]
        process.standardInput = Pipe()
        try process.run()
        // A child is there before its program is, on a busy machine for seconds.
        for _ in 0..<6000 where try !ProcessTable.isRestoring([image]) {
            try await Task.sleep(for: .milliseconds(10))
        }
        guard try ProcessTable.isRestoring([image]) else {
            throw Failure(.failed, "the 'xl restore' of the test did not begin")
        }
        return process
    }

    /// Whether anything is left of a checkpoint.
    var isClean: Bool {
        get throws { try manager.store.all().isEmpty && manager.store.image(name).size == nil && lvm.snapshots.isEmpty }
    }
}

/// LVM with the group vg0, beside a Xen.
final class FakeLVM: CommandRunner {
    /// When an `lvcreate` ends.
    enum Pace { case inTime, late, never }

    private struct State {
        var snapshots: [String] = []
        var mutations: [String] = []
        var pace = Pace.inTime
        /// What was given as their standard input to commands that are still at work, and what they make.
        var atWork: [(input: Int32, snapshot: String)] = []
    }

    private let xen: FakeXen
    private let state = Mutex(State())

    init(beside xen: FakeXen) { self.xen = xen }

    /// What it was told, by verb and name.
    var mutations: [String] { state.withLock { $0.mutations } }
    var snapshots: [String] { state.withLock { $0.snapshots } }
    func go(_ pace: Pace) { state.withLock { $0.pace = pace } }

    /// What is still at work ends.
    func end() {
        state.withLock { state in
            for (input, snapshot) in state.atWork {
                state.snapshots.append(snapshot)
                flock(input, LOCK_UN)
                close(input)
            }
            state.atWork = []
        }
    }

    func run(_ command: Command) async throws -> CommandResult { try await run(command, input: -1) }

    func run(_ command: Command, input: Int32) async throws -> CommandResult {
        guard command.tool == .lvm else { return try await xen.run(command) }
        if command.effect == .mutation, change(command.arguments, input) { throw FakeXen.overdue(command) }
        return CommandResult(termination: .exited(0), output: answer(command.arguments), errors: "")
    }

    /// Returns whether it passes its deadline.
    private func change(_ words: [String], _ input: Int32) -> Bool {
        state.withLock { state in
            guard words[0] == "lvcreate", let index = words.firstIndex(of: "--name") else {
                let gone = state.snapshots.filter { name in words.contains { $0.hasSuffix("lv_name=\"\(name)\"") } }
                state.snapshots.removeAll { gone.contains($0) }
                state.mutations += gone.map { "lvremove \($0)" }
                return false
            }
            let name = words[index + 1]
            state.mutations.append("lvcreate \(name)")
            switch state.pace {
            case .inTime, .late: state.snapshots.append(name)
            case .never: state.atWork.append((fcntl(input, F_DUPFD_CLOEXEC, 3), name))
            }
            return state.pace != .inTime
        }
    }

    private func answer(_ words: [String]) -> String {
        guard words[0] == "lvs" else { return words[0] == "vgs" ? Self.group : "" }
        let selection = words.first { $0.hasPrefix("lv_name=") }
        let rows = snapshots.filter { selection == nil || selection == "lv_name=\"\($0)\"" }.map { name in
            """
            {"vg_name":"vg0", "lv_name":"\(name)", "lv_uuid":"\(name)", "lv_size":"16777216", \
            "lv_attr":"swi-a-s---", "lv_tags":"xenlvs,xenlvs.snapshot=\(Self.origin(name))", "lv_layout":"linear", \
            "lv_role":"public,snapshot,thicksnapshot", "lv_health_status":"", "lv_device_open":"", \
            "lv_kernel_major":"253", "lv_kernel_minor":"20", "origin":"\(Self.origin(name))", "data_percent":"0.00"}
            """
        }
        return "{\"report\": [{\"lv\": [\(rows.joined(separator: ", "))]}]}"
    }

    private static func origin(_ snapshot: String) -> Substring { snapshot.prefix { $0 != "." } }

    private static let group = """
        {"report": [{"vg": [{"vg_name":"vg0", "vg_uuid":"u", "vg_size":"8585740288", "vg_free":"1073741824", \
        "vg_extent_size":"4194304", "vg_attr":"wz--n-", "vg_missing_pv_count":"0"}]}]}
        """
}
