import HostModel

/// The data generations that two copies told each other in the last attempt to connect them. DRBD writes both to the kernel's
/// log and keeps the peer's nowhere else (`drbd_uuid_dump`, drbd_receiver.c, of 8.4 and 9).
public struct HandshakeGenerations: Sendable, Equatable {
    public let own: UInt64
    public let peer: UInt64

    /// Nil where the copies did not come so far.
    /// - Parameters: as for `StandAloneExplanation.explain`.
    public init?(kernelLog: String, resource: String, minor: Int) {
        let attempt = KernelLogSpeaker(resource: resource, minor: minor).lastAttempt(in: kernelLog)
        guard let own = Self.last(": self ", in: attempt), let peer = Self.last(": peer ", in: attempt) else {
            return nil
        }
        self.own = own
        self.peer = peer
    }

    /// The current generation is the first of the numbers: `self 16E8A450C93E722D:E80C8D1EFE7ABFDF:… bits:1 flags:0`.
    private static func last(_ mark: String, in lines: ArraySlice<Substring>) -> UInt64? {
        for line in lines.reversed() {
            guard let start = line.firstRange(of: mark)?.upperBound else { continue }
            let number = line[start...].prefix { $0 != ":" }
            if number.count == 16, let identifier = hexadecimal(number) { return identifier }
        }
        return nil
    }
}

extension DataGeneration {
    /// An identifier as DRBD writes it: 16 hexadecimal digits, an odd number where the copy was Primary.
    public static func text(of identifier: UInt64) -> String { OwnershipMark(value: identifier).argument }

    /// Whether no peer has ever had all of these data: what the bitmap counts from is the making of the metadata
    /// (`UUID_JUST_CREATED`), to which each sync that was begun has added `UUID_NEW_BM_OFFSET` (drbd_int.h).
    public var wasNeverCopied: Bool { bitmap & 0x0000_FFFF_FFFF_FFFE == 4 }
}

extension StandAloneExplanation.Cause {
    /// Both copies were changed, or are about to be.
    public var isSplitBrain: Bool { self == .splitBrain || self == .bothPrimary }
}
