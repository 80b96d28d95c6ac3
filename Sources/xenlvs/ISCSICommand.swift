import ArgumentParser
import FoundationEssentials
import HostModel
import Hosts
import ISCSI
import ISCSIHost
import Operations

struct ISCSICommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "iscsi", abstract: "Write iSCSI exports for other targets' programs, and take theirs over.",
        subcommands: [Write.self, Read.self])

    /// The files of other programs.
    enum Form: String, ExpressibleByArgument, CaseIterable { case saveconfig, tgt, ietd }

    struct Write: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "write", abstract: "Write the files that other programs serve the same exports from.",
            discussion: """
                Into a directory: saveconfig.json (saveconfig), which 'targetctl restore' reads; targets.conf (tgt) for \
                tgt-admin; ietd.conf, initiators.allow and targets.allow (ietd) for the iSCSI Enterprise Target. What such a \
                program cannot do is refused. The files have CHAP secrets, and mode 0600. Nothing else is changed.

                Exit codes: 0 done; 1 refused or failed; 4 the record of exports cannot be read; 5 a domain has a volume; 6 \
                no such volume or file; 64 usage.
                """)
        @Argument(help: "The directory.") var directory: String
        @Option(name: .customLong("as"), help: "saveconfig, tgt or ietd.") var form: Form
        @Option(
            name: .shortAndLong,
            help: ArgumentHelp("The YAML file with the exports; by default those that are recorded.", valueName: "file")
        )
        var file: String?

        func run() async throws {
            try await reporting {
                let host = try ThisHost.open()
                let state = try await host.iSCSIExporter.resolved(try file.map { try ExportFile.read($0, host) })
                let directory = try ExportSubject.absolute(directory)
                for (name, text) in try texts(of: state) {
                    try DurableFile.replace("\(directory)/\(name)", with: Array(text.utf8))
                    Console.result("\(directory)/\(name)")
                }
                return .done
            }
        }

        private func texts(of state: ResolvedState) throws -> [(name: String, text: String)] {
            switch form {
            case .saveconfig: return [("saveconfig.json", try LIOSaveFile.text(of: state))]
            case .tgt:
                let configuration = try TGTConfiguration(state)
                let portals = configuration.portals.map { "--iscsi portal=\($0)" }.joined(separator: " ")
                Console.say("tgtd has to be started with \(portals)")
                return [("targets.conf", configuration.text)]
            case .ietd:
                let files = try IETConfiguration(state).files
                return [
                    ("ietd.conf", files.configuration), ("initiators.allow", files.initiatorsAllow),
                    ("targets.allow", files.targetsAllow),
                ]
            }
        }
    }

    struct Read: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "read", abstract: "Print another program's exports as a file for 'xenlvs apply'.",
            discussion: """
                Of saveconfig.json, or of a directory with ietd.conf, initiators.allow and targets.allow. CHAP secrets are \
                put into files of their own, which the result names; nothing else is changed. What cannot be taken over is \
                told, and left out: a portal on every address, for one, unless --portal says what it is to be. Disks get \
                xenlvs's identity and never LUN 0: detach them on every initiator before.

                Exit codes: 0 done; 1 refused or failed, or something was left out; 6 no such file; 64 usage.
                """)
        @Argument(help: "saveconfig.json, or a directory with ietd's files.") var path: String
        @Option(name: .customLong("as"), help: "saveconfig or ietd.") var form: Form
        @Option(help: ArgumentHelp("Where the CHAP files are put.", valueName: "directory"))
        var chapDirectory = "/etc/xenlvs"
        @Option(
            name: .customLong("portal"),
            help: ArgumentHelp(
                "An address of this host that stands for a portal on every address; may be given several times.",
                valueName: "address"))
        var portals: [String] = []

        func run() async throws {
            try await reporting {
                let host = try ThisHost.open()
                let directory = try ExportSubject.absolute(chapDirectory)
                let addresses = try portals.map { try address($0) }
                let (state, files, leftOut) = try imported().document(chapFilesIn: directory, for: addresses) { path in
                    try ServedVolume.name(of: path, on: host)
                }
                try state.validate()
                for (path, credentials) in files.sorted(by: { $0.key < $1.key }) {
                    try DurableFile.make(path, holding: Array(credentials.fileText.utf8), mode: 0o600)
                    Console.say("wrote \(path)")
                }
                for line in leftOut { Console.say("left out: \(line)") }
                Console.result(ExportDocument.text(of: state).dropLast(1).description)
                return leftOut.isEmpty ? .done : .failed
            }
        }

        private func address(_ text: String) throws -> Portal {
            let portal = try Portal(text)
            guard portal.port == Portal.standardPort, !portal.isWildcard else {
                throw Failure(
                    .usage, "'\(text)' cannot stand for a portal", why: "it has a port, or is every address itself",
                    remedy: "give an address of this host alone; the port is that of the portal that it stands for")
            }
            return portal
        }

        private func imported() throws -> ImportedState {
            switch form {
            case .saveconfig: return try LIOSaveFile.read(try text(path))
            case .ietd:
                let files = IETConfiguration.Files(
                    configuration: try text("\(path)/ietd.conf"),
                    initiatorsAllow: (try? text("\(path)/initiators.allow")) ?? "",
                    targetsAllow: (try? text("\(path)/targets.allow")) ?? "")
                return try IETConfiguration(parsing: files).imported
            case .tgt: throw Failure(.usage, "targets.conf is not read", why: "tgt-admin's file can include others")
            }
        }

        private func text(_ path: String) throws -> String {
            guard let data = FileManager.default.contents(atPath: path), data.count < 64 << 20 else {
                throw Failure(.notFound, "cannot read \(path)", why: "there is no such file, or it cannot be read")
            }
            return String(decoding: data, as: UTF8.self)
        }
    }
}
