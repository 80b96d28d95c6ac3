import HostModel
import Hosts
import Storage

/// The files of checkpoints: a record and a saved image each, 0600 in a directory of 0700, as an image holds a guest's
/// memory.
struct CheckpointStore: Sendable {
    private let records: RecordDirectory<Checkpoint>
    var directory: String { records.path }

    init(_ paths: Paths) { records = RecordDirectory(path: paths.state + "/checkpoints") { $0.name.text } }

    func image(_ name: VolumeName) -> SavedImageFile { SavedImageFile(path: "\(directory)/\(name).image") }

    /// Every checkpoint, by name. Throws `.inconsistent` for a record that cannot be read.
    func all() throws -> [Checkpoint] { try records.all() }

    func find(_ name: VolumeName) throws -> Checkpoint {
        guard let found = try all().first(where: { $0.name == name }) else {
            throw Failure(
                .notFound, "there is no checkpoint '\(name)'", remedy: "see 'xenlvs domain checkpoint list'")
        }
        return found
    }

    /// Makes the directory, 0700.
    func prepare() throws { try records.prepare() }

    /// When it returns, the record survives a power cut.
    func save(_ checkpoint: Checkpoint) throws { try records.save(checkpoint) }

    func remove(_ name: VolumeName) throws { try image(name).remove(with: records.file(of: name.text)) }
}
