import HostModel

/// Metadata for a copy that was filled past DRBD, as `drbdmeta restore-md` reads them (drbd-utils, `verify_dumpfile_or_restore`
/// in user/shared/drbdmeta.c; format v08). Pure.
///
/// The copy is Consistent and has a generation of the source's data; nothing is known to be missing. So DRBD attaches it as
/// Outdated, which cannot be made Primary, and the source, whose own bitmap belongs to that generation, sends what has changed
/// since.
public struct SeededMetadata: Sendable, Equatable {
    public let text: String

    /// - Parameter generation: the source's, at the moment whose data the copy has.
    public init(of device: ReplicaDevice, generation: UInt64, mark: OwnershipMark) {
        let bits = (device.size.bytes + 4095) / 4096
        let words = (bits + 63) / 64
        let zero = "0x" + String(repeating: "0", count: 16)
        text = """
            version "v08";
            uuid {
                0x\(OwnershipMark(value: generation & ~1).argument); \(zero); \(zero); \(zero);
                flags 0x00000001;
            }
            la-size-sect \(device.size.sectors);
            bm-byte-per-bit 4096;
            device-uuid 0x\(mark.argument);
            la-peer-max-bio-size \(DRBDCommands.peerMaximumRequest);
            al-stripes 1;
            al-stripe-size-4k 8;
            bm {
                \(words) times \(zero);
            }

            """
    }
}

extension DataGeneration {
    /// Without the bit that says whether the replica is Primary.
    public var currentData: UInt64 { current & ~1 }
    /// The generation since which the bitmap notes what has changed.
    public var bitmapData: UInt64 { bitmap & ~1 }
}
