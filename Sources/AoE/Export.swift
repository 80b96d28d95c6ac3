import BlockServer
import CLinux
import Glibc
import HostModel

/// What one target is to be.
public struct AoETargetConfiguration: Sendable {
    public var address: AoEAddress
    public var durability: Durability
    /// Who is served; everybody where it is empty.
    public var allowed: [MACAddress]
    /// Requests that are worked on at the same time, 2 to 1024.
    public var queueDepth: Int
    /// The directory for what clients set.
    public var stateDirectory: String
    /// The version, as the device's firmware.
    public var version: String

    /// Throws `.usage` where more are to be allowed than a target's list holds.
    public static func check(allowed: [MACAddress], doing what: String) throws(Failure) {
        guard allowed.count <= MACList.capacity else {
            throw Failure(
                .usage, what, why: "\(allowed.count) MAC addresses are allowed",
                remedy: "give at most \(MACList.capacity)")
        }
    }

    public init(
        address: AoEAddress, durability: Durability, allowed: [MACAddress], queueDepth: Int, stateDirectory: String,
        version: String
    ) {
        self.address = address
        self.durability = durability
        self.allowed = allowed
        self.queueDepth = queueDepth
        self.stateDirectory = stateDirectory
        self.version = version
    }
}

/// One target at work: frames in, requests to its engine, replies into a transmit queue.
///
/// It knows no socket: what sends the queue gives its slots back by `release`.
///
/// What each request needs comes first and what is long last: of a thousand exports, only few lines of each are to pass
/// through the processor's cache.
public struct Export: ~Copyable {
    /// The ports that it is served on, a bit for each.
    var ports: UInt64 = 0
    /// Those that it was withdrawn from while it had something under way, which is answered there.
    var formerPorts: UInt64 = 0
    /// Its number in the server.
    var number = 0 { didSet { engine.number = number } }
    /// Whether the server has it among those with requests under way.
    var isActive = false
    /// It takes no more frames, and goes when it has nothing under way.
    var isLeaving = false
    /// A client has set the configuration string, which is announced to the others.
    var hasNews = false
    var counters = ExportCounters()
    /// When a client last read or wrote, in nanoseconds of `Clock`; 0 for never.
    private var lastUse: Int64 = 0
    private var lastClient = MACAddress(value: 0)
    private var history: WriteHistory
    var engine: BlockEngine
    var machine: TargetMachine
    private var reads = LatencyHistogram()
    private var writes = LatencyHistogram()
    private let store: StateFile
    /// Told of what an operator should know.
    private let report: @Sendable (String) -> Void

    /// Makes a target of a backing, with what clients have set on it before.
    /// - Parameters:
    ///   - serial: what tells this backing from others, at most 20 characters.
    ///   - pool: the server's.
    ///   - report: told of what an operator should know while the target runs.
    /// Throws `.inconsistent` where the state of before cannot be read, `.usage` where too many addresses are allowed.
    public init(
        _ configuration: AoETargetConfiguration, backing: consuming Backing, serial: String, pool: BlockPool.Handle,
        report: @escaping @Sendable (String) -> Void
    ) throws(Failure) {
        try AoETargetConfiguration.check(
            allowed: configuration.allowed, doing: "cannot serve \(configuration.address)")
        let store = try StateFile(directory: configuration.stateDirectory, address: configuration.address)
        let state = try store.load()
        let facts = DeviceFacts(
            sectors: backing.size.sectors, serial: serial, firmware: configuration.version, model: "xenlvs",
            isReadOnly: backing.isReadOnly, physicalBlockSize: backing.physicalBlockSize, trims: backing.trims,
            hasWriteCache: configuration.durability == .writeback)
        let machine = TargetMachine(
            address: configuration.address, facts: facts, queueDepth: configuration.queueDepth,
            allowed: configuration.allowed, state: state, ownAddress: MACAddress(value: 0), maximumSectors: 0)
        let engine = BlockEngine(
            backing: backing, depth: configuration.queueDepth, durability: configuration.durability, sharing: pool)
        self.init(machine: machine, engine: engine, store: store, report: report)
    }

    init(
        machine: consuming TargetMachine, engine: consuming BlockEngine, store: StateFile,
        report: @escaping @Sendable (String) -> Void
    ) {
        history = WriteHistory(target: Generation.next())
        self.machine = machine
        self.engine = engine
        self.store = store
        self.report = report
    }

    /// Whether another frame can be taken whatever it asks for.
    var hasRoom: Bool { engine.hasFreeSlot }

    @inline(__always) func isServed(on port: Int) -> Bool { ports >> UInt64(port) & 1 == 1 && !isLeaving }

