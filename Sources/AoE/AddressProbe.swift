import HostModel

/// Finds out whether other targets on an interface answer for addresses.
public struct AddressProbe: Sendable {
    private let addresses: [AoEAddress]
    private let interface: NetworkInterface
    /// From where an address's own target answers.
    private let own: [AoEAddress: Set<MACAddress>]

    private static let questions = 2
    private static let patienceMilliseconds: Int64 = 100

    /// - Parameter others: the other interfaces on which whoever asks serves an address itself: they may lead to the same
    ///   network.
    /// Throws `.notFound` where there is no such interface, `.refused` where it is not Ethernet or has no room for a
    /// sector.
    public init(
        _ addresses: [AoEAddress], on name: String, besides others: [AoEAddress: [String]] = [:]
    ) throws(Failure) {
        interface = try NetworkInterface(named: name)
        guard TargetMachine.maximumSectors(mtu: interface.mtu) > 0 else {
            throw Failure(
                .refused, "cannot serve on the interface \(name)",
                why: "its MTU of \(interface.mtu) has no room for a sector", remedy: "set an MTU of at least 1500")
        }
        var hardware: [String: MACAddress] = [:]
        for name in Set(others.values.joined()) { hardware[name] = (try? NetworkInterface(named: name))?.address }
        own = others.mapValues { names in Set(names.compactMap { hardware[$0] }) }
        self.addresses = addresses
    }

    /// Whether anybody can be asked.
    public var isUp: Bool { interface.isUp }

    /// Asks on the wire for all the addresses at once, and returns why they cannot be had. An interface that is down has
    /// nobody to ask: whoever serves there stays silent and asks when it has come up (`ServerOrders.silentPorts`).
    public func conflicts() throws(Failure) -> [AoEAddress: Failure] {
        // Looked at anew: it may have come up while what is to be served was opened.
        let interface = try NetworkInterface(named: self.interface.name)
        guard interface.isUp, !addresses.isEmpty else { return [:] }
        let port = try PacketSocket(interface)
        let tag = UInt32.random(in: .min ... .max)
        var holders: [AoEAddress: MACAddress] = [:]
        for _ in 0..<Self.questions {
            for address in addresses where holders[address] == nil {
                _ = port.send(DiscoveryFrame.query(address, from: interface.address, tag))
            }
            port.receive(
                forMilliseconds: Self.patienceMilliseconds, while: { holders.count < addresses.count },
                { answer in
                    guard let found = holder(answer, tag), own[found.0]?.contains(found.1) != true else { return }
                    holders[found.0] = found.1
                })
        }
        var conflicts: [AoEAddress: Failure] = [:]
        for (address, holder) in holders { conflicts[address] = busy(address, holder) }
        return conflicts
    }

    /// Throws `.busy` where another target has one of the addresses.
    public func requireFree() throws(Failure) {
        if let conflict = try conflicts().values.first { throw conflict }
    }

    private func busy(_ address: AoEAddress, _ holder: MACAddress) -> Failure {
        Failure(
            .busy, "cannot serve \(address) on \(interface.name)", why: "the target at \(holder) answers for it there",
            remedy: "give another --shelf or --slot, or end that target first")
    }

    /// Who answers a question, and for which address; nil where the frame is no answer to one.
    private func holder(_ bytes: [UInt8], _ tag: UInt32) -> (AoEAddress, MACAddress)? {
        bytes.withUnsafeBytes { buffer in
            guard buffer.count >= Wire.headerLength, let base = buffer.baseAddress else { return nil }
            let frame = FrameView(base, length: buffer.count)
            let isAnswer =
                frame.half(Wire.Offset.type) == Wire.etherType
                && frame.byte(Wire.Offset.versionAndFlags) & Wire.Flag.response != 0
                && frame.tag == tag
            let (shelf, slot) = (Int(frame.half(Wire.Offset.shelf)), Int(frame.byte(Wire.Offset.slot)))
            guard isAnswer, let address = try? AoEAddress(shelf: shelf, slot: slot), addresses.contains(address) else {
                return nil
            }
            return (address, frame.source)
        }
    }
}
