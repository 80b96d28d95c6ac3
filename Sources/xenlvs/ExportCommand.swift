import AoE
import ArgumentParser
import Glibc
import HostModel
import Hosts
import Operations
import Serving
import Storage

/// The daemon of this host, as commands ask it.
enum LocalDaemon {
    static func ask(_ request: ControlRequest) async throws -> [ExportStatus] {
        try await ControlClient.ask(request, of: ThisHost.paths)
    }
}

struct ExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Serve storage to other hosts, by the daemon and over restarts.",
        subcommands: [OverAoE.self, OverISCSI.self])

    struct OverAoE: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "aoe", abstract: "Export a volume, file or block device as an ATA-over-Ethernet target.",
            discussion: """
                The daemon (xenlvsd) serves it, and brings it back after a restart. When the command has ended, initiators \
                can use it on every interface that no warning names; one that is down is waited for. AoE has neither \
                passwords nor encryption: serve only on a network that you trust. For a VLAN, name its interface. 'xenlvs \
                exports' lists what is exported.

                Exit codes: 0 done; 1 refused or failed, or no daemon runs; 3 the daemon has not answered; 4 what clients \
                have set before cannot be read; 5 the address or the device is in use, also by a guest; 6 no such volume, \
                file or interface; 64 usage.
                """)
        @Argument(help: "A volume's name, or the path of a file or block device.") var subject: String
        @OptionGroup var target: AoETargetOptions
        @Option(
            name: .customLong("interface"),
            help: ArgumentHelp("An Ethernet interface; may be given several times.", valueName: "interface"))
        var interfaces: [String] = []

        func validate() throws {
            if interfaces.isEmpty { throw ValidationError("Missing expected argument '--interface <interface>'") }
        }

        func run() async throws {
            try await reporting {
                let address = try target.address()
                target.warn(of: address)
                let allowed = try target.allowedAddresses()
                let queueDepth = try target.checkedQueueDepth()
                let (path, volume) = try await ExportSubject.find(subject)
                let record = try ExportRecord(
                    address: address, path: path, volume: volume, interfaces: interfaces, isReadOnly: target.readOnly,
                    allowed: allowed, durability: target.durability, cache: target.policy, queueDepth: queueDepth)
                for status in try await LocalDaemon.ask(.export(record)) {
                    Console.result("exported \(status.line)")
                    for interface in status.interfaces where interface.why != nil {
                        Console.say("warning: not served on \(interface.name): \(interface.why ?? "")")
                    }
                }
                return .done
            }
        }
    }
}

/// What an operator wants to export: a path, or a volume.
enum ExportSubject {
    /// Its absolute path, and the volume that it is. Throws why a volume must not be served.
    static func find(_ subject: String) async throws -> (path: String, volume: VolumeName?) {
        let host = try ThisHost.open()
        let path = subject.contains("/") ? try absolute(subject) : nil
        let volume = try path.map { try ServedVolume.name(of: $0, on: host) } ?? VolumeName(subject)
        guard let volume else {
            try GuestDisk.requireUnused(path ?? subject)
            return (path ?? subject, nil)
        }
        try await ServedVolume.checkUnused(volume, of: host)
        // The link, because a volume's device may have another number after a restart.
        return (host.links.path(of: volume), volume)
    }

    static func absolute(_ path: String) throws -> String {
        if path.hasPrefix("/") { return path }
        guard let directory = getcwd(nil, 0) else {
            throw Failure(.failed, "cannot tell where \(path) is", why: String(cString: strerror(errno)))
        }
        defer { free(directory) }
        return String(cString: directory) + "/" + path
    }
}

struct UnexportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unexport", abstract: "End an export.", subcommands: [OverAoE.self, OverISCSI.self])

    struct OverAoE: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "aoe", abstract: "End the export of an ATA-over-Ethernet target.",
            discussion: """
                Requests that are under way are brought to their end first. Refused while an initiator has read or \
                written within the last minute: whoever has it mounted there would lose it. Of an export that a start of \
                the daemon has brought back nobody knows that for the first minute: then it is refused as well. What \
                initiators have set on the address (configuration string, masks, reservations) is kept for its next export.

                Exit codes: 0 done; 1 refused or failed, or no daemon runs; 3 its last requests have not ended yet; \
                5 an initiator uses it, or may do so; 6 no such export; 64 usage.
                """)
        @Argument(help: "The target's address, such as e1.0.") var address: String
        @Flag(help: "Also where an initiator was active a moment ago, or may have been.") var force = false

        func run() async throws {
            try await reporting {
                let address = try AoEAddress(address).description
                _ = try await LocalDaemon.ask(.unexport(address: address, force: force))
                Console.result("\(address) is not exported any more")
                return .done
            }
        }
    }
}
