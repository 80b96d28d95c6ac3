import HostModel
import Hosts
import Operations
import Serving
import Synchronization

/// Asks this host's journal whether an export's volume may be served.
final class VolumeScrutiny: Sendable {
    private let path: String
    /// Opened when the first volume is asked for.
    private let database = Mutex<StateDatabase?>(nil)

    init(database path: String) { self.path = path }

    /// Throws why not. Exports that are no volumes are not asked about.
    func check(_ record: ExportRecord) throws(Failure) {
        guard let volume = record.volume else { return }
        do {
            try database.withLock { database in
                let open = try database ?? StateDatabase(path: path)
                database = open
                try ServedVolume.check(volume, in: open)
            }
        } catch { throw Failure(error, doing: "cannot look at the volume '\(volume)'") }
    }
}
