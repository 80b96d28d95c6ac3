import AoE
import ArgumentParser
import HostModel
import Hosts
import Reporting

extension AoECommand {
    struct Discover: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "discover",
            abstract: "Find the targets that other hosts serve, without the kernel's initiator.",
            discussion: """
                Asks everybody on the wire, on all interfaces at the same time, and waits a second and a half for answers. \
                An interface that cannot be asked on is told, and the others are listed. A target that serves only certain \
                MAC addresses may not answer this host. Those of this host are not found: see 'xenlvs exports'.

                Exit codes: 0 done, also where there is none; 1 failed, on all interfaces or because one that is named is \
                down; 6 no such interface; 64 usage.
                """)
        @Option(
            name: .customLong("interface"),
            help: ArgumentHelp(
                "Ask on this interface only; may be given several times. By default on every Ethernet interface.",
                valueName: "interface"))
        var interfaces: [String] = []
        @OptionGroup var output: FormatOption

        func run() async throws {
            try await reporting {
                // Throws for one that is named and not there.
                if !interfaces.isEmpty { _ = try Discovery(on: interfaces) }
                let names = interfaces.isEmpty ? Discovery.presentInterfaces : Set(interfaces).sorted()
                let answers = await Self.ask(on: names)
                let failures = answers.compactMap(\.failure)
                if let first = failures.first, failures.count == names.count { throw first }
                for failure in failures { Console.say("warning: \(failure)") }
                let found = answers.flatMap(\.targets)
                    .sorted { ($0.address, $0.interface, $0.mac) < ($1.address, $1.interface, $1.mac) }
                try output.show(found.map(DiscoveredRow.init))
                return .done
            }
        }

        /// What an interface has brought.
        private struct Answer: Sendable {
            var targets: [DiscoveredTarget] = []
            var failure: Failure?
        }

        /// Asks on all of them at the same time.
        private static func ask(on names: [String]) async -> [Answer] {
            await withTaskGroup(of: Answer.self) { group in
                for name in names {
                    group.addTask {
                        let what = "cannot look for targets on \(name)"
                        do {
                            let targets = try await Blocking.run("xenlvs.discover.\(name)") {
                                try Discovery(on: [name]).run()
                            }
                            return Answer(targets: targets)
                        } catch {
                            let cause = Failure(error, doing: what)
                            return Answer(
                                failure: Failure(cause.code, what, why: cause.why ?? cause.what, remedy: cause.remedy))
                        }
                    }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
        }
    }
}

/// A target on the wire as a row, and as JSON: the fields are part of the command line's contract.
struct DiscoveredRow: Listable {
    var address: String
    var interface: String
    var mac: String
    /// In bytes; nil where the target has not said.
    var size: ByteCount?
    var model: String?
    var serial: String?
    /// Whether it may answer writes before they are on stable storage; nil where the target has not said.
    var writeCache: Bool?
    var buffers: Int
    var sectors: Int
    var firmware: Int
    /// The configuration string, with what is no text replaced.
    var configuration: String

    init(_ target: DiscoveredTarget) {
        address = target.address.description
        interface = target.interface
        mac = target.mac.description
        size = target.identity?.size
        model = target.identity?.model
        serial = target.identity?.serial
        writeCache = target.identity?.hasWriteCache
        buffers = target.bufferCount
        sectors = target.maximumSectors
        firmware = target.firmware
        configuration = DisplayText.sanitised(String(decoding: target.configuration, as: UTF8.self))
    }

    static var columns: [Table.Column] {
        [
            Table.Column("ADDRESS"), Table.Column("INTERFACE"), Table.Column("MAC"), Table.Column("SIZE", .right),
            Table.Column("MODEL"), Table.Column("SERIAL"), Table.Column("BUFFERS", .right),
            Table.Column("SECTORS", .right), Table.Column("STRING", shrinks: true),
        ]
    }

    var cells: [String] {
        [
            address, interface, mac, size?.description ?? "-", model ?? "-", serial ?? "-", String(buffers),
            String(sectors), configuration,
        ]
    }
}
