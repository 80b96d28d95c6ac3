import HostModel
import ISCSI

/// What is to be said of an iSCSI attachment whose LUN was given to another disk while this host has a session with it. Pure.
///
/// The kernel knows a disk by its session and LUN and goes on with it. Of several paths such a one is left out by whoever checks
/// them; by one path alone everything goes to the other disk.
enum RemappedDisk {
    /// - Returns: nil where the target shows the recorded disk, or does not say what it has, or this host has no disk of it.
    static func finding(_ row: AttachmentRow, on host: HostName) -> Finding? {
        guard case .iscsi(let row) = row, row.target == .another else { return nil }
        let disks = row.paths.compactMap(\.disk)
        guard !disks.isEmpty else { return nil }
        let names = disks.joined(separator: " and ")
        let effect =
            row.paths.count == 1
            ? "whatever is read and written by \(names) now is the other disk's"
            : "\(names) are used no more once their paths are checked, and what uses the map gets errors"
        return Finding(
            .blocking, host, "the attachment '\(row.name)' leads to another disk: LUN \(row.lun) of \(row.address)",
            why: ([row.why, effect].compactMap(\.self) + row.uses.map(\.sentence)).joined(separator: "; "),
            remedy: remedy(row))
    }

    private static func remedy(_ row: ISCSIAttachmentSummary) -> String {
        // A guest that is shut down writes what it has in memory.
        let stop = row.uses.map { use in use.kind == .domain ? "xl destroy \(use.name)" : use.remedy }
        let first = stop.isEmpty ? "" : "end at once who has it: \(stop.joined(separator: "; ")). Then "
        return first
            + "take its link away with 'xenlvs link repair \(row.name)', and see on the target's host what it exports as LUN "
            + "\(row.lun); 'xenlvs detach \(row.name)' gives the disk back"
    }
}
