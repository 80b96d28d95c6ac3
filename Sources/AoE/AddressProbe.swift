import HostModel

/// Finds out whether other targets on an interface answer for addresses.
public struct AddressProbe: Sendable {
    private let addresses: [AoEAddress]
    private let interface: NetworkInterface

    private static let questions = 2
    private static let patienceMilliseconds: Int64 = 100

    /// Throws `.notFound` where there is no such interface, `.refused` where it is not Ethernet or has no room for a
    /// sector.
    public init(_ addresses: [AoEAddress], on name: String) throws(Failure) {
        interface = try NetworkInterface(named: name)
        guard TargetMachine.maximumSectors(mtu: interface.mtu) > 0 else {
            throw Failure(
                .refused, "cannot serve on the interface \(name)",
                why: "its MTU of \(interface.mtu) has no room for a sector", remedy: "set an MTU of at least 1500")
        }
        self.addresses = addresses
    }

    /// Asks on the wire for all the addresses at once, and returns why they cannot be had. An interface that is down has
    /// nobody to ask.
    public func conflicts() throws(Failure) -> [AoEAddress: Failure] {
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
                { answer in if let (address, holder) = holder(answer, tag) { holders[address] = holder } })
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
