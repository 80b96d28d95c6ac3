import BlockServer
import CLinux
import Glibc
import HostModel

/// One target at work: frames in, requests to its engine, replies into a transmit queue.
///
/// It knows no socket: what sends the queue gives it back by `sent`.
struct Export: ~Copyable {
    var machine: TargetMachine
    var engine: BlockEngine
    private var window = ReplayWindow()
    private let store: StateFile
    /// For each slot of the engine the header of its reply, which must stay where it is until it is sent.
    private let headers: UnsafeMutableRawPointer
    private let requests: UnsafeMutablePointer<Request>
    /// Told of what an operator should know.
    private let report: @Sendable (String) -> Void

    private struct Request {
        enum Kind: UInt8 { case read, verify, write, flush, trim }
        var kind: Kind
        var length: Int
        /// Of a write, its number in the replay window.
        var number: UInt64
    }

    private static let headerStride = 64

    init(
        machine: consuming TargetMachine, engine: consuming BlockEngine, store: StateFile,
        report: @escaping @Sendable (String) -> Void
    ) {
        headers = .allocate(byteCount: engine.depth * Self.headerStride, alignment: 64)
        requests = .allocate(capacity: engine.depth)
        self.machine = machine
        self.engine = engine
        self.store = store
        self.report = report
    }

    deinit {
        headers.deallocate()
        requests.deallocate()
    }

    /// Whether another frame can be taken whatever it asks for.
    func hasRoom(_ queue: borrowing TransmitQueue) -> Bool {
        // Every slot may yet have to be answered.
        engine.freeSlots > 0 && queue.room > engine.depth
    }

    /// Takes a frame; only after `hasRoom`. Its bytes must stay until `submit` has returned.
    mutating func receive(_ frame: FrameView, _ queue: inout TransmitQueue) {
        switch machine.judge(frame, reply: queue.next) {
        case .ignore: break
        case .reply(let length): queue.add(length: length)
        case .save(let length): queue.add(length: save() ? length : machine.refuse(queue.next))
        case .read(let sector, let count):
            let slot = begin(.read, count * Wire.sectorSize, queue.next)
            engine.read(slot, offset: sector * 512, length: count * Wire.sectorSize)
        case .verify(let sector, let count):
            let slot = begin(.verify, 0, queue.next)
            engine.read(slot, offset: sector * 512, length: count * Wire.sectorSize, keepsBytes: false)
        case .write(let sector, let count): write(sector, count, frame, &queue)
        case .flush: engine.flush(begin(.flush, 0, queue.next))
        case .trim: trim(frame, queue.next)
        }
    }

    /// Starts what was received.
    mutating func submit() { engine.submit() }

    /// Queues the answers to what has ended.
    mutating func answer(_ queue: inout TransmitQueue) {
        while queue.room > 0, let slot = engine.nextCompletion() {
            let result = engine.result(of: slot)
            let request = requests[slot]
            if request.kind == .write { window.end(request.number, succeeded: result == 0) }
            let header = headers + slot * Self.headerStride
            ATARegisters.set(Self.ataResult(request.kind, result), in: FrameWriter(base: header))
            if request.kind == .read, result == 0 {
                queue.add(
                    header: header, headerLength: Wire.ataLength, data: engine.bytes(of: slot),
                    dataLength: request.length, owner: slot)
            } else {
                queue.add(header: header, headerLength: Wire.minimumLength, data: nil, dataLength: 0, owner: slot)
            }
        }
    }

    /// The bytes of a queued read could not be taken from where they are: reads them again, or makes the reply an error.
    mutating func repair(_ position: Int, _ queue: borrowing TransmitQueue) {
        guard let slot = queue.owner(position) else { return }
        let result = engine.readAgain(slot)
        if result == 0 {
            queue.frame(position)[1].iov_base = engine.bytes(of: slot)
        } else {
            ATARegisters.set(
                Self.ataResult(.read, result), in: FrameWriter(base: headers + slot * Self.headerStride))
            queue.dropData(position, headerLength: Wire.minimumLength)
        }
    }

    /// Empties the queue, whose frames are sent or given up, and frees their slots.
    mutating func sent(_ queue: inout TransmitQueue) {
        for position in 0..<queue.count {
            if let slot = queue.owner(position) { engine.release(slot) }
        }
        queue.removeAll()
    }

    /// Takes a slot for a request whose reply's header was made at `header`.
    private mutating func begin(
        _ kind: Request.Kind, _ length: Int, _ header: UnsafeMutableRawPointer, number: UInt64 = 0
    ) -> Int {
        let slot = engine.take().unsafelyUnwrapped
        (headers + slot * Self.headerStride).copyMemory(from: header, byteCount: Wire.minimumLength)
        requests[slot] = Request(kind: kind, length: length, number: number)
        return slot
    }

    private mutating func write(_ sector: Int64, _ count: Int, _ frame: FrameView, _ queue: inout TransmitQueue) {
        let bytes = frame.base + Wire.ataLength
        switch window.judge(source: frame.source, tag: frame.tag, sector: sector, count: count, bytes: bytes) {
        case .drop: break
        case .acknowledge:
            ATARegisters.set(.ready, in: FrameWriter(base: queue.next))
            queue.add(length: Wire.minimumLength)
        case .execute(let number):
            let slot = begin(.write, 0, queue.next, number: number)
            engine.write(slot, offset: sector * 512, length: count * Wire.sectorSize, from: bytes)
        }
    }

    /// Rare, and kept out of the path of a request.
    @inline(never)
    private mutating func save() -> Bool {
        do { try store.save(machine.proposed) } catch {
            report(error.description)
            return false
        }
        machine.accept()
        return true
    }

    private mutating func trim(_ frame: FrameView, _ header: UnsafeMutableRawPointer) {
        let slot = begin(.trim, 0, header)
        engine.trim(slot)
        for position in 0..<TrimRange.limit {
            let range = TrimRange(frame, position)
            if range.count > 0 { engine.addTrim(slot, offset: range.sector * 512, length: range.count * 512) }
        }
    }

    /// What an engine's result is in ATA's words.
    private static func ataResult(_ kind: Request.Kind, _ result: Int32) -> ATAResult {
        if result == 0 { return .ready }
        switch kind {
        // A device that has become shorter is not one with a bad sector.
        case .read, .verify: return result == BlockEngine.shortTransfer ? .aborted : .unreadable
        case .write, .flush, .trim: return .aborted
        }
    }
}
