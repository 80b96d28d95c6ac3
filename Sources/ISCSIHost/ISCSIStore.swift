import FoundationEssentials
import Glibc
import HostModel
import Hosts
import ISCSI

/// What is kept of this host's iSCSI exports over restarts.
struct ISCSIRecord: Codable, Equatable {
    static let version = 1

    var version = Self.version
    var state = ISCSIState()
    /// What serves them; nil for the kernel.
    var program: TargetProgram?
    /// All that may be in the kernel: written down before it is made, struck out when it is gone.
    var owned = LIOOwnership()
    var ledger = LUNLedger()
}

/// The file with the record, replaced as a whole: after a power cut there is the former record or the new one.
struct ISCSIStore: Sendable {
    let path: String

    private static let sizeLimit = 64 << 20

    /// The record; an empty one where there is none yet. Throws `.inconsistent` for one that cannot be read.
    func load() throws(Failure) -> ISCSIRecord {
        guard access(path, F_OK) == 0 || errno != ENOENT else { return ISCSIRecord() }
        do {
            let data = try Data(contentsOf: URL(filePath: path))
            guard data.count <= Self.sizeLimit else { throw Failure(.inconsistent, "it is too large") }
            let record = try JSONDecoder().decode(ISCSIRecord.self, from: data)
            guard record.version == ISCSIRecord.version else {
                throw Failure(.inconsistent, "its version is \(record.version)")
            }
            try record.state.validate()
            return record
        } catch {
            throw Failure(
                .inconsistent, "cannot read the record of iSCSI exports \(path)",
                why: (error as? Failure)?.description ?? String(describing: error),
                remedy: "repair the file; without it nobody knows which targets are xenlvs's, and which LUNs are spent")
        }
    }

    /// When it returns, the record (0600) survives a power cut.
    func save(_ record: ISCSIRecord) throws(Failure) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        let bytes: Data
        do { bytes = try encoder.encode(record) } catch {
            throw Failure(error, doing: "cannot store the iSCSI exports")
        }
        try DurableFile.replace(path, with: Array(bytes))
    }
}
