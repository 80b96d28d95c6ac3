import Foundation

/// One Xen host of the lab.
public struct LabNode: Sendable {
    /// a, b or c.
    public let letter: String
    let context: LabContext

    /// The host's name, by which the other hosts reach it too: nodea, nodeb, nodec.
    public var name: String { "node\(letter)" }

    /// The file in which all of the node's serial console is kept: Xen's messages, dom0's kernel and boot.
    public var consoleLog: URL { machine(sshPort: 0).console }

    /// The node's address on one of the networks.
    public func address(_ network: LabNetwork = .cluster) -> String { network.address(Machine.number(letter)) }

    var directory: LabDirectory { context.directory }
    static func recordName(_ letter: String) -> String { "\(letter).json" }
    func readRecord() throws -> NodeRecord { try directory.read(NodeRecord.self, from: Self.recordName(letter)) }
    func write(_ record: NodeRecord) throws { try directory.write(record, to: Self.recordName(letter)) }

    func machine(sshPort: UInt16) -> Machine {
        Machine(
            node: letter, all: context.record.nodes, image: context.image, directory: directory,
            accelerator: context.record.accelerator, sshPort: sshPort)
    }

    var qmp: QMP { QMP(socket: machine(sshPort: 0).controlSocket) }

    /// A root disk over the image, and two empty disks. All stay until `down`, through every power cut.
    func makeDisks() async throws {
        let machine = machine(sshPort: 0)
        _ = try await LocalCommand.run(
            "qemu-img",
            ["create", "-q", "-f", "qcow2", "-F", "raw", "-b", context.image.root.path, machine.overlay.path],
            timeout: .seconds(30))
        _ = try await LocalCommand.run("truncate", ["--size=8G", machine.dataDisk.path], timeout: .seconds(10))
        _ = try await LocalCommand.run("truncate", ["--size=2G", machine.spareDisk.path], timeout: .seconds(10))
    }

    /// Whether the node's QEMU runs.
    public var isPoweredOn: Bool { (try? readRecord())?.process?.isAlive ?? false }

    /// Cuts the node's power: it ends at once, and what it had not written to its disks is lost.
    public func powerOff() async throws {
        var record = try readRecord()
        try await record.process?.kill()
        record.process = nil
        try write(record)
        await closeConnection()
    }

    /// Switches the node on, with the disks as they are. `waitUntilReady` tells when it has booted.
    public func powerOn() async throws {
        var record = try readRecord()
        guard record.process?.isAlive != true else { return }
        await closeConnection()
        for attempt in 1... {
            let machine = machine(sshPort: record.sshPort)
            for file in machine.sockets + [machine.pidFile] { try? FileManager.default.removeItem(at: file) }
            record.consoleStart = consoleSize
            try write(record)
            do {
                _ = try await LocalCommand.run(
                    Machine.program, machine.arguments, timeout: .seconds(30), scratch: directory.scratch)
            } catch LabError.commandFailed(_, _, let result)
                where result.stderr.contains("host forwarding") && attempt < 5
            {
                // Somebody took the port between our look and QEMU's.
                record.sshPort = try Lab.freePort()
                try write(record)
                try context.writeSSHConfiguration()
                continue
            }
            guard let process = ProcessIdentity(pidFile: machine.pidFile) else {
                throw LabError.unusable("\(name)'s QEMU ended as soon as it was started:\n\(consoleEnd)")
            }
            record.process = process
            try write(record)
            return
        }
    }

    /// Waits until the node has booted since it was last switched on: Xen's daemons run, the volume group is active,
    /// and the product's recovery, if it has any state, has ended.
    public func waitUntilReady(within limit: Duration = .seconds(300)) async throws {
        let record = try readRecord()
        guard let process = record.process else { throw LabError.unusable("\(name) is switched off") }
        try await waitUntil("\(name) to get ready", within: limit, evidence: consoleEvidence) {
            let text = consoleText(from: record.consoleStart)
            if text.contains("lab-error") {
                throw LabError.unusable("\(name) reports an error while booting:\n\(consoleEnd)")
            }
            if text.contains("lab-ready") { return true }
            guard process.isAlive else { throw LabError.unusable("\(name) died while booting:\n\(consoleEnd)") }
            return false
        }
        try await openConnection()
    }

    /// Stops the whole node in its tracks, as a host that hangs: nothing answers, no connection is closed.
    public func freeze() async throws { try await qmp.run("stop") }

    /// Lets a frozen node go on.
    public func thaw() async throws { try await qmp.run("cont") }

    /// What a wait shows when it was in vain.
    func consoleEvidence() -> String { consoleEnd }

    /// The last lines of the console, for people.
    public var consoleEnd: String { lastLines(consoleText(from: 0)) }

    private var consoleSize: UInt64 {
        (try? FileManager.default.attributesOfItem(atPath: consoleLog.path)[.size] as? UInt64) ?? 0
    }

    private func consoleText(from offset: UInt64) -> String {
        guard let data = try? Data(contentsOf: consoleLog) else { return "" }
        return String(decoding: data.dropFirst(Int(offset)), as: UTF8.self).replacing("\r\n", with: "\n")
    }
}
