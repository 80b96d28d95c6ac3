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

    struct Failed: Error, CustomStringConvertible { var description: String }

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
        guard namespace >= 0, setns(namespace, 0x4000_0000) == 0 else { throw Failed(description: "no namespace") }
        close(namespace)
        Self.pin(toProcessor: 1)
    }

    deinit {
        for namespace in [targetNamespace, clientNamespace] { try? Self.run("ip", "netns", "delete", namespace) }
        unlink(memoryFile)
        try? FileManager.default.removeItem(atPath: root)
    }

    func measure(_ workload: Workload, _ target: Target, seconds: Double) throws -> Sample {
        let process = try start(workload, target)
        defer {
            kill(process.processIdentifier, SIGTERM)
            process.waitUntilExit()
        }
        let load = try LoadGenerator(interface: "client0", shelf: 1, slot: 2)
        return try load.run(workload, process: process.processIdentifier, seconds: seconds)
    }

    private func start(_ workload: Workload, _ target: Target) throws -> Process {
        let file = workload.place == .memory ? memoryFile : diskFile
        let words =
            switch target {
            case .xenlvs:
                [binary, "aoe", "serve", file, "--shelf", "1", "--slot", "2", "--interface", "target0"]
                    + workload.xenlvs
            case .vblade: ["vblade"] + workload.vblade + ["1", "2", "target0", file]
            }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["taskset", "--cpu-list", "0", "ip", "netns", "exec", targetNamespace] + words
        process.environment = ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "XENLVS_ROOT": root]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        return process
    }

    private static func run(_ words: String...) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = words
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Failed(description: "failed: \(words)") }
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
