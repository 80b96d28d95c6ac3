import BlockServer
import CLinux
import Glibc
import HostModel

/// What one target is to be.
public struct AoETargetConfiguration: Sendable {
    public var address: AoEAddress
    public var interface: String
    public var durability: Durability
    /// Who is served; everybody where it is empty.
    public var allowed: [MACAddress]
    /// Requests that are worked on at the same time, 2 to 1024.
    public var queueDepth: Int
    /// The directory for what clients set.
    public var stateDirectory: String
    /// The version, as the device's firmware.
    public var version: String

    public init(
        address: AoEAddress, interface: String, durability: Durability, allowed: [MACAddress], queueDepth: Int,
        stateDirectory: String, version: String
    ) {
        self.address = address
        self.interface = interface
        self.durability = durability
        self.allowed = allowed
        self.queueDepth = queueDepth
        self.stateDirectory = stateDirectory
        self.version = version
    }
}

/// Serves one backing on one interface, on the thread that calls `run`.
///
/// Each round takes a batch of frames, starts their requests together, and sends all answers that are ready with one
/// system call. Nothing in a round allocates memory or counts references.
public struct AoEServer: ~Copyable {
    private var export: Export
    private var port: PacketPort
    private var queue: TransmitQueue
    private var interface: NetworkInterface
    private let claim: AddressClaim
    private let links: LinkMonitor
    private let events: EventPoll
    private let report: @Sendable (String) -> Void
    private var isBound = true
    /// How often in a row, at most `hopeLimit`, looking out for a frame was worth it.
    private var hope = 0
    private var idleMoments = 0

    /// Frames that are looked at before answers are sent.
    private static let batch = 64
    private static let hopeLimit = 8
    private static let lookoutNanoseconds: Int64 = 25_000
    private static let drainLimitMilliseconds: Int64 = 30_000
    private static let sendLimitMilliseconds: Int64 = 1_000

    /// Opens everything and announces the target. Throws `.busy` where another target has the address, `.notFound` and
    /// `.refused` for the interface, `.inconsistent` where the state of before cannot be read.
    /// - Parameters:
    ///   - serial: what tells this backing from others, at most 20 characters.
    ///   - report: told of what an operator should know while the target runs.
    public init(
        _ configuration: AoETargetConfiguration, backing: consuming Backing, serial: String,
        report: @escaping @Sendable (String) -> Void
    ) throws(Failure) {
        let interface = try NetworkInterface(named: configuration.interface)
        let maximumSectors = TargetMachine.maximumSectors(mtu: interface.mtu)
        guard maximumSectors > 0 else {
            throw Failure(
                .refused, "cannot serve on the interface \(interface.name)",
                why: "its MTU of \(interface.mtu) has no room for a sector", remedy: "set an MTU of at least 1500")
        }
        let claim = try AddressClaim(configuration.address, on: interface.name)
        let store = try StateFile(directory: configuration.stateDirectory, address: configuration.address)
        let state = try store.load()
        try AddressProbe(address: configuration.address, interface: interface).run()

        let facts = DeviceFacts(
            sectors: backing.size.sectors, serial: serial, firmware: configuration.version, model: "xenlvs",
            isReadOnly: backing.isReadOnly, physicalBlockSize: backing.physicalBlockSize, trims: backing.trims,
            hasWriteCache: configuration.durability == .writeback)
        let engine = try BlockEngine(
            backing: backing, depth: configuration.queueDepth,
            maximumTransfer: TargetMachine.maximumSectors(mtu: 9000) * Wire.sectorSize,
            durability: configuration.durability)
        let machine = TargetMachine(
            address: configuration.address, facts: facts, queueDepth: configuration.queueDepth,
            allowed: configuration.allowed, state: state, ownAddress: interface.address,
            maximumSectors: maximumSectors)
        var port = try PacketPort(frames: 2 * configuration.queueDepth)
        let links = try LinkMonitor()
        let events = try EventPoll()
        try events.add(port.descriptor)
        // Its edges are enough: what it counts is of no interest.
        try events.add(engine.completionDescriptor, edges: true)
        try events.add(links.descriptor)
        try port.bind(to: interface)
        self.port = port
        self.links = links
        self.events = events
        self.interface = interface
        self.claim = claim
        self.report = report
        queue = TransmitQueue(capacity: configuration.queueDepth + Self.batch)
        export = Export(machine: machine, engine: engine, store: store, report: report)
        advertise()
    }

