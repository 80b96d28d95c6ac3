import HostModel
import Hosts
import Operations
import Serving
import Synchronization

/// Asks whether what an export names may be served: this host's journal about its volume, and the kernel about guests.
final class VolumeScrutiny: Sendable {
    private let paths: Paths
    /// Opened when the first volume is asked for.
    private let database = Mutex<StateDatabase?>(nil)

    init(_ paths: Paths) { self.paths = paths }

    /// Throws why not. It is asked before each opening, also at a start: a guest may have been started meanwhile.
    func check(_ record: ExportRecord) throws(Failure) {
        do { try GuestDisk.requireUnused(record.path, unlessShared: record.volume, by: paths) } catch {
            throw Failure(error, doing: "cannot see whether a guest has \(record.path)")
        }
        guard let volume = record.volume else { return }
        do {
            try database.withLock { database in
                let open = try database ?? StateDatabase(path: paths.database)
                database = open
                try ServedVolume.check(volume, in: open)
            }
        } catch { throw Failure(error, doing: "cannot look at the volume '\(volume)'") }
    }
}
