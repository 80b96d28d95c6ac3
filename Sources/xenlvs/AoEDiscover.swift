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
                Asks everybody on the wire and waits a second and a half for answers. A target that serves only certain \
                MAC addresses may not answer this host. Those of this host are not found: see 'xenlvs exports'.

                Exit codes: 0 done, also where there is none; 1 failed; 6 no such interface; 64 usage.
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
                let names = interfaces
                let found = try await Blocking.run("xenlvs.discover") { try Discovery(on: names).run() }
                try output.show(found.map(DiscoveredRow.init))
                return .done
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
