import AoE
import ArgumentParser
import BlockServer
import Glibc
import HostModel
import Hosts
import Operations

extension AoECommand {
    struct Serve: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "serve", abstract: "Serve one file or block device on one interface, in the foreground.",
            discussion: """
                'serving eSHELF.SLOT …' on standard output says that initiators can use it, unless a warning says that \
                the interface is down: then they can as soon as it is up. SIGTERM and Ctrl-C end it after what is under \
                way. AoE has neither passwords nor encryption: serve only on a network that you trust. For a VLAN, name \
                its interface. What is served keeps the size that it had at the start; 'xenlvs export aoe' takes in what \
                it has grown by.

                Exit codes: 0 ended as asked; 1 refused or failed; 3 ended with requests under way; 4 what clients have \
                set before cannot be read; 5 the address or the device is in use, also by a guest; 6 no such file or \
                interface; 64 usage.
                """)
        @Argument(help: "The file or block device.") var file: String
        @OptionGroup var target: AoETargetOptions
        @Option(help: "The Ethernet interface.") var interface: String
        @Option(
            help: """
                The directory for what initiators set: configuration string, MAC masks, reservations. \
                By default /var/lib/xenlvs/aoe.
                """)
        var state: String?

        func run() async throws {
            try await reporting {
                let configuration = try configuration()
                target.warn(of: configuration.address)
                let stop = try StopSignal()
                let (file, readOnly, policy) = (file, target.readOnly, target.policy)
                let (interface, descriptor) = (interface, stop.descriptor)
                defer { stop.end() }
                try await Blocking.run("xenlvs.aoe") {
                    try GuestDisk.requireUnused(file)
                    let backing = try Backing(opening: file, readOnly: readOnly, policy: policy)
                    let words = [
                        "serving \(configuration.address)", "\(backing.size)", "on \(interface)",
                        configuration.durability.rawValue, backing.isDirect ? "direct" : "buffered",
                        readOnly ? "read-only" : "read-write",
                    ]
                    try Self.serve(configuration, backing, file, interface, until: descriptor) {
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
            for port in server.portStatus {
                if let why = port.obstacle { Console.say("warning: not served on \(port.interface): \(why)") }
            }
            let orders = try ServerOrders()
            let address = target.address
            try BackgroundThread.start { askAgain(address, orders, report) }
            ready()
            try server.run(stop: stop, orders: orders)
        }

        /// Each time that the interface has come up or back, finds out whether another target has taken the address
        /// meanwhile; until none has it, nothing is answered.
        private static func askAgain(
            _ address: AoEAddress, _ orders: ServerOrders, _ report: @Sendable (String) -> Void
        ) {
            var told: Failure?
            while true {
                usleep(250_000)
                let ports: [PortStatus]
                do throws(Failure) { ports = try orders.silentPorts() } catch {
                    // The server is ending.
                    if error.code == .refused { return }
                    continue
                }
                for port in ports {
                    do throws(Failure) {
                        let probe = try AddressProbe([address], on: port.interface)
                        guard probe.isUp, let silence = port.silence else { continue }
                        try probe.requireFree()
                        try orders.perform { server throws(Failure) in
                            try server.speak(on: port.interface, after: silence)
                        }
                        told = nil
                    } catch {
                        if told != error { report(error.description) }
                        told = error
                    }
                }
            }
        }

        private func configuration() throws -> AoETargetConfiguration {
            AoETargetConfiguration(
                address: try target.address(), durability: target.durability, allowed: try target.allowedAddresses(),
                queueDepth: try target.checkedQueueDepth(), stateDirectory: state ?? ThisHost.paths.state + "/aoe",
                version: Version.text)
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

    /// Whether one has come.
    var hasCome: Bool {
        var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&request, 1, 0) > 0
    }

    func end() { signals.stop() }
}
