import DiskKit
import Foundation
import Glibc
import Testing

/// A host with xenlvsd in a network namespace of its own, `target0`, `target1` … wired to initiators in another. All of it
/// goes with the value.
final class DaemonHost {
    /// One for each interface.
    private(set) var initiators: [Initiators] = []
    let root: String
    private let suffix = String(UInt32.random(in: 0...UInt32.max), radix: 36)
    private var daemon: Process?
    private var files: [TestFile] = []
    private var targetNamespace: String { "xlt-\(suffix)" }
    private var clientNamespace: String { "xlc-\(suffix)" }
    var socket: String { root + "/run/xenlvs/xenlvsd.sock" }
    var log: String { (try? String(contentsOfFile: root + "/daemon.log", encoding: .utf8)) ?? "" }
    var daemonID: Int32 { daemon?.processIdentifier ?? -1 }

    init(interfaces: Int = 1, starts: Bool = true) throws {
        root = FileManager.default.temporaryDirectory.path + "/xenlvs-daemon-\(suffix)"
        for directory in ["/run", "/var/lib", "/dev"] {
            try FileManager.default.createDirectory(atPath: root + directory, withIntermediateDirectories: true)
        }
        for namespace in [targetNamespace, clientNamespace] { _ = try Shell.run("ip", "netns", "add", namespace) }
        for number in 0..<interfaces { try addInterface(number) }
        if starts { try start() }
    }

    deinit {
        kill()
        for namespace in [targetNamespace, clientNamespace] { _ = try? Shell.run("ip", "netns", "delete", namespace) }
        try? FileManager.default.removeItem(atPath: root)
    }

    /// Makes `targetN`; its initiator is the last one.
    func addInterface(_ number: Int) throws {
        let mac = Initiators.address(of: number).map { String(format: "%02x", $0) }.joined(separator: ":")
        _ = try Shell.run(
            "ip", "link", "add", "target\(number)", "mtu", "1500", "netns", targetNamespace, "type", "veth", "peer",
            "name", "client\(number)", "mtu", "9000", "address", mac, "netns", clientNamespace)
        try ip("link", "set", "target\(number)", "up")
        _ = try Shell.run("ip", "-n", clientNamespace, "link", "set", "client\(number)", "up")
        let descriptor = try NamespaceSocket.open(clientNamespace, "client\(number)")
        initiators.append(Initiators(descriptor: descriptor, clientAddress: Initiators.address(of: number)))
    }

    func ip(_ words: String...) throws { _ = try Shell.run(["ip", "-n", targetNamespace] + words) }

    /// Runs `body` on a thread on the daemon's side of the wires, and returns what it does.
    func onTargetSide<Value>(_ body: @escaping () throws -> Value) throws -> Value {
        try NamespaceThread.run(in: targetNamespace, body)
    }

    /// A new file in memory, which goes with the host.
    func file(sectors: Int = 2048) throws -> TestFile {
        let file = try TestFile(sectors: sectors, in: "/dev/shm")
        files.append(file)
        return file
    }

    /// Starts the daemon and waits until it takes commands.
    /// - Parameter wrapper: a program that runs it, with its options.
    func start(_ environment: [String: String] = [:], by wrapper: [String] = []) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["ip", "netns", "exec", targetNamespace] + wrapper + [Wire.product + "d"]
        process.environment = self.environment.merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        try Data().write(to: URL(fileURLWithPath: root + "/daemon.log"))
        process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: root + "/daemon.log"))
        unlink(socket)
        try process.run()
        daemon = process
        try wait(seconds: 60, "the daemon does not start: \(log)") {
            try #require(process.isRunning, "\(log)")
            return FileManager.default.fileExists(atPath: socket)
        }
    }

    func kill() {
        if let daemon { Glibc.kill(daemon.processIdentifier, SIGKILL) }
        daemon?.waitUntilExit()
        daemon = nil
    }

    /// Asks the daemon to end, and returns its exit code.
    func terminate() throws -> Int32 {
        let process = try #require(daemon)
        Glibc.kill(process.processIdentifier, SIGTERM)
        try wait(seconds: 20, "the daemon does not end") { !process.isRunning }
        daemon = nil
        return process.terminationStatus
    }

    private var environment: [String: String] {
        ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "XENLVS_ROOT": root, "COLUMNS": "200"]
    }

    struct Run {
        var status: Int32
        var output: String
        var errors: String
    }

    /// Runs a command as an operator does.
    @discardableResult
    func xenlvs(_ words: String...) throws -> Run { try run([Wire.product] + words) }

    /// Runs a command on the initiators' host.
    func runAtInitiators(_ words: [String]) throws -> Run {
        try run(["ip", "netns", "exec", clientNamespace] + words)
    }

    func run(_ words: [String]) throws -> Run {
        let name = root + "/run-\(UInt32.random(in: 0...UInt32.max))"
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = words
        process.environment = environment
        process.standardInput = FileHandle.nullDevice
        for end in [".out", ".err"] { try Data().write(to: URL(fileURLWithPath: name + end)) }
        process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: name + ".out"))
        process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: name + ".err"))
        try process.run()
        let deadline = ContinuousClock.now + .seconds(60)
        while process.isRunning, ContinuousClock.now < deadline { usleep(5000) }
        if process.isRunning { Glibc.kill(process.processIdentifier, SIGKILL) }
        process.waitUntilExit()
        func text(_ end: String) throws -> String { try String(contentsOfFile: name + end, encoding: .utf8) }
        return Run(status: process.terminationStatus, output: try text(".out"), errors: try text(".err"))
    }

    /// Exports a file as e1.SLOT, in memory and so with `--writeback`.
    func export(_ file: TestFile, slot: Int = 2, on interfaces: [Int] = [0], _ options: [String] = []) throws {
        let words = interfaces.flatMap { ["--interface", "target\($0)"] }
        let run = try run(
            [Wire.product, "export", "aoe", file.path, "--shelf", "1", "--slot", "\(slot)", "--writeback"] + words
                + options)
        try #require(run.status == 0, "\(run.errors) \(log)")
    }

    /// The listing, by address.
    func exports(_ options: String...) throws -> [String: Listed] {
        let run = try run([Wire.product, "exports", "--format", "json"] + options)
        try #require(run.status == 0, "\(run.errors)")
        let rows = try JSONDecoder().decode([Listed].self, from: Data(run.output.utf8))
        return Dictionary(uniqueKeysWithValues: rows.map { ($0.address, $0) })
    }

    func wait(seconds: Int = 20, _ what: @autoclosure () -> String, until isSo: () throws -> Bool) throws {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while !(try isSo()) {
            try #require(ContinuousClock.now < deadline, "\(what())")
            usleep(10000)
        }
    }
}

/// A row of `xenlvs exports --format json`.
struct Listed: Decodable {
    struct Interface: Decodable, Equatable {
        var name: String
        var state: String
        var why: String?
    }
    struct Statistics: Decodable {
        struct Latency: Decodable {
            var count: Int
            var p50Microseconds: Double?
            var p99Microseconds: Double?
        }
        var counters: [String: Int]
        var readLatency: Latency
        var writeLatency: Latency
        var lastClient: String?
    }
    var address: String
    var state: String
    var path: String
    var size: Int?
    var durability: String
    var cache: String
    var readOnly: Bool
    var queueDepth: Int
    var allow: [String]
    var interfaces: [Interface]
    var why: String?
    var statistics: Statistics?
}
