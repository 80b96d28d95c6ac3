import Domains
import Foundation
import Glibc
import HostModel
import Hosts
import Storage
import Synchronization

@testable import Operations

/// A host with Xen, on which the domain web1 runs on two volumes. Its `/dev` and `/sys` are directories.
final class BracketHost {
    static let uuid = "4a3e907b-f9a3-4c66-89f7-449cc6af31c5"
    /// The volumes by the devices in the guest, and what their links lead to.
    static let disks = [("xvda", "web1", 9), ("xvdb", "data", 10)]

    let root: String
    let xen: FakeXen
    let host: HostContext
    let bracket: DomainBracket
    let name: DomainName

    /// - Parameter runner: another one than Xen's alone.
    init(countsWrites: Bool = true, xen: FakeXen = FakeXen(), runner: (any CommandRunner)? = nil) throws {
        root = "/tmp/xenlvs-bracket-\(UInt64.random(in: 0...UInt64.max))"
        for directory in ["/dev", "/sys", "/state"] {
            try FileManager.default.createDirectory(atPath: root + directory, withIntermediateDirectories: true)
        }
        try Data("host: nodea\n".utf8).write(to: URL(fileURLWithPath: root + "/xenlvs.yaml"))
        let tree = DeviceTree(devices: root + "/dev", sysfs: root + "/sys", owner: geteuid())
        self.xen = xen
        host = try HostContext(
            paths: Paths(
                state: root + "/state", run: root + "/run", links: root + "/dev/xenlvs",
                configuration: root + "/xenlvs.yaml"),
            runner: runner ?? xen, crashPoints: [], trace: { _ in }, tree: tree, initiator: .live,
            mapper: SimulatedMapper())
        name = try DomainName("web1")
        bracket = DomainBracket(worker: HostWorker(host: host, version: "test")) { device, _ in
            guard countsWrites else { throw Failure(.refused, "no count of \(device.path)") }
        }
        for (_, volume, minor) in Self.disks {
            let node = "\(root)/dev/dm-\(minor)"
            guard mknod(node, S_IFBLK | 0o600, dev_t(253 << 8 | minor)) == 0 else {
                throw Failure(.failed, "cannot make a node for a test")
            }
            try show(minor, written: 100)
            try host.links.set(try VolumeName(volume), to: node)
        }
    }

    deinit { try? FileManager.default.removeItem(atPath: root) }

    /// Lets the kernel show what was written to a device, and how many reads of it are under way.
    func show(_ minor: Int, written: Int, discarded: Int = 0, sequence: Int = 7, reads: Int = 0) throws {
        let place = "\(root)/sys/dev/block/253:\(minor)"
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        for (file, text) in [
            ("stat", "  5 0 40 1  8 2 \(written) 3  0 4 5  1 0 \(discarded) 1  2 1"),
            ("inflight", "       \(reads)        0"), ("diskseq", "\(sequence)"),
        ] {
            try Data("\(text)\n".utf8).write(to: URL(fileURLWithPath: "\(place)/\(file)"))
        }
    }

    /// As a run leaves it that was killed in this stage. What is in Xen is left to the test.
    func leave(_ stage: DomainBracket.Record.Stage, id: UInt32 = 5, machine: String? = nil) async throws {
        var record = DomainBracket.Record(
            domain: name, uuid: Self.uuid, id: DomainID(id), memory: .mebibytes(8),
            disks: try Self.disks.map { .init(device: $0.0, volume: try VolumeName($0.1)) },
            machine: try machine ?? MachineIdentity.read(), stage: stage)
        if stage != .saving { record.disks = try await bracket.counted(record.disks) }
        try records.save(record)
        try Data(FakeXen.image).write(to: URL(fileURLWithPath: bracket.image(name).path))
    }

    private var records: RecordDirectory<DomainBracket.Record> {
        RecordDirectory(path: host.paths.state + "/brackets") { $0.domain.text }
    }

    var hasImage: Bool { bracket.image(name).size != nil }

    /// Whether anything is left of a bracket.
    var isClean: Bool { get throws { try bracket.records().isEmpty && !hasImage } }
}

