import Foundation

/// The directory a lab keeps everything in: its disks, sockets, consoles and notes. Two labs use two directories.
struct LabDirectory: Sendable {
    let url: URL

    /// `${XENLVS_LAB_DIR:-/tmp/xenlvs-lab}`
    static var standard: LabDirectory {
        let path = ProcessInfo.processInfo.environment["XENLVS_LAB_DIR"] ?? "/tmp/xenlvs-lab"
        return LabDirectory(url: URL(filePath: path, directoryHint: .isDirectory))
    }

    func file(_ name: String) -> URL { url.appending(path: name) }

    var lab: URL { file("lab.json") }
    var sshConfiguration: URL { file("ssh_config") }
    /// Where commands in flight keep what they write.
    var scratch: URL { url.appending(path: "scratch", directoryHint: .isDirectory) }

    func read<Value: Decodable>(_ type: Value.Type, from name: String) throws -> Value {
        try JSONDecoder().decode(type, from: Data(contentsOf: file(name)))
    }

    func write(_ value: some Encodable, to name: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try encoder.encode(value).write(to: file(name), options: .atomic)
    }

    /// Makes the directory. One that holds something else than a lab is refused: `down` removes what is in it.
    func create() throws {
        let manager = FileManager.default
        if let content = try? manager.contentsOfDirectory(atPath: url.path),
            !content.contains("lab.json"), !Set(content).isSubset(of: ["lock", "scratch"])
        {
            throw LabError.unusable("\(url.path) exists and holds no lab")
        }
        // The key that opens every node is named in here, and consoles may show anything: nobody else looks in.
        try manager.createDirectory(
            at: url, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    }

    /// Keeps other runs of the lab's own commands away while `body` works.
    func locked<Result>(_ name: String = "lock", _ body: () async throws -> Result) async throws -> Result {
        let descriptor = open(file(name).path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw LabError.unusable("cannot open \(file(name).path): \(String(cString: strerror(errno)))")
        }
        defer { close(descriptor) }
        try await waitUntil("the lock \(file(name).path)", within: .seconds(300)) {
            flock(descriptor, LOCK_EX | LOCK_NB) == 0
        }
        return try await body()
    }
}

/// What is true of a lab as a whole from `up` to `down`.
struct LabRecord: Codable, Sendable {
    var nodes: [String]
    var image: String
    var accelerator: Accelerator
}

/// What is known of one node. In a file of its own, so that two commands may work on two nodes at a time.
struct NodeRecord: Codable, Sendable {
    var sshPort: UInt16
    /// The node's QEMU, if it is switched on.
    var process: ProcessIdentity?
    /// Where on its console the present boot begins.
    var consoleStart: UInt64
}
