import CLinux
import DiskKit
import Foundation
import Glibc
import Testing

/// A target, the real program, on one end of a wire in network namespaces of its own; the test on the other end. All of
/// it goes with the value.
final class Wire: Initiators {
    let file: TestFile
    /// Of the target's end.
    let targetInterface = "target0"
    private let root: String
    private let suffix = String(UInt32.random(in: 0...UInt32.max), radix: 36)
    private var process: Process?
    var targetNamespace: String { "xlt-\(suffix)" }
    private var clientNamespace: String { "xlc-\(suffix)" }
    var processID: Int32 { process?.processIdentifier ?? -1 }
    var errors: String { (try? String(contentsOfFile: root + "/stderr", encoding: .utf8)) ?? "" }

    /// - Parameters:
    ///   - serves: what is served instead of the file.
    ///   - starts: false for a wire without a target yet.
    init(
        sectors: Int = 2048, mtu: Int = 1500, options: [String] = [], directory: String = "/dev/shm",
        serves path: String? = nil, starts: Bool = true
    ) throws {
        file = try TestFile(sectors: sectors, in: directory)
        root = FileManager.default.temporaryDirectory.path + "/xenlvs-wire-\(suffix)"
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        let (target, client) = ("xlt-\(suffix)", "xlc-\(suffix)")
        for namespace in [target, client] { _ = try Shell.run("ip", "netns", "add", namespace) }
        let mac = Self.address(of: 0).map { String(format: "%02x", $0) }.joined(separator: ":")
        _ = try Shell.run(
            "ip", "link", "add", targetInterface, "mtu", "\(mtu)", "netns", target, "type", "veth", "peer",
            "name", "client0", "mtu", "9000", "address", mac, "netns", client)
        _ = try Shell.run("ip", "-n", target, "link", "set", targetInterface, "up")
        _ = try Shell.run("ip", "-n", client, "link", "set", "client0", "up")
        super.init(descriptor: try NamespaceSocket.open(client, "client0"), clientAddress: Self.address(of: 0))
        if starts { try start(path ?? file.path, options) }
    }

    deinit {
        kill()
        for namespace in [targetNamespace, clientNamespace] { _ = try? Shell.run("ip", "netns", "delete", namespace) }
        try? FileManager.default.removeItem(atPath: root)
    }

    /// Starts a target, e1.2 where the options name no other, and waits until it serves. Its announcement stays unread.
    func start(_ path: String, _ options: [String] = []) throws {
        try launch(path, options)
        let deadline = ContinuousClock.now + .seconds(20)
        while !(try String(contentsOfFile: root + "/stdout", encoding: .utf8)).hasPrefix("serving e") {
            try #require(process?.isRunning == true, "\(errors)")
            try #require(ContinuousClock.now < deadline, "no target after 20 seconds")
            usleep(5000)
        }
    }

    /// Runs a target that is expected to refuse, `meanwhile` beside it, and returns its exit code.
    func refusal(_ path: String, _ options: [String] = [], meanwhile: () -> Void = {}) throws -> Int32 {
        let former = process
        defer { process = former }
        try launch(path, options, log: "/refusal")
        meanwhile()
        let process = try #require(process)
        let deadline = ContinuousClock.now + .seconds(20)
        while process.isRunning, ContinuousClock.now < deadline { usleep(5000) }
        if process.isRunning { Glibc.kill(process.processIdentifier, SIGKILL) }
        process.waitUntilExit()
        return process.terminationStatus
    }

    var refusalText: String { (try? String(contentsOfFile: root + "/refusal", encoding: .utf8)) ?? "" }

