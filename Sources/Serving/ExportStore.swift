import FoundationEssentials
import Glibc
import HostModel

/// The list of exports, kept over restarts.
///
/// A file of its own and not the journal: the daemon is its only writer, and a journal that is damaged must not keep
/// storage from being served, nor the other way round. It is replaced as a whole: after a power cut there is the former
/// list or the new one.
struct ExportStore: Sendable {
    let path: String

    private struct Content: Codable {
        static let version = 1
        var version: Int
        var exports: [ExportRecord]
    }

    /// More than the largest number of the longest records.
    private static let sizeLimit = 64 << 20

    /// The list; empty where there is none yet. Throws `.inconsistent` for one that cannot be read: to begin anew would
    /// take exports away without a word.
    func load() throws(Failure) -> [ExportRecord] {
        guard let bytes = try read() else { return [] }
        do {
            let content = try JSONDecoder().decode(Content.self, from: Data(bytes))
            guard content.version == Content.version else {
                throw Failure(.inconsistent, "its version is \(content.version)")
            }
            guard Set(content.exports.map(\.address)).count == content.exports.count else {
                throw Failure(.inconsistent, "an address is there twice")
            }
            return content.exports
        } catch {
            let why = (error as? Failure)?.description ?? String(describing: error)
            throw Failure(
                .inconsistent, "cannot read the list of exports \(path)", why: why,
                remedy: "repair the file, or move it away to begin without exports")
        }
    }

    /// Stores the whole list (0600). When it returns the list survives a power cut.
    func save(_ records: [ExportRecord]) throws(Failure) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        let bytes: Data
        do {
            bytes = try encoder.encode(
                Content(version: Content.version, exports: records.sorted { $0.address < $1.address }))
        } catch { throw Failure(error, doing: "cannot store the list of exports") }
        try DurableFile.replace(path, with: Array(bytes))
    }

    private func read() throws(Failure) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw Failure.system("cannot open \(path)")
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw Failure.system("cannot read \(path)") }
        guard status.st_size <= Self.sizeLimit else {
            throw Failure(.inconsistent, "cannot read the list of exports \(path)", why: "it is too large")
        }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeMutableBytes { buffer in
                Glibc.read(descriptor, buffer.baseAddress.unsafelyUnwrapped + offset, buffer.count - offset)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw Failure.system("cannot read \(path)") }
            offset += count
        }
        return bytes
    }
}