    /// Serves until `stop` is readable; then no more frames are taken, and what is under way is brought to its end.
    /// Throws `.outcomeUnknown` where that takes longer than 30 seconds.
    public mutating func run(stop: Int32) throws(Failure) {
        try events.add(stop)
        var rounds = 0
        while true {
            let isBusy = round()
            rounds &+= 1
            // While frames keep coming the others are looked at now and then.
            if isBusy || awaitsNext(), rounds & 63 != 0 { continue }
            let ready = events.wait(milliseconds: isBusy ? 0 : export.engine.isStalled ? 1 : 1000)
            if ready.contains(stop) { break }
            if ready.contains(links.descriptor) { interfaceChanged() }
            // An interface that goes down leaves an error that would be ready for ever.
            if ready.contains(port.descriptor), !port.hasFrame { port.clearError() }
        }
        try drain()
    }

    /// Looks out for a next frame for a moment, where the last ones came soon after their answers: an initiator with one
    /// request at a time then does not wait for this thread to wake up. Costs no more than going to sleep does.
    private mutating func awaitsNext() -> Bool {
        idleMoments &+= 1
        // Now and then it is tried without hope, to find out whether it pays again.
        guard export.engine.isIdle, hope > 0 || idleMoments & 31 == 0 else { return false }
        let end = Clock.nanoseconds() + Self.lookoutNanoseconds
        repeat {
            for _ in 0..<32 where port.hasFrame {
                hope = min(hope + 1, Self.hopeLimit)
                return true
            }
        } while Clock.nanoseconds() < end
        hope = max(hope - 1, 0)
        return false
    }

    /// One batch. Returns whether there is more to do at once.
    private mutating func round() -> Bool {
        var taken = 0
        while taken < Self.batch, port.hasFrame, export.hasRoom(queue) {
            if let frame = port.next() { export.receive(frame, &queue) }
            taken += 1
        }
        if taken > 0 || export.engine.isReady || export.engine.isStalled { export.submit() }
        port.giveBack()
        export.engine.reap()
        export.answer(&queue)
        transmit()
        return port.hasFrame && export.hasRoom(queue) || export.engine.isReady
    }

    /// Sends what is queued. What cannot be sent is given up: initiators ask again.
    private mutating func transmit() {
        if queue.count == 0 { return }
        var position = 0
        var deadline: Int64 = 0
        while position < queue.count {
            let count = xenlvs_sendmmsg(
                port.descriptor, queue.messages + position, UInt32(queue.count - position), Int32(MSG_DONTWAIT))
            if count > 0 {
                position += Int(count)
                continue
            }
            switch errno {
            case EINTR: continue
            case EFAULT: export.repair(position, queue)
            case EAGAIN, ENOBUFS:
                if deadline == 0 { deadline = Clock.milliseconds() + Self.sendLimitMilliseconds }
                var request = pollfd(fd: port.descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&request, 1, 1)
                if Clock.milliseconds() > deadline { position = queue.count }
            default: position += 1
            }
        }
        export.sent(&queue)
    }

    private mutating func advertise() {
        if queue.room == 0 { return }
        queue.add(length: export.machine.advertise(into: queue.next))
        transmit()
    }

    /// Looks at the interface again after any interface has changed: another MTU or address, gone, or back.
    private mutating func interfaceChanged() {
        links.drain()
        let former = interface
        guard let current = try? NetworkInterface(named: former.name) else {
            if isBound { report("the interface \(former.name) has gone; waiting for it to come back") }
            isBound = false
            return
        }
        guard current != former || !isBound else { return }
        do {
            if current.index != former.index || !isBound { try port.bind(to: current) }
        } catch {
            report(error.description)
            return
        }
        isBound = true
        interface = current
        export.machine.ownAddress = current.address
        export.machine.maximumSectors = TargetMachine.maximumSectors(mtu: current.mtu)
        if current.isUp { advertise() }
    }

    private mutating func drain() throws(Failure) {
        let deadline = Clock.milliseconds() + Self.drainLimitMilliseconds
        while !export.engine.isIdle {
            export.engine.reap()
            export.submit()
            export.answer(&queue)
            transmit()
            if export.engine.isIdle { break }
            guard Clock.milliseconds() < deadline else {
                throw Failure(
                    .outcomeUnknown, "cannot end the target \(export.machine.address)",
                    why: "requests to \(export.engine.backing.path) did not end within 30 seconds",
                    remedy: "look at the device and at the kernel log")
            }
            _ = events.wait(milliseconds: 1)
        }
    }
}
