import AoE
import ArgumentParser
import BlockServer
import HostModel
import Serving

extension Durability: EnumerableFlag {}

/// What every AoE target is told on the command line.
struct AoETargetOptions: ParsableArguments {
    @Option(help: "The shelf, 0 to 65534; different for each host.") var shelf: Int
    @Option(help: "The slot, 0 to 254.") var slot: Int
    @Flag(help: "Refuse every write.") var readOnly = false
    @Flag(
        help: """
            When a write is answered: when it is on stable storage, or when it is written to the page cache or the \
            device's own.
            """)
    var durability = Durability.durable
    @Flag(help: "Around the page cache or through it; by default around it where the device can.")
    var cache: Cache?
    @Option(
        name: .customLong("allow"),
        help: ArgumentHelp("Serve only this MAC address; may be given several times.", valueName: "mac"))
    var allowed: [String] = []
    @Option(help: "The requests that are worked on at the same time, 2 to 1024.") var queueDepth = 128

    enum Cache: String, EnumerableFlag { case direct, buffered }

    var policy: CachePolicy {
        switch cache {
        case .direct: .direct
        case .buffered: .buffered
        case nil: .automatic
        }
    }

    func address() throws(Failure) -> AoEAddress { try AoEAddress(shelf: shelf, slot: slot) }

    func allowedAddresses() throws -> [MACAddress] {
        let addresses = try allowed.map { try MACAddress($0) }
        try AoETargetConfiguration.check(allowed: addresses, doing: "cannot keep the list of --allow")
        return addresses
    }

    func checkedQueueDepth() throws(Failure) -> Int {
        guard ExportRecord.queueDepths.contains(queueDepth) else {
            throw Failure(.usage, "\(queueDepth) is not a queue depth", remedy: "give a number from 2 to 1024")
        }
        return queueDepth
    }

    func warn(of address: AoEAddress) {
        if address.isIgnoredByLinux { Console.say("warning: Linux's initiator ignores shelf \(address.shelf)") }
    }
}
