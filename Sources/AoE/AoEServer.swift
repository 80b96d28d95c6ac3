import BlockServer
import CLinux
import Glibc
import HostModel

/// Serves any number of targets on any number of interfaces, on the thread that calls `run`.
///
/// Each round takes a batch of frames from every interface, starts their requests together, and sends all answers that
/// are ready with one system call an interface. Nothing in a round allocates memory or counts references, and nothing
/// goes by the number of targets but by the number of those that have requests under way.
public struct AoEServer: ~Copyable {
    /// How much may be under way and wait. What is beyond is dropped, and initiators send it again.
    public struct Limits: Sendable {
        public var targets: Int
        /// 1 to 64.
        public var interfaces: Int
        /// Requests of all targets that are worked on at the same time.
        public var requests: Int
        /// Frames that wait in the ring of an interface.
        public var waitingFrames: Int
        /// Writes of all targets that are remembered to know their copies; a power of two.
        public var rememberedWrites: Int
        /// Which targets they are.
        public var shard = Shard.whole

        /// A daemon's.
        public static let shared = Limits(
            targets: 4096, interfaces: 64, requests: 2048, waitingFrames: 512, rememberedWrites: 32768)

        /// The same for one part of a daemon's targets.
        public func part(_ shard: Shard) -> Limits {
            var limits = self
            limits.shard = shard
            return limits
        }

        /// Those of one target on one interface.
        public static func single(queueDepth: Int) -> Limits {
            Limits(
                targets: 1, interfaces: 1, requests: queueDepth, waitingFrames: 2 * queueDepth,
                rememberedWrites: ReplayWindow.perTarget)
        }
    }

    /// A target of a server, for as long as it is there.
    public struct TargetID: Hashable, Sendable {
        let number: Int
        let generation: UInt64
    }

    var exports: SlotTable<Export>
    let generations: UnsafeMutablePointer<UInt64>
    var ports: SlotTable<Port>
    /// The interface whose frames are taken first in the next round.
    var firstPort = 0
    let limits: Limits
    let addresses: AddressTable
    var commons: TargetCommons
    let blockPool: BlockPool
    /// The numbers of the targets with requests under way, in no order.
    let active: UnsafeMutablePointer<Int32>
    var activeCount = 0
    let links: LinkMonitor
    /// When interfaces are to be looked at again without having changed, in milliseconds; 0 for never.
    var lookAt: Int64 = 0
    /// Why they could not be looked at the last time.
    var lookFailures: [Failure] = []
    let events: EventPoll
    let report: @Sendable (String) -> Void
    /// How often in a row, at most `hopeLimit`, looking out for a frame was worth it.
    var hope = 0
    var idleMoments = 0

    /// A server without any target.
    /// - Parameter report: told of what an operator should know while targets run.
    public init(_ limits: Limits, report: @escaping @Sendable (String) -> Void) throws(Failure) {
        precondition((1...64).contains(limits.interfaces) && limits.targets <= 65535)
        let pool = try BlockPool(
            requests: limits.requests, maximumTransfer: TargetMachine.maximumSectors(mtu: 9000) * Wire.sectorSize,
            doing: "cannot serve")
        let links = try LinkMonitor()
        let events = try EventPoll()
        // Its edges are enough: what it counts is of no interest.
        try events.add(pool.completionDescriptor, as: .completions, edges: true)
        try events.add(links.descriptor, as: .links)
        addresses = try AddressTable()
        self.limits = limits
        self.links = links
        self.events = events
        self.report = report
        blockPool = pool
        exports = SlotTable(capacity: limits.targets)
        generations = .allocate(capacity: limits.targets)
        generations.initialize(repeating: 0, count: limits.targets)
        ports = SlotTable(capacity: limits.interfaces)
        commons = TargetCommons(window: ReplayWindow(capacity: limits.rememberedWrites), requests: limits.requests)
        active = .allocate(capacity: limits.targets)
    }

    deinit {
        // Only when the kernel has nothing under way any more may the engines go.
        blockPool.stop()
        exports.empty()
        generations.deallocate()
        active.deallocate()
    }

    /// For the engines of exports that this server is to serve.
    public var pool: BlockPool.Handle { blockPool.handle }
}
