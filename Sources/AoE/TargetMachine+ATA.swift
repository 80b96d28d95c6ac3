extension TargetMachine {
    /// Judges an ATA command.
    func ata(_ frame: FrameView, _ reply: FrameWriter) -> Verdict {
        ATARegisters.echo(frame, into: reply)
        let command = ATACommand(rawValue: frame.byte(ATARegisters.command))
        // Whoever has not reserved a reserved target may still ask what it is.
        guard command == .identify || holdsOrFree(frame.source) else { return .reply(length: reply.fail(.reserved)) }
        let count = Int(frame.byte(ATARegisters.count))
        switch command {
        case .read, .readExtended, .verify, .verifyExtended, .write, .writeExtended:
            return transfer(command.unsafelyUnwrapped, count, frame, reply)
        case .flush, .flushExtended: return .flush
        case .identify: return identify(count, reply)
        case .checkPowerMode:
            reply.put(UInt8(0xff), at: ATARegisters.count)  // active or idle
            return end(.ready, reply)
        case .smart: return smart(frame, reply)
        case .dataSetManagement: return trim(count, frame, reply)
        case nil: return end(.aborted, reply)
        }
    }

    /// The reply with a result and no data.
    private func end(_ result: ATAResult, _ reply: FrameWriter) -> Verdict {
        ATARegisters.set(result, in: reply)
        return .reply(length: Wire.minimumLength)
    }

    private func transfer(_ command: ATACommand, _ count: Int, _ frame: FrameView, _ reply: FrameWriter) -> Verdict {
        guard count > 0, count <= maximumSectors else { return end(.aborted, reply) }
        let lba = ATARegisters.lba(frame, extended: command.isExtended)
        guard lba <= UInt64(facts.sectors), UInt64(count) <= UInt64(facts.sectors) - lba else {
            return end(.notFound, reply)
        }
        let sector = Int64(lba)
        switch command {
        case .read, .readExtended: return .read(sector: sector, count: count)
        case .verify, .verifyExtended: return .verify(sector: sector, count: count)
        case .write, .writeExtended:
            guard !facts.isReadOnly, frame.length >= Wire.ataLength + count * Wire.sectorSize else {
                return end(.aborted, reply)
            }
            return .write(sector: sector, count: count)
        case .dataSetManagement, .smart, .checkPowerMode, .flush, .flushExtended, .identify:
            preconditionFailure("no transfer")
        }
    }

    private func identify(_ count: Int, _ reply: FrameWriter) -> Verdict {
        // There is room for a sector or there is none: that is AoE's affair, not the disk's.
        guard count > 0 else { return .reply(length: reply.fail(.badArgument)) }
        ATARegisters.set(.ready, in: reply)
        (reply.base + Wire.ataLength).copyMemory(
            from: identifyData.baseAddress.unsafelyUnwrapped, byteCount: Wire.sectorSize)
        return .reply(length: Wire.ataLength + Wire.sectorSize)
    }

    /// Only SMART RETURN STATUS (ATA8-ACS 7.52.8): the answer that all is well is its signature, unchanged. What a disk
    /// below has to say of itself, its own host's tools read.
    private func smart(_ frame: FrameView, _ reply: FrameWriter) -> Verdict {
        let isStatus =
            frame.byte(ATARegisters.feature) == 0xda && frame.byte(ATARegisters.lba + 1) == 0x4f
            && frame.byte(ATARegisters.lba + 2) == 0xc2
        return end(isStatus ? .ready : .aborted, reply)
    }

    /// DATA SET MANAGEMENT with TRIM (ATA8-ACS-2 7.10): one block of 64 ranges, of 48 bits LBA and 16 bits count each.
    private func trim(_ count: Int, _ frame: FrameView, _ reply: FrameWriter) -> Verdict {
        guard facts.trims, frame.byte(ATARegisters.feature) & 1 == 1, count == 1,
            frame.length >= Wire.ataLength + Wire.sectorSize
        else { return end(.aborted, reply) }
        for position in 0..<TrimRange.limit {
            let range = TrimRange(frame, position)
            guard range.sector <= facts.sectors, range.count <= facts.sectors - range.sector else {
                return end(.notFound, reply)
            }
        }
        return .trim
    }
}

/// One range of a TRIM command, in sectors. Empty where its count is 0.
struct TrimRange {
    static let limit = Wire.sectorSize / 8
    let sector: Int64
    let count: Int64

    init(_ frame: FrameView, _ position: Int) {
        let offset = Wire.ataLength + position * 8
        let entry = UInt64(littleEndian: frame.base.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        sector = Int64(entry & 0xffff_ffff_ffff)
        count = Int64(entry >> 48)
    }
}
