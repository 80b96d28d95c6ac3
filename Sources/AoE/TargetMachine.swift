import Synchronization

/// What has to be done about a frame.
enum Verdict: Equatable {
    /// Nothing, and no answer.
    case ignore
    /// The reply is made; send its first `length` bytes.
    case reply(length: Int)
    /// The frame changes what clients set: store `TargetMachine.proposed`, then `accept` or `refuse`. The reply for the
    /// good case is made.
    case save(length: Int)
    case read(sector: Int64, count: Int)
    case verify(sector: Int64, count: Int)
    /// The sectors are in the frame, behind the registers.
    case write(sector: Int64, count: Int)
    case flush
    /// The ranges are in the frame, behind the registers.
    case trim
}

/// The protocol of one target, without any effect: a frame in, a verdict and perhaps a reply out.
///
/// Every frame is hostile until it has passed here; what the verdict says can be carried out without another check.
struct TargetMachine: ~Copyable {
    /// Never used. As in `BlockEngine`, it keeps the compiler from copying all of this for each frame.
    private let keepsItsPlace = Atomic<Bool>(false)
    let address: AoEAddress
    /// Whether no list shuts anybody out. The lists are long, and most are empty: this one lies where a frame looks anyway.
    private var isOpen: Bool
    /// The own address of the interface that the next frame comes from.
    var ownAddress: MACAddress
    /// The most sectors in one frame, by that interface's MTU.
    var maximumSectors: Int
    private(set) var facts: DeviceFacts
    /// Requests that can wait here, as told to initiators.
    let queueDepth: Int
    let identifyData: UnsafeMutableRawBufferPointer
    /// The operator's list of who is served; everybody where it is empty.
    let allowed: MACList
    private(set) var state: ClientState
    var proposed = ClientState()

    init(
        address: AoEAddress, facts: DeviceFacts, queueDepth: Int, allowed: [MACAddress], state: ClientState,
        ownAddress: MACAddress, maximumSectors: Int
    ) {
        self.address = address
        self.facts = facts
        self.queueDepth = queueDepth
        var list = MACList()
        for address in allowed { _ = list.add(address) }
        self.allowed = list
        self.state = state
        isOpen = Self.isOpen(list, state)
        self.ownAddress = ownAddress
        self.maximumSectors = maximumSectors
        // Made once: a reply only copies it, without an array's reference count.
        identifyData = .allocate(byteCount: Wire.sectorSize, alignment: 8)
        identifyData.copyBytes(from: IdentifyData.bytes(facts))
    }

    deinit { identifyData.deallocate() }

    /// The sectors that fit into a frame: a multiple of 8 (4 KiB) where it holds that many, so that the requests of a
    /// large transfer keep to the blocks of disks; at most 16.
    static func maximumSectors(mtu: Int) -> Int {
        let room = min(16, (mtu - Wire.ataLength) / Wire.sectorSize)
        return max(0, room >= 8 ? room / 8 * 8 : room)
    }

    /// Judges a frame.
    /// - Parameter reply: memory of `Wire.replyLimit` bytes for the reply; for a verdict that asks for I/O its first
    ///   `Wire.minimumLength` bytes become the reply's header, to be finished with the result.
    mutating func judge(_ frame: FrameView, reply base: UnsafeMutableRawPointer) -> Verdict {
        guard frame.length >= Wire.headerLength, frame.half(Wire.Offset.type) == Wire.etherType,
            frame.byte(Wire.Offset.versionAndFlags) & Wire.Flag.response == 0,
            address.answers(shelf: frame.half(Wire.Offset.shelf), slot: frame.byte(Wire.Offset.slot)),
            admits(frame.source)
        else { return .ignore }
        let reply = FrameWriter(base: base)
        reply.begin(answering: frame, from: ownAddress, as: address)
        guard frame.byte(Wire.Offset.versionAndFlags) >> 4 == Wire.version else {
            return .reply(length: reply.fail(.badVersion))
        }
        guard let command = AoECommandCode(rawValue: frame.byte(Wire.Offset.command)) else {
            return .reply(length: reply.fail(.badCommand))
        }
        switch command {
        case .ata: return frame.length < Wire.ataLength ? .ignore : ata(frame, reply)
        case .configuration: return frame.length < Wire.configurationLength ? .ignore : configuration(frame, reply)
        case .mask: return frame.length < Wire.maskLength ? .ignore : mask(frame, reply)
        case .reserve: return frame.length < Wire.reserveLength ? .ignore : reserve(frame, reply)
        }
    }

    /// A group address as a sender is forged, and an answer to it would go to everybody.
    private func admits(_ source: MACAddress) -> Bool {
        !source.isGroup && (isOpen || isListed(source))
    }

    /// Apart, because to look at a list the compiler copies it.
    @inline(never)
    private func isListed(_ source: MACAddress) -> Bool {
        (allowed.isEmpty || allowed.contains(source)) && (state.masks.isEmpty || state.masks.contains(source))
    }

    func holdsOrFree(_ source: MACAddress) -> Bool { isOpen || hasReserved(source) }

    @inline(never)
    private func hasReserved(_ source: MACAddress) -> Bool {
        state.reservation.isEmpty || state.reservation.contains(source)
    }

    /// The device has another size from now on, in sectors.
    mutating func resize(to sectors: Int64) {
        facts.sectors = sectors
        identifyData.copyBytes(from: IdentifyData.bytes(facts))
    }

    /// What was proposed is stored and holds from now on.
    mutating func accept() {
        state = proposed
        isOpen = Self.isOpen(allowed, state)
    }

    private static func isOpen(_ allowed: MACList, _ state: ClientState) -> Bool {
        allowed.isEmpty && state.masks.isEmpty && state.reservation.isEmpty
    }

    /// What was proposed could not be stored: turns the reply into an error.
    /// - Returns: its length.
    func refuse(_ base: UnsafeMutableRawPointer) -> Int { FrameWriter(base: base).fail(.unavailable) }

    /// An unsolicited configuration reply, by which initiators learn of the target or of a change.
    /// - Returns: its length.
    func advertise(into base: UnsafeMutableRawPointer) -> Int {
        let frame = FrameWriter(base: base)
        frame.begin(
            to: .broadcast, from: ownAddress, shelf: address.shelf, slot: address.slot,
            command: AoECommandCode.configuration.rawValue, flags: Wire.Flag.response)
        return putConfiguration(state.configuration, ConfigurationCommand.read.rawValue, frame)
    }
}