/// Xen with one domain, as far as a bracket asks and orders.
final class FakeXen: CommandRunner {
    struct Guest {
        var id: UInt32
        /// As `xl list` has it: `-b----`.
        var state = "-b----"
        var uuid = BracketHost.uuid
        /// What it is asked to do in xenstore.
        var request = ""
        /// It has taken note of that just before it is taken back.
        var hasTakenNote = false
        /// Its restore has ended.
        var isComplete = true
        /// What Xen's backend has open: the minors of the links' devices, unless a test wants others.
        var minors = BracketHost.disks.map { $0.2 }
    }

    private struct State {
        var guest: Guest? = Guest(id: 5)
        var lastID: UInt32 = 5
        var mutations: [String] = []
        var minorsOfRestored = BracketHost.disks.map { $0.2 }
        var failing: Set<String> = []
        var overdue: Set<String> = []
        var image = FakeXen.image
        var stateOfSaved = "--p---"
        var stateOfResumed = "-b----"
    }

    private let state = Mutex(State())

    /// What `xl` was told, by verb and number.
    var mutations: [String] { state.withLock { $0.mutations } }
    var guest: Guest? { state.withLock { $0.guest } }
    func put(_ guest: Guest?) { state.withLock { $0.guest = guest } }
    /// What a domain has open when it is restored the next time.
    func restoreOn(_ minors: [Int]) { state.withLock { $0.minorsOfRestored = minors } }
    /// How a suspended domain is after it was told to run on.
    func resume(as state: String) { self.state.withLock { $0.stateOfResumed = state } }
    /// How a domain is after it was saved.
    func save(as state: String) { self.state.withLock { $0.stateOfSaved = state } }
    /// The next command with this verb passes its deadline, and ends right after that.
    func overdue(_ verb: String) { state.withLock { _ = $0.overdue.insert(verb) } }
    func fail(_ verb: String) { state.withLock { _ = $0.failing.insert(verb) } }
    func saveOnly(_ count: Int) { state.withLock { $0.image = Array(Self.image.prefix(count)) } }

    func run(_ command: Command) async throws -> CommandResult {
        let words = command.arguments
        if command.effect == .mutation {
            let (isDone, isOverdue): (Bool, Bool) = try state.withLock { state in
                if command.tool == .xenstoreWrite { return (Self.ask(words, &state), false) }
                return (try Self.apply(words, &state), state.overdue.remove(words[0]) != nil)
            }
            if isOverdue { throw Self.overdue(command) }
            return CommandResult(
                termination: .exited(isDone ? 0 : 1), output: "", errors: isDone ? "" : "libxl: error: no")
        }
        let output =
            switch (command.tool, words.first) {
            case (.xl, "list"): words.count > 1 ? description : listing
            case (.xenstoreRead, "-p"): backend(words[1])
            case (.xenstoreRead, let path?) where path == Self.request(guest): "\(guest?.request ?? "")\n"
            case (.xenstoreRead, _): "/vm/\(guest?.uuid ?? "")\n"
            default: ""
            }
        return CommandResult(termination: .exited(0), output: output, errors: "")
    }

    /// As whoever runs commands tells it.
    static func overdue(_ command: Command) -> Failure {
        Failure(
            .outcomeUnknown, "'\(command)' is still running", why: "it took longer than \(command.deadline)",
            remedy: "look at the process, then run 'xenlvs migration resume'")
    }

    private static func request(_ guest: Guest?) -> String { "/local/domain/\(guest?.id ?? 0)/control/shutdown" }

    private static func ask(_ words: [String], _ state: inout State) -> Bool {
        guard words.count == 2, words[0] == request(state.guest) else { return false }
        state.mutations.append("ask '\(words[1])'")
        state.guest?.request = words[1]
        if state.guest?.hasTakenNote == true { state.guest?.state = "---ss-" }
        return true
    }

