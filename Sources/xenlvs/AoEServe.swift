import AoE
import ArgumentParser
import BlockServer
import FoundationEssentials
import Glibc
import HostModel
import Hosts

extension AoECommand {
    struct Serve: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Serve one file or block device on one interface, in the foreground.",
            discussion: """
                'serving eSHELF.SLOT …' on standard output says that initiators can use it. SIGTERM and Ctrl-C end it \
                after what is under way. AoE has neither passwords nor encryption: serve only on a network that you \
                trust. For a VLAN, name its interface.

                Exit codes: 0 ended as asked; 1 refused or failed; 3 ended with requests under way; 4 what clients have \
                set before cannot be read; 5 the address or the device is in use; 6 no such file or interface; 64 usage.
                """)
        @Argument(help: "The file or block device.") var file: String
        @Option(help: "The shelf, 0 to 65534; different for each host.") var shelf: Int
        @Option(help: "The slot, 0 to 254.") var slot: Int
        @Option(help: "The Ethernet interface.") var interface: String
        @Flag(help: "Refuse every write.") var readOnly = false
        @Flag(
            help: """
                When a write is answered: when it is on stable storage, or when it is written to the page cache or the \
                device's own.
                """)
        var durability = WriteAnswer.durable
        @Flag(help: "Around the page cache or through it; by default around it where the device can.")
        var cache: Cache?
        @Option(
            name: .customLong("allow"),
            help: ArgumentHelp("Serve only this MAC address; may be given several times.", valueName: "mac"))
        var allowed: [String] = []
        @Option(
            help: """
                The directory for what initiators set: configuration string, MAC masks, reservations. \
                By default /var/lib/xenlvs/aoe.
                """)
        var state: String?
        @Option(help: "The requests that are worked on at the same time, 2 to 1024.") var queueDepth = 128

        enum WriteAnswer: String, EnumerableFlag { case durable, writeback }
        enum Cache: String, EnumerableFlag { case direct, buffered }

        func run() async throws {
            try await reporting {
                let target = try target()
                let policy: CachePolicy =
                    switch cache {
                    case .direct: .direct
                    case .buffered: .buffered
                    case nil: .automatic
                    }
                if target.address.isIgnoredByLinux {
                    Console.say("warning: Linux's initiator ignores shelf \(target.address.shelf)")
                }
                let stop = try StopSignal()
                let (file, readOnly, interface, descriptor) = (file, readOnly, interface, stop.descriptor)
                defer { stop.end() }
                try await Blocking.run("xenlvs.aoe") {
                    let backing = try Backing(opening: file, readOnly: readOnly, policy: policy)
                    let words = [
                        "serving \(target.address)", "\(backing.size)", "on \(interface)", target.durability.rawValue,
                        backing.isDirect ? "direct" : "buffered", readOnly ? "read-only" : "read-write",
                    ]
                    try Self.serve(target, backing, file, interface, until: descriptor) {
                        Console.result(words.joined(separator: " "))
                    }
                }
                return .done
            }
        }

        private static func serve(
            _ target: AoETargetConfiguration, _ backing: consuming Backing, _ file: String, _ interface: String,
            until stop: Int32, ready: () -> Void
        ) throws(Failure) {
            let report: @Sendable (String) -> Void = { Console.say("xenlvs: \($0)") }
            let probe = try AddressProbe([target.address], on: interface)
            let claim = try AddressClaim(target.address, on: interface)
            defer { withExtendedLifetime(claim) {} }
            var server = try AoEServer(.single(queueDepth: target.queueDepth), report: report)
            let export = try Export(
                target, backing: backing, serial: DeviceSerial.text(of: file), pool: server.pool, report: report)
            try probe.requireFree()
            let id = try server.add(export)
            try server.serve(id, on: interface)
            ready()
            try server.run(stop: stop)
        }

        private func target() throws -> AoETargetConfiguration {
            guard (2...1024).contains(queueDepth) else {
                throw Failure(.usage, "\(queueDepth) is not a queue depth", remedy: "give a number from 2 to 1024")
            }
            let paths = ThisHost.paths
            return AoETargetConfiguration(
                address: try AoEAddress(shelf: shelf, slot: slot),
                durability: durability == .durable ? .durable : .writeback,
                allowed: try allowed.map { try MACAddress($0) }, queueDepth: queueDepth,
                stateDirectory: state ?? paths.state + "/aoe", version: Version.text)
        }
    }
}

/// SIGTERM and SIGINT as a descriptor that becomes readable.
final class StopSignal {
    let descriptor: Int32
    private let signals: SignalWatch

    init() throws {
        var pair: [Int32] = [-1, -1]
        guard pipe(&pair) == 0 else {
            throw Failure(.failed, "cannot watch for signals", why: String(cString: strerror(errno)))
        }
        let (reading, writing) = (pair[0], pair[1])
        descriptor = reading
        signals = SignalWatch { _ = write(writing, "x", 1) }
    }

    func end() { signals.stop() }
}

/// What tells a served file or device from all others, across restarts.
enum DeviceSerial {
    /// Twenty characters from this machine's identity and the path, links followed.
    static func text(of path: String) -> String {
        let resolved = realpath(path, nil)
        defer { free(resolved) }
        let machine = (try? String(contentsOfFile: "/etc/machine-id", encoding: .utf8)) ?? ""
        let subject = machine + (resolved.map { String(cString: $0) } ?? path)
        // FNV-1a, 64 bits: the same in every run, which Hasher is not.
        let hash = subject.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        let digits = String(hash, radix: 16, uppercase: true)
        return "XLVS" + String(repeating: "0", count: 16 - digits.count) + digits
    }
}
