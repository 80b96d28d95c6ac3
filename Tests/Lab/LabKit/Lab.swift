import Foundation

/// Two or three real Xen hosts on this machine, each under QEMU, with no storage in common.
///
/// The lab outlives the process that started it: `up` makes one, any process may `attach` to it, `down` ends it.
public struct Lab: Sendable {
    let context: LabContext

    /// The hosts, in the order of their letters.
    public var nodes: [LabNode] { context.record.nodes.map { LabNode(letter: $0, context: context) } }

    /// Where the lab keeps its disks, consoles and notes.
    public var directory: URL { context.directory.url }

    /// What the nodes run on.
    public var accelerator: Accelerator { context.record.accelerator }

    /// The ssh configuration with which `ssh -F FILE nodea` opens a shell.
    public var sshConfiguration: URL { context.directory.sshConfiguration }

    /// The node with this letter or name: "a" and "nodea" are the same.
    public func node(_ name: String) throws -> LabNode {
        let letter = name.hasPrefix("node") ? String(name.dropFirst(4)) : name
        guard context.record.nodes.contains(letter) else { throw LabError.unusable("the lab has no node \(name)") }
        return LabNode(letter: letter, context: context)
    }

    /// Starts a lab with fresh disks and waits until every node is ready.
    ///
    /// If all these nodes are running already, they are taken as they are. Anything else that is found, such as what a
    /// run that died has left, is ended and removed first.
    ///
    /// - Parameters:
    ///   - letters: which nodes, of a, b and c.
    ///   - limit: how long one node may take to get ready.
    public static func up(nodes letters: [String] = ["a", "b"], within limit: Duration = .seconds(300)) async throws
        -> Lab
    {
        let letters = Set(letters).sorted()
        guard !letters.isEmpty, letters.allSatisfy({ ["a", "b", "c"].contains($0) }) else {
            throw LabError.unusable("nodes are named a, b and c")
        }
        let directory = LabDirectory.standard
        try directory.create()
        let lab = try await directory.locked {
            if let lab = try? attach(), lab.context.record.nodes == letters, lab.nodes.allSatisfy(\.isPoweredOn) {
                return lab
            }
            try await end(directory)
            return try await start(letters, in: directory)
        }
        try await withThrowingTaskGroup { group in
            for node in lab.nodes { group.addTask { try await node.waitUntilReady(within: limit) } }
            try await group.waitForAll()
        }
        return lab
    }

    /// The lab that is up in the lab directory.
    public static func attach() throws -> Lab {
        let directory = LabDirectory.standard
        guard let record = try? directory.read(LabRecord.self, from: directory.lab.lastPathComponent) else {
            throw LabError.unusable("no lab is up in \(directory.url.path); start one with: xenlvs-lab up")
        }
        return Lab(context: LabContext(directory: directory, record: record))
    }

    /// Ends the lab that is in the lab directory, whatever state it is in, and removes all it made but the image.
    public static func down() async throws {
        let directory = LabDirectory.standard
        guard FileManager.default.fileExists(atPath: directory.lab.path) else { return }
        try await directory.locked { try await end(directory) }
        try FileManager.default.removeItem(at: directory.url)
    }

    private static func start(_ letters: [String], in directory: LabDirectory) async throws -> Lab {
        let image = try await LabImage.make()
        try FileManager.default.createDirectory(at: directory.scratch, withIntermediateDirectories: true)
        // The record comes before the first process: `down` must find a lab here from now on.
        var record = LabRecord(nodes: letters, image: image.directory.path, accelerator: .tcg)
        try directory.write(record, to: directory.lab.lastPathComponent)
        record.accelerator = await Accelerator.probe(image: image, in: directory)
        try directory.write(record, to: directory.lab.lastPathComponent)

        let lab = Lab(context: LabContext(directory: directory, record: record))
        for node in lab.nodes {
            try await node.makeDisks()
            try node.write(NodeRecord(sshPort: freePort(), process: nil, consoleStart: 0))
        }
        try lab.context.writeSSHConfiguration()
        for node in lab.nodes { try await node.powerOn() }
        return lab
    }

    /// Ends every process of the lab in the directory and removes everything but the lock.
    private static func end(_ directory: LabDirectory) async throws {
        let manager = FileManager.default
        for letter in ["a", "b", "c"] {
            let noted = try? directory.read(NodeRecord.self, from: LabNode.recordName(letter)).process
            // The pid file tells of a QEMU whose starter died before it could note it.
            for process in [noted, ProcessIdentity(pidFile: directory.file("\(letter).pid"))] {
                try await process?.kill()
            }
            let socket = directory.file("node\(letter).ssh")
            if manager.fileExists(atPath: socket.path) {
                // The node is dead, and ssh would notice only after a while that its connection is.
                _ = try? await LocalCommand.run(
                    "ssh", ["-F", "none", "-S", socket.path, "-O", "exit", "node"], timeout: .seconds(10))
            }
        }
        for name in try manager.contentsOfDirectory(atPath: directory.url.path) where name != "lock" {
            try manager.removeItem(at: directory.file(name))
        }
    }

    /// A TCP port of 127.0.0.1 that nobody listens on.
    static func freePort() throws -> UInt16 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(INADDR_LOOPBACK).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size) == 0 && getsockname(descriptor, $0, &size) == 0
            }
        }
        guard bound else { throw LabError.unusable("no free port on 127.0.0.1") }
        return UInt16(bigEndian: address.sin_port)
    }
}
