/// What a configuration frame asks for.
enum ConfigurationCommand: UInt8 {
    case read = 0
    /// Answer only where the string is the one given.
    case test = 1
    /// Answer only where the string begins with the one given.
    case testPrefix = 2
    /// Set it where there is none.
    case set = 3
    case forceSet = 4
}

private enum MaskCommand: UInt8 {
    case read = 0
    case edit = 1
}

private enum MaskDirective: UInt8 {
    case nothing = 0
    case add = 1
    case delete = 2
}

private enum MaskError: UInt8 {
    case badDirective = 2
    case full = 3
}

private enum ReserveCommand: UInt8 {
    case read = 0
    case set = 1
    case forceSet = 2
}

/// The commands by which clients read and change what they may set.
extension TargetMachine {
    /// Config: `bufcnt16 firmware16 sectors8 version4|command4 length16 string`.
    mutating func configuration(_ frame: FrameView, _ reply: FrameWriter) -> Verdict {
        guard let command = ConfigurationCommand(rawValue: frame.byte(29) & 0x0f) else {
            return .reply(length: reply.fail(.badArgument))
        }
        // A reader gives no string; some announce one all the same.
        let length = command == .read ? 0 : Int(frame.half(30))
        guard length <= Wire.configurationLimit, length <= frame.length - Wire.configurationLength else {
            return .reply(length: reply.fail(.badArgument))
        }
        let given = UnsafeRawBufferPointer(start: frame.base + Wire.configurationLength, count: length)
        let isSame = state.configuration.count == length && state.configuration.hasPrefix(given)
        switch command {
        case .read: break
        case .test: if !isSame { return .ignore }
        case .testPrefix: if !state.configuration.hasPrefix(given) { return .ignore }
        case .set:
            // The one that is there, again, is a retransmission.
            if state.configuration.count > 0, !isSame { return .reply(length: reply.fail(.configurationPresent)) }
        case .forceSet: break
        }
        guard command == .set || command == .forceSet, !isSame else {
            return .reply(length: putConfiguration(state.configuration, command.rawValue, reply))
        }
        proposed = state
        proposed.configuration = ConfigurationString(given)
        return .save(length: putConfiguration(proposed.configuration, command.rawValue, reply))
    }

    func putConfiguration(_ string: ConfigurationString, _ command: UInt8, _ reply: FrameWriter) -> Int {
        reply.put(UInt16(queueDepth), at: 24)
        reply.put(UInt16(1), at: 26)
        reply.put(UInt8(maximumSectors), at: 28)
        reply.put(Wire.version << 4 | command, at: 29)
        reply.put(UInt16(string.count), at: 30)
        string.copy(to: reply.base + Wire.configurationLength)
        return max(Wire.minimumLength, Wire.configurationLength + string.count)
    }

    /// MAC mask list: `0 command error count { 0 directive address6 }*`. Of an edit all directives hold or none.
    mutating func mask(_ frame: FrameView, _ reply: FrameWriter) -> Verdict {
        let count = Int(frame.byte(27))
        guard let command = MaskCommand(rawValue: frame.byte(25)) else {
            return .reply(length: reply.fail(.badArgument))
        }
        switch command {
        case .read: return .reply(length: putMasks(state.masks, reply, command))
        case .edit: break
        }
        guard count * 8 <= frame.length - Wire.maskLength else { return .reply(length: reply.fail(.badArgument)) }
        proposed = state
        for position in 0..<count {
            let offset = Wire.maskLength + position * 8
            let address = frame.address(offset + 2)
            switch MaskDirective(rawValue: frame.byte(offset + 1)) {
            case .nothing: break
            case .add:
                guard proposed.masks.add(address, limit: Wire.maskLimit) else {
                    return failMask(.full, position, reply)
                }
            case .delete: proposed.masks.remove(address)
            case nil: return failMask(.badDirective, position, reply)
            }
        }
        return .save(length: putMasks(proposed.masks, reply, command))
    }

    private func failMask(_ error: MaskError, _ done: Int, _ reply: FrameWriter) -> Verdict {
        reply.put(MaskCommand.edit.rawValue, at: 25)
        reply.put(error.rawValue, at: 26)
        reply.put(UInt8(done), at: 27)
        return .reply(length: Wire.minimumLength)
    }

    private func putMasks(_ masks: MACList, _ reply: FrameWriter, _ command: MaskCommand) -> Int {
        reply.put(command.rawValue, at: 25)
        reply.put(UInt8(masks.count), at: 27)
        for position in 0..<masks.count {
            let offset = Wire.maskLength + position * 8
            reply.put(UInt16(0), at: offset)
            reply.put(masks[position], at: offset + 2)
        }
        return max(Wire.minimumLength, Wire.maskLength + masks.count * 8)
    }

    /// Reserve and release: `command count address6*`; to set an empty list is to release.
    mutating func reserve(_ frame: FrameView, _ reply: FrameWriter) -> Verdict {
        guard let command = ReserveCommand(rawValue: frame.byte(24)) else {
            return .reply(length: reply.fail(.badArgument))
        }
        let count = Int(frame.byte(25))
        switch command {
        case .read: return .reply(length: putReservation(state.reservation, reply, command))
        case .set: if !holdsOrFree(frame.source) { return .reply(length: reply.fail(.reserved)) }
        case .forceSet: break
        }
        guard count <= MACList.capacity, count * 6 <= frame.length - Wire.reserveLength else {
            return .reply(length: reply.fail(.badArgument))
        }
        proposed = state
        proposed.reservation = MACList()
        for position in 0..<count { _ = proposed.reservation.add(frame.address(Wire.reserveLength + position * 6)) }
        return .save(length: putReservation(proposed.reservation, reply, command))
    }

    private func putReservation(_ holders: MACList, _ reply: FrameWriter, _ command: ReserveCommand) -> Int {
        reply.put(command.rawValue, at: 24)
        reply.put(UInt8(holders.count), at: 25)
        for position in 0..<holders.count { reply.put(holders[position], at: Wire.reserveLength + position * 6) }
        return max(Wire.minimumLength, Wire.reserveLength + holders.count * 6)
    }
}
