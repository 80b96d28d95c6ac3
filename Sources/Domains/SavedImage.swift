import HostModel

/// A file that `xl save` writes, and what can be said about it without reading the guest's memory.
///
/// Layout (`tools/xl/xl.h`; docs/specs/libxl-migration-stream.pandoc, revision 2;
/// docs/specs/libxc-migration-stream.pandoc, revision 3): `xl`'s header of 48 bytes and its optional data, the
/// configuration; libxl's header and records; within its record LIBXC_CONTEXT libxc's headers and records up to END;
/// further libxl records up to END, with which the file ends.
public enum SavedImage {
    /// How much of the end of a stream is withheld from `xl restore` while the target's disk is not yet writable.
    ///
    /// What libxl 4.17 does and when (`initiate_domain_create`, `domcreate_stream_done`, `domcreate_rebuild_done` in
    /// `libxl_create.c`; tried with PV and PVH guests):
    /// - when it has read `xl`'s header and before any of the memory, every disk's path is followed and stat'ed
    ///   (`libxl__device_disk_set_backend`): it must lead to a block device, which nobody opens;
    /// - when libxl's END record is complete, and not a byte before, the disks are put into xenstore, the path is
    ///   stat'ed again, the script `block` resolves it and writes `physical-device`, and the kernel's block backend opens
    ///   it;
    /// - there is no time limit on how long the stream may stand still.
    ///
    /// A single withheld byte keeps the disks closed. But where the stream then *ends*, libxl takes the missing record
    /// for an END, having zeroed it beforehand and seen no error: cut off by 1 to 8 bytes, the image is restored and
    /// the disks are opened, with exit code 0. So that a relay which dies can only make the restore fail, libxc's END
    /// must be among what is missing: 9 bytes or more (cut off by 9, 16, 17 and 4096 the restore failed and the
    /// half-built domain was destroyed).
    ///
    /// 1024 bytes are that, and fewer than what follows the memory (``Summary/tail``: 9416 bytes for a PV guest, 2704
    /// for a PVH guest, each with one virtual CPU), so that all of the memory is in place by then. For an HVM guest
    /// this does not hold: its device model's state stands after libxc's END and is longer.
    public static let heldBackTail = 1024

    /// What a whole image holds.
    public struct Summary: Sendable, Equatable {
        /// As it stands in the header: the disk paths a restore will use, and the name it will give.
        public var domain: DomainDescription
        /// Whether libxc's part is that of a PV guest; otherwise of a PVH or HVM guest, which it does not tell apart.
        public var isParavirtual: Bool
        /// The Xen version that wrote it, as `4.17`.
        public var xenVersion: String
        /// Page numbers listed; those of holes and ballooned pages included.
        public var pages: UInt64
        public var length: UInt64
        /// The bytes after the last record of memory.
        public var tail: UInt64
    }

    public enum Answer: Sendable, Equatable {
        /// Every record is there to the end and the file ends with the last one. It does not say that the memory in it
        /// is what was written: for that, compare checksums.
        case complete(Summary)
        /// What there is is in order and the rest is missing from `offset` on.
        case truncated(at: UInt64, in: String)
        case notAnImage(reason: String)
    }

    /// Checks an image. Reads headers only: about 24 bytes for each 4 MiB. Throws what `source` throws.
    public static func check(_ source: SavedImageSource) throws(Failure) -> Answer {
        var walker = SavedImageWalker(SavedImageCursor(source))
        do {
            return .complete(try walker.walk())
        } catch {
            switch error {
            case .truncated(let part): return .truncated(at: source.length, in: part)
            case .malformed(let reason): return .notAnImage(reason: reason)
            case .unreadable(let failure): throw failure
            }
        }
    }
}