    private static func apply(_ words: [String], _ state: inout State) throws -> Bool {
        state.mutations.append(words.dropLast(words.last?.hasPrefix("/") == true ? 1 : 0).joined(separator: " "))
        if state.failing.contains(words[0]) { return false }
        switch words[0] {
        // What lets a suspended domain run on.
        case "save" where words[1] == "-c": state.guest?.state = state.stateOfResumed
        case "save":
            try Data(state.image).write(to: URL(fileURLWithPath: words[words.count - 1]))
            state.guest?.state = state.stateOfSaved
        case "destroy": state.guest = nil
        case "unpause": state.guest?.state = "-b----"
        case "restore":
            state.lastID += 1
            state.guest = Guest(id: state.lastID, state: "--p---", minors: state.minorsOfRestored)
        default: throw Failure(.usage, "xl \(words)")
        }
        return true
    }

    private var listing: String {
        let guests = guest.map { "web1                             \($0.id)     8     1     \($0.state)       6.1\n" }
        return "Name                                        ID   Mem VCPUs\tState\tTime(s)\n"
            + "Domain-0                                     0   700     1     r-----     136.0\n" + (guests ?? "")
    }

    private var description: String {
        guard let guest, guest.isComplete else { return "[\n\n]\n" }
        return "[{\"domid\": \(guest.id), \"config\": \(Self.configuration)}]\n"
    }

    /// `/local/domain/0/backend/vbd/5/51712/params` is asked for.
    private func backend(_ path: String) -> String {
        let parts = path.split(separator: "/").map(String.init)
        guard let guest, parts.count == 8, let number = Int(parts[6]),
            let index = BracketHost.disks.firstIndex(where: { VirtualDevice.number($0.0) == number })
        else { return "" }
        let base = "/" + parts.dropLast().joined(separator: "/")
        let minor = String(guest.minors[index], radix: 16)
        return """
            \(base)/params: /dev/xenlvs/\(BracketHost.disks[index].1)
            \(base)/mode: w
            \(base)/state: 2
            \(base)/physical-device: fd:\(minor)

            """
    }

    private static var configuration: String {
        let disks = BracketHost.disks.map {
            #"{"pdev_path": "/dev/xenlvs/\#($0.1)", "vdev": "\#($0.0)", "format": "raw", "readwrite": 1}"#
        }
        return """
            {"c_info": {"type": "pv", "name": "web1", "uuid": "\(BracketHost.uuid)"}, "b_info": {"max_vcpus": 1, \
            "max_memkb": 8192, "target_memkb": 8192, "type.pv": {}}, "disks": [\(disks.joined(separator: ", "))]}
            """
    }

    /// A small image that is whole.
    static let image: [UInt8] = {
        func little<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
            withUnsafeBytes(of: value.littleEndian) { Array($0) }
        }
        func big<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] { little(value).reversed() }
        func record(_ type: UInt32, _ body: [UInt8] = []) -> [UInt8] {
            little(type) + little(UInt32(body.count)) + body + [UInt8](repeating: 0, count: (8 - body.count % 8) % 8)
        }
        func filled(_ count: Int) -> [UInt8] { [UInt8](repeating: 1, count: count) }
        let json = Array(FakeXen.configuration.utf8) + [0]
        var bytes = Array("Xen saved domain, xl format\n \0 \r".utf8)
        let words: [UInt32] = [0x0102_0304, 3, 0, UInt32(json.count + 4), UInt32(json.count)]
        for word in words { bytes += little(word) }
        bytes += json
        bytes += Array("LibxlFmt".utf8)
        bytes += big(UInt32(2)) + big(UInt32(0))
        bytes += record(1)
        bytes += big(UInt64.max) + big(UInt32(0x5845_4E46))
        bytes += big(UInt32(3)) + [UInt8](repeating: 0, count: 8)
        bytes += little(UInt32(1)) + little(UInt16(12)) + [0, 0]
        bytes += little(UInt32(4)) + little(UInt32(17))
        bytes += record(0x02, [8, 4, 0, 0, 0, 0, 0, 0])
        bytes += record(0x10)
        bytes += record(0x03, filled(16))
        // One page.
        bytes += record(0x01, little(UInt64(1)) + little(UInt64(0)) + filled(4096))
        for (type, count) in [(0x08, 24), (0x07, 4096), (0x04, 16)] { bytes += record(UInt32(type), filled(count)) }
        bytes += record(0)
        bytes += record(0)
        return bytes
    }()
}
