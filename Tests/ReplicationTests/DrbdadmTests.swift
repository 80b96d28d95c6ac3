import Foundation
import HostModel
import Replication
import Testing

/// Compares our commands with those that the real `drbdadm` makes of the same settings. It needs no kernel module.
struct DrbdadmTests {
    /// A command, its options in no particular order.
    private struct Line: Equatable, CustomStringConvertible {
        var words: [String]
        var options: [String]

        init(_ words: [String]) {
            // `drbdadm` calls the 8.4 program by its own name and DRBD 9's by its path.
            let program = words[0].split(separator: "/").last == "drbdmeta" ? "drbdmeta" : "drbdsetup"
            let words = [program] + words.dropFirst()
            self.words = words.filter { !$0.hasPrefix("--") }
            options = words.filter { $0.hasPrefix("--") }.sorted()
        }

        init(_ command: Command) { self.init([command.tool.rawValue] + command.arguments) }

        var description: String { (words + options).joined(separator: " ") }
    }

    private func drbdadm(_ verb: String, _ dialect: DRBDDialect, _ connection: ReplicaConnection) throws -> [Line] {
        let file = FileManager.default.temporaryDirectory.appending(path: "xenlvs-\(UUID().uuidString).res")
        let text = DRBDConfiguration.render(
            dialect, device: Sample.source, peerDevice: Sample.target, connection: connection, tuning: Sample.tuning)
        try Data(text.utf8).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        let output = try run(
            "drbdadm", ["-c", file.path(), "-d", verb, Sample.source.resource],
            environment: [
                "__DRBD_NODE__": "nodea",
                "DRBD_DRIVER_VERSION_OVERRIDE": dialect == .v84 ? "8.4.11" : "9.0.0",
            ])
        return output.split(separator: "\n").map { line in
            Line(line.split(separator: " ").map { String($0.replacing("\\", with: "")) })
        }
    }

    private func connections() throws -> [ReplicaConnection] {
        [
            try Sample.connection(source: "192.0.2.1", target: "192.0.2.2"),
            try Sample.connection(source: "2001:db8::1", target: "2001:db8::2", checksums: true),
        ]
    }

    @Test("Our commands bring a replica of DRBD 9 up as drbdadm does")
    func up9() throws {
        let commands = DRBDCommands(dialect: .v9)
        let device = Sample.source
        for connection in try connections() {
            let ours =
                [commands.newResource(device, connection), commands.newMinor(device)]
                + commands.definePeer(device, connection, Sample.tuning)
                + [
                    commands.applyActivityLog(device), commands.attach(device, Sample.tuning),
                    commands.connect(device, connection),
                ]
            let theirs = try drbdadm("up", .v9, connection)
            #expect(theirs == ours.map { Line($0) })
        }
    }

    @Test("Our commands bring a replica of DRBD 8.4 up as drbdadm does")
    func up84() throws {
        let commands = DRBDCommands(dialect: .v84)
        let device = Sample.source
        for connection in try connections() {
            let ours = [
                commands.newResource(device, connection), commands.newMinor(device),
                commands.applyActivityLog(device), commands.attach(device, Sample.tuning),
                commands.connect(device, connection),
            ]
            let theirs = try drbdadm("up", .v84, connection)
            #expect(theirs == ours.map { Line($0) })
        }
    }

    @Test("Every other command is drbdadm's as well", arguments: DRBDDialect.allCases)
    func others(dialect: DRBDDialect) throws {
        let commands = DRBDCommands(dialect: dialect)
        let (device, connection) = (Sample.source, Sample.connection)
        let permit = try PromotionPermit([Sample.pair("both-secondary-source", "both-secondary-target")])
        var verify = Line(commands.verify(device, connection, .whole(of: device.size)))
        verify.options = []
        var create = Line(commands.createMetadata(device))
        create.options = []
        create.words.removeAll { $0 == "1048576" }
        let ours: [(String, Line)] = [
            ("primary", Line(try commands.primary(device, permit))),
            ("secondary", Line(commands.secondary(device))),
            ("disconnect", Line(commands.disconnect(device, connection))),
            ("detach", Line(commands.detach(device))),
            ("down", Line(commands.down(device))),
            ("apply-al", Line(commands.applyActivityLog(device))),
            ("verify", verify),
            ("create-md", create),
        ]
        for (verb, line) in ours {
            let theirs = try drbdadm(verb, dialect, connection)
            #expect(theirs == [line])
        }
    }
}
