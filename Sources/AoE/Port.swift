import Glibc
import HostModel

/// One interface that targets are served on: its packet socket, what waits to be sent there, and its present facts.
struct Port: ~Copyable {
    let name: String
    var packets: PacketPort
    var queue: TransmitQueue
    var interface: NetworkInterface
    var isBound = true
    /// The most sectors in one frame.
    var maximumSectors: Int
    /// How many targets are served here.
    var targetCount = 0
    /// The number of the target where there is only one; -1 elsewhere.
    var onlyTarget = -1
    /// Since when frames could not be sent, in milliseconds; 0 where they can.
    var stuckSince: Int64 = 0
    /// Whether frames wait that cannot be taken yet.
    var isBlocked = false

    /// Opens the interface and receives its frames from now on.
    /// - Parameters:
    ///   - shard: whose targets' frames are received.
    ///   - frames: that can wait in its ring.
    ///   - answers: that can wait to be sent.
    init(on name: String, shard: Shard, frames: Int, answers: Int) throws(Failure) {
        let interface = try NetworkInterface(named: name)
        var packets = try PacketPort(frames: frames, shard: shard)
        try packets.bind(to: interface)
        self.name = name
        self.packets = packets
        self.interface = interface
        queue = TransmitQueue(capacity: answers)
        maximumSectors = TargetMachine.maximumSectors(mtu: interface.mtu)
    }

    /// What has become of the interface since the last look.
    enum Change {
        case none
        case gone
        case changed
        case failed(Failure)
    }

    /// Looks at the interface again: another MTU or address, gone, or back.
    mutating func refresh() -> Change {
        guard let current = try? NetworkInterface(named: name) else {
            defer { isBound = false }
            return isBound ? .gone : .none
        }
        guard current != interface || !isBound else { return .none }
        do throws(Failure) {
            if current.index != interface.index || !isBound { try packets.bind(to: current) }
        } catch { return .failed(error) }
        isBound = true
        interface = current
        maximumSectors = TargetMachine.maximumSectors(mtu: current.mtu)
        return .changed
    }

    var status: PortStatus {
        PortStatus(
            interface: name, isPresent: isBound, isUp: isBound && interface.isUp, mtu: interface.mtu,
            address: interface.address.description)
    }
}

/// An interface as its targets have it at one moment.
public struct PortStatus: Sendable, Codable, Equatable {
    public var interface: String
    public var isPresent: Bool
    public var isUp: Bool
    public var mtu: Int
    public var address: String
}