    /// Takes no more frames on a port.
    mutating func withdraw(from port: Int) {
        let bit = UInt64(1) << UInt64(port)
        if !engine.isIdle { formerPorts |= ports & bit }
        ports &= ~bit
    }

    /// Takes a frame; only where there is room here and in the queue. Its bytes must stay until `submit` has returned.
    mutating func receive(
        _ frame: FrameView, port: Int, at now: Int64, _ queue: inout TransmitQueue, _ commons: inout TargetCommons
    ) {
        counters.frames &+= 1
        let header = queue.next
        switch machine.judge(frame, reply: header) {
        case .ignore: break
        case .reply(let length): queue.add(length: length)
        case .save(let length): queue.add(length: save(at: now, &commons) ? length : machine.refuse(header))
        case .read(let sector, let count):
            use(frame, now)
            counters.reads &+= 1
            counters.sectorsRead &+= UInt64(count)
            let slot = begin(.read, count * Wire.sectorSize, header, port, now, commons.replies)
            engine.read(slot, offset: sector * 512, length: count * Wire.sectorSize)
        case .verify(let sector, let count):
            use(frame, now)
            let slot = begin(.verify, 0, header, port, now, commons.replies)
            engine.read(slot, offset: sector * 512, length: count * Wire.sectorSize, keepsBytes: false)
        case .write(let sector, let count):
            use(frame, now)
            write(sector, count, frame, port, now, &queue, &commons)
        case .flush:
            use(frame, now)
            counters.flushes &+= 1
            engine.flush(begin(.flush, 0, header, port, now, commons.replies))
        case .trim:
            use(frame, now)
            trim(frame, port, now, &queue, &commons)
        }
    }

    /// The port that the first answer goes to; nil where nothing has ended.
    func nextAnswerPort(_ commons: borrowing TargetCommons) -> Int? {
        guard let slot = engine.firstCompletion else { return nil }
        return Int(commons.replies.request(slot).pointee.port)
    }

    /// Queues the answer to the first request that has ended; only where there is one, and room in the queue.
    mutating func answer(at now: Int64, _ queue: inout TransmitQueue, _ commons: inout TargetCommons) {
        guard let slot = end(at: now, &commons) else { return }
        let result = engine.result(of: slot)
        let request = commons.replies.request(slot).pointee
        let header = commons.replies.header(slot)
        let owner = TransmitQueue.Owner(target: number, slot: slot)
        ATARegisters.set(Self.ataResult(request.kind, result), in: FrameWriter(base: header))
        if request.kind == .read, result == 0 {
            queue.add(
                header: header, headerLength: Wire.ataLength, data: engine.bytes(of: slot),
                dataLength: Int(request.length), owner: owner)
        } else {
            queue.add(header: header, headerLength: Wire.minimumLength, data: nil, dataLength: 0, owner: owner)
        }
    }

    /// Gives the first answer up; only where there is one.
    mutating func dropAnswer(at now: Int64, _ commons: inout TargetCommons) {
        guard let slot = end(at: now, &commons) else { return }
        counters.dropped &+= 1
        engine.release(slot)
    }

    /// Takes the first request that has ended, and counts it.
    private mutating func end(at now: Int64, _ commons: inout TargetCommons) -> Int? {
        guard let slot = engine.nextCompletion() else { return nil }
        let succeeded = engine.result(of: slot) == 0
        if !succeeded { counters.errors &+= 1 }
        let request = commons.replies.request(slot).pointee
        switch request.kind {
        case .read: reads.count(nanoseconds: now - request.begun)
        case .write:
            writes.count(nanoseconds: now - request.begun)
            commons.window.end(request.number, succeeded: succeeded)
        case .trim: commons.window.end(request.number, succeeded: succeeded)
        case .verify, .flush: break
        }
        return slot
    }

    /// The bytes of a queued read could not be taken from where they are: reads them again, or makes the reply an error.
    mutating func repair(
        _ slot: Int, _ position: Int, _ queue: borrowing TransmitQueue, _ commons: borrowing TargetCommons
    ) {
        let result = engine.readAgain(slot)
        if result == 0 {
            queue.replaceData(position, by: engine.bytes(of: slot))
        } else {
            ATARegisters.set(Self.ataResult(.read, result), in: FrameWriter(base: commons.replies.header(slot)))
            queue.dropData(position, headerLength: Wire.minimumLength)
        }
    }

    /// Queues the announcement of the target; only where the queue has room.
    func advertise(_ queue: inout TransmitQueue) { queue.add(length: machine.advertise(into: queue.next)) }