    private func launch(_ path: String, _ options: [String], log: String = "/stderr") throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        let address = options.contains("--shelf") ? [] : ["--shelf", "1", "--slot", "2"]
        let interface = options.contains("--interface") ? [] : ["--interface", targetInterface]
        process.arguments =
            ["ip", "netns", "exec", targetNamespace, Self.product, "aoe", "serve", path] + address + interface + options
        process.environment = ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "XENLVS_ROOT": root]
        process.standardInput = FileHandle.nullDevice
        for name in ["/stdout", log] { try Data().write(to: URL(fileURLWithPath: root + name)) }
        process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: root + "/stdout"))
        process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: root + log))
        try process.run()
        self.process = process
    }

    static let product: String = {
        if let given = ProcessInfo.processInfo.environment["XENLVS_BINARY"] { return given }
        let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") }
        let runner = bundle ?? (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return URL(fileURLWithPath: runner).deletingLastPathComponent().appendingPathComponent("xenlvs").path
    }()

    func signal(_ number: Int32) { if let process { Glibc.kill(process.processIdentifier, number) } }

    func kill() {
        signal(SIGKILL)
        process?.waitUntilExit()
        process = nil
    }

    /// Asks the target to end, and returns its exit code.
    func terminate() throws -> Int32 {
        signal(SIGTERM)
        let process = try #require(process)
        let deadline = ContinuousClock.now + .seconds(20)
        while process.isRunning, ContinuousClock.now < deadline { usleep(5000) }
        try #require(!process.isRunning, "it does not end")
        self.process = nil
        return process.terminationStatus
    }

    func ip(_ words: String...) throws { _ = try Shell.run(["ip", "-n", targetNamespace] + words) }
}

/// A packet socket in another network namespace, where it stays.
enum NamespaceSocket {
    static func open(_ namespace: String, _ interface: String) throws -> Int32 {
        try NamespaceThread.run(in: namespace) { try bound(to: interface) }
    }

    private static func bound(to interface: String) throws -> Int32 {
        let descriptor = socket(AF_PACKET, Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_ll()
        address.sll_family = UInt16(AF_PACKET)
        address.sll_protocol = UInt16(0x88a2).bigEndian
        address.sll_ifindex = Int32(if_nametoindex(interface))
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_ll>.size))
            }
        }
        guard status == 0 else { throw NamespaceThread.Failed(step: "bind", code: errno) }
        // The answers to a burst wait here.
        var size: Int32 = 8 << 20
        setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &size, socklen_t(MemoryLayout<Int32>.size))
        return descriptor
    }
}

/// A thread that enters another network namespace, works there, and ends.
enum NamespaceThread {
    struct Failed: Error { var step: String, code: Int32 }

    /// Returns what `body` does. It may use what is the caller's, who waits for it.
    static func run<Value>(in namespace: String, _ body: @escaping () throws -> Value) throws -> Value {
        let work = Work(body)
        let thread = Thread {
            work.result = Result {
                try enter(namespace)
                return try work.body()
            }
            work.done.signal()
        }
        thread.start()
        work.done.wait()
        return try work.result.get()
    }

    // Only the thread uses it until the semaphore is signalled, and only the caller afterwards.
    private final class Work<Value>: @unchecked Sendable {
        let body: () throws -> Value
        var result: Result<Value, any Error> = .failure(Failed(step: "start", code: 0))
        let done = DispatchSemaphore(value: 0)

        init(_ body: @escaping () throws -> Value) { self.body = body }
    }

    private static func enter(_ namespace: String) throws {
        let handle = Glibc.open("/run/netns/\(namespace)", O_RDONLY | O_CLOEXEC)
        defer { close(handle) }
        // CLONE_NEWNET
        guard handle >= 0, setns(handle, 0x4000_0000) == 0 else { throw Failed(step: "setns", code: errno) }
    }
}

/// Declared by the C library only with _GNU_SOURCE, which Swift's module of it does without.
@_silgen_name("setns") private func setns(_ descriptor: Int32, _ kind: Int32) -> Int32

/// Requests that do not come to their end.
extension Wire {
    /// A wire to a target with a disk that can be made to take no more writes.
    static func withFreezableDisk() throws -> (Wire, FreezableDisk) {
        let disk = try FreezableDisk()
        return (try Wire(options: ["--writeback", "--direct"], serves: disk.path), disk)
    }

    /// Returns when the target has taken the write, which the disk does not end before it is thawed.
    func begin(_ write: Request, on disk: FreezableDisk) throws {
        try disk.freeze()
        send(write)
        _ = try ask(.configuration(0))
    }
}
