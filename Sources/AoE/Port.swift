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
    /// Whether its socket has told, since the last look, that the interface was down: it may be up again by then.
    var wasDown = false
    /// The number of its falling silent; nil where it answers.
    private(set) var silence: UInt64?
    private let shard: Shard

    /// Opens the interface and receives its frames from now on.
    /// - Parameters:
    ///   - shard: whose targets' frames are received.
    ///   - frames: that can wait in its ring.
    ///   - answers: that can wait to be sent.
    init(on name: String, shard: Shard, frames: Int, answers: Int) throws(Failure) {
        let interface = try NetworkInterface(named: name)
        var packets = try PacketPort(frames: frames, shard: shard)
        var silence: UInt64?
        // Nobody could be asked whether another target has an address there.
        if !interface.isUp {
            try PacketPort.filter(packets.descriptor, SocketFilter.nothing, Self.choosing(name))
            silence = Generation.next()
        }
        try packets.bind(to: interface)
        self.name = name
        self.packets = packets
        self.interface = interface
        self.silence = silence
        self.shard = shard
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

    /// Looks at the interface again: another MTU or address, down, gone, or back. One that was down or gone is silent until
    /// `speak`.
    mutating func refresh() -> Change { refresh(Result { () throws(Failure) in try NetworkInterface(named: name) }) }

    /// - Parameter look: what the kernel says of it now.
    mutating func refresh(_ look: Result<NetworkInterface, Failure>) -> Change {
        let current: NetworkInterface
        do throws(Failure) { current = try look.get() } catch {
            // That the kernel has no room to say how it is does not make it go.
            return error.code == .failed ? .failed(error) : leave()
        }
        guard current != interface || !isBound || wasDown else { return .none }
        let isNew = current.index != interface.index || !isBound
        do throws(Failure) {
            if isNew || wasDown || !current.isUp { try fallSilent() }
            if isNew { try packets.bind(to: current) }
        } catch { return .failed(error) }
        isBound = true
        interface = current
        maximumSectors = TargetMachine.maximumSectors(mtu: current.mtu)
        return silence == nil ? .changed : .none
    }

    /// There is no such interface, or another kind of one.
    private mutating func leave() -> Change {
        guard isBound else {
            wasDown = false
            return .none
        }
        // It may be there under another name.
        do throws(Failure) { try fallSilent() } catch { return .failed(error) }
        isBound = false
        return .gone
    }

    /// Hears nothing and so answers nothing: meanwhile another target may take an address here.
    private mutating func fallSilent() throws(Failure) {
        try PacketPort.filter(packets.descriptor, SocketFilter.nothing, Self.choosing(name))
        silence = Generation.next()
        wasDown = false
    }

    mutating func takeError() { if packets.takeError() == ENETDOWN { wasDown = true } }

    /// Answers again; falls silent anew where it has been down since the last look, because others were asked before that.
    mutating func speak() throws(Failure) {
        takeError()
        guard !wasDown else { return try fallSilent() }
        let requests = SocketFilter.requests(of: shard, keeping: UInt32(PacketPort.frameSize))
        try PacketPort.filter(packets.descriptor, requests, Self.choosing(name))
        silence = nil
    }

    private static func choosing(_ name: String) -> String { "cannot choose the frames of the interface \(name)" }

    var status: PortStatus {
        PortStatus(
            interface: name, isPresent: isBound, isUp: isBound && interface.isUp, mtu: interface.mtu,
            address: interface.address.description, silence: silence)
    }
}

/// An interface as its targets have it at one moment.
public struct PortStatus: Sendable, Codable, Equatable {
    public var interface: String
    public var isPresent: Bool
    public var isUp: Bool
    public var mtu: Int
    public var address: String
    /// The number of its falling silent: it has been down or away, and answers nothing yet. Nil where it answers.
    public var silence: UInt64?

    public static let gone = "there is no such interface at the moment"
    public static let down = "it is down, and nobody reaches the export there until it is up"
    public static let asking = "the interface has come up; others are asked first whether they have the address"

    /// Why nobody reaches its targets there, for an operator; nil where everybody does.
    public var obstacle: String? {
        if !isPresent { return Self.gone }
        if !isUp { return Self.down }
        return silence == nil ? nil : Self.asking
    }
}
