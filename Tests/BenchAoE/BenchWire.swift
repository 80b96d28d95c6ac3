import Foundation
import Glibc

/// The two namespaces, the wire between them and the files; all of it goes with the value.
final class BenchWire {
    private let binary: String
    private let targetNamespace = "xlbench-target"
    private let clientNamespace = "xlbench-client"
    private let root: String
    private let memoryFile = "/dev/shm/xenlvs-bench.img"
    private var diskFile: String { root + "/disk.img" }
    static let sectors = 256 << 11
    static let manyExports = 1000

    init(binary: String) throws {
        self.binary = binary
        // A disk; /tmp may be memory.
        root = "/var/tmp/xenlvs-bench"
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        for namespace in [targetNamespace, clientNamespace] { try Self.run("ip", "netns", "add", namespace) }
        try Self.run(
            "ip", "link", "add", "target0", "mtu", "9000", "netns", targetNamespace, "type", "veth", "peer", "name",
            "client0", "mtu", "9000", "netns", clientNamespace)
        try Self.run("ip", "-n", targetNamespace, "link", "set", "target0", "up")
        try Self.run("ip", "-n", clientNamespace, "link", "set", "client0", "up")
        // Written once, so that no run pays for the allocation of blocks.
        for file in [memoryFile, diskFile] {
            try Self.run("dd", "if=/dev/zero", "of=\(file)", "bs=1M", "count=256", "status=none", "conv=fsync")
        }
        let namespace = open("/run/netns/\(clientNamespace)", O_RDONLY | O_CLOEXEC)
        // CLONE_NEWNET, for this thread, which is the only one that makes sockets.
        guard namespace >= 0, setns(namespace, 0x4000_0000) == 0 else { throw BenchFailure("no namespace") }
        close(namespace)
        Self.pin(toProcessor: 1)
    }

    deinit {
        for namespace in [targetNamespace, clientNamespace] { try? Self.run("ip", "netns", "delete", namespace) }
        unlink(memoryFile)
        try? FileManager.default.removeItem(atPath: "\(memoryFile).d")
        try? FileManager.default.removeItem(atPath: root)
    }

    func measure(_ workload: Workload, _ target: Target, seconds: Double) throws -> Sample {
        switch target {
        case .fio: return try FioRun(workload, "libaio", file: diskFile, seconds: seconds).sample()
        case .fioRing: return try FioRun(workload, "io_uring", file: diskFile, seconds: seconds).sample()
        case .xenlvs, .vblade, .reflector, .oneExport, .thousandExports, .oneThread, .twoThreads: break
        }
        let process = try start(workload, target)
        defer {
            kill(process.processIdentifier, SIGTERM)
            process.waitUntilExit()
        }
        let load = try LoadGenerator(interface: "client0", exports: target.exports)
        var sample = try load.run(workload, process: process.processIdentifier, seconds: seconds)
        sample.memoryMebibytes = Self.memory(of: process.processIdentifier)
        return sample
    }

    private func start(_ workload: Workload, _ target: Target) throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments =
            ["taskset", "--cpu-list", target.processors, "ip", "netns", "exec", targetNamespace]
            + (try command(of: workload, target))
        process.environment = ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "XENLVS_ROOT": root]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        return process
    }

    private func command(of workload: Workload, _ target: Target) throws -> [String] {
        let file = workload.place == .memory ? memoryFile : diskFile
        let first = ExportAddress(0)
        switch target {
        case .xenlvs:
            return [
                binary, "aoe", "serve", file, "--shelf", "\(first.shelf)", "--slot", "\(first.slot)", "--interface",
                "target0",
            ] + workload.xenlvs
        case .vblade: return ["vblade"] + workload.vblade + ["\(first.shelf)", "\(first.slot)", "target0", file]
        case .reflector:
            return [try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"), "reflect", "target0"]
        case .oneExport, .thousandExports, .oneThread, .twoThreads:
            try list(target.exports)
            return [binary + "d", "--threads", "\(target.threads)"]
        case .fio, .fioRing: preconditionFailure("fio needs no wire")
        }
    }

    /// Leaves the list of exports that the daemon begins with: the file in memory, cut into as many.
    private func list(_ count: Int) throws {
        let manyFiles = "\(memoryFile).d"
        try? FileManager.default.removeItem(atPath: manyFiles)
        try FileManager.default.createDirectory(atPath: manyFiles, withIntermediateDirectories: true)
        let exports = try (0..<count).map { number -> [String: Any] in
            let path = "\(manyFiles)/\(number)"
            let length = Self.sectors / count * 512
            guard FileManager.default.createFile(atPath: path, contents: Data(count: length)) else {
                throw BenchFailure("cannot make \(path)")
            }
            return [
                "address": "\(ExportAddress(number))", "path": path, "interfaces": ["target0"], "readOnly": false,
                "allow": [], "durability": "writeback", "cache": "automatic", "queueDepth": 128,
            ]
        }
        let state = root + "/var/lib/xenlvs/aoe"
        for directory in [state, root + "/run"] {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        }
        try JSONSerialization.data(withJSONObject: ["version": 1, "exports": exports])
            .write(to: URL(fileURLWithPath: state + "/exports.json"))
    }

    /// What a process has in memory of its own (`RssAnon`), in MiB: the page cache that it has mapped is nobody's.
    private static func memory(of process: Int32) -> Double? {
        let status = try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)
        let line = status?.split(separator: "\n").first { $0.hasPrefix("RssAnon:") }
        return line.flatMap { Double($0.filter(\.isNumber)) }.map { $0 / 1024 }
    }

    private static func run(_ words: String...) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = words
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw BenchFailure("failed: \(words)") }
    }

    private static func pin(toProcessor number: Int) {
        var set = cpu_set_t()
        withUnsafeMutableBytes(of: &set) { $0[number / 8] |= 1 << UInt8(number % 8) }
        _ = setAffinity(0, MemoryLayout<cpu_set_t>.size, &set)
    }
}

/// Declared by the C library only with _GNU_SOURCE, which Swift's module of it does without.
@_silgen_name("setns") private func setns(_ descriptor: Int32, _ kind: Int32) -> Int32
@_silgen_name("sched_setaffinity") private func setAffinity(
    _ process: Int32, _ size: Int, _ set: UnsafePointer<cpu_set_t>
) -> Int32