    /// Takes the backing's present size where it has grown. Returns whether it has.
    mutating func grow() throws(Failure) -> Bool {
        guard try engine.grow() else { return false }
        machine.resize(to: engine.backing.size.sectors)
        return true
    }

    func statistics(at now: Int64) -> ExportStatistics {
        ExportStatistics(
            counters: counters, readLatency: reads.snapshot, writeLatency: writes.snapshot,
            idleMilliseconds: lastUse == 0 ? nil : (now - lastUse) / 1_000_000,
            lastClient: lastUse == 0 ? nil : lastClient.description,
            requestsUnderWay: engine.usedSlots)
    }

    @inline(__always) private mutating func use(_ frame: FrameView, _ now: Int64) {
        lastUse = now
        lastClient = frame.source
    }

    /// Takes a slot for a request whose reply's header was made at `header`.
    private mutating func begin(
        _ kind: ReplyTable.Request.Kind, _ length: Int, _ header: UnsafeMutableRawPointer, _ port: Int, _ now: Int64,
        _ replies: borrowing ReplyTable, number: UInt64 = 0
    ) -> Int {
        let slot = engine.take().unsafelyUnwrapped
        replies.header(slot).copyMemory(from: header, byteCount: Wire.minimumLength)
        replies.request(slot).initialize(
            to: ReplyTable.Request(
                kind: kind, port: UInt8(truncatingIfNeeded: port), length: Int32(truncatingIfNeeded: length),
                number: number, begun: now))
        return slot
    }

    private mutating func write(
        _ sector: Int64, _ count: Int, _ frame: FrameView, _ port: Int, _ now: Int64, _ queue: inout TransmitQueue,
        _ commons: inout TargetCommons
    ) {
        let bytes = frame.base + Wire.ataLength
        let judgement = commons.window.judge(
            &history, tag: frame.tag, sector: sector, count: count, bytes: bytes, at: now)
        guard let number = admit(judgement, &queue) else { return }
        counters.writes &+= 1
        counters.sectorsWritten &+= UInt64(count)
        let slot = begin(.write, 0, queue.next, port, now, commons.replies, number: number)
        engine.write(slot, offset: sector * 512, length: count * Wire.sectorSize, from: bytes)
    }

    /// The number of what is to be carried out; nil for a copy, of which all is done then.
    private mutating func admit(_ judgement: ReplayWindow.Judgement, _ queue: inout TransmitQueue) -> UInt64? {
        switch judgement {
        case .execute(let number): return number
        case .drop: break
        case .acknowledge:
            ATARegisters.set(.ready, in: FrameWriter(base: queue.next))
            queue.add(length: Wire.minimumLength)
        }
        counters.copies &+= 1
        return nil
    }

    /// Rare, and kept out of the path of a request.
    @inline(never)
    private mutating func save(at now: Int64, _ commons: inout TargetCommons) -> Bool {
        guard commons.saves.take(at: now) else {
            counters.dropped &+= 1
            return false
        }
        do { try store.save(machine.proposed) } catch {
            report(error.description)
            return false
        }
        if !machine.proposed.configuration.isEqual(to: machine.state.configuration) { hasNews = true }
        machine.accept()
        return true
    }

    private mutating func trim(
        _ frame: FrameView, _ port: Int, _ now: Int64, _ queue: inout TransmitQueue, _ commons: inout TargetCommons
    ) {
        var (first, end) = (Int64.max, Int64(0))
        for position in 0..<TrimRange.limit {
            let range = TrimRange(frame, position)
            if range.count > 0 { (first, end) = (min(first, range.sector), max(end, range.sector + range.count)) }
        }
        // One for all its ranges, which may be 64: otherwise a few trims would have all writes forgotten.
        let judgement = commons.window.judgeTrim(
            &history, tag: frame.tag, from: min(first, end), to: end, ranges: frame.base + Wire.ataLength, at: now)
        guard let number = admit(judgement, &queue) else { return }
        counters.trims &+= 1
        let slot = begin(.trim, 0, queue.next, port, now, commons.replies, number: number)
        engine.trim(slot)
        for position in 0..<TrimRange.limit {
            let range = TrimRange(frame, position)
            if range.count > 0 { engine.addTrim(slot, offset: range.sector * 512, length: range.count * 512) }
        }
    }

    /// What an engine's result is in ATA's words.
    private static func ataResult(_ kind: ReplyTable.Request.Kind, _ result: Int32) -> ATAResult {
        if result == 0 { return .ready }
        switch kind {
        // A device that has become shorter is not one with a bad sector.
        case .read, .verify: return result == BlockEngine.shortTransfer ? .aborted : .unreadable
        case .write, .flush, .trim: return .aborted
        }
    }
}
