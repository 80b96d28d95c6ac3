import HostModel
import Hosts

/// A directory of 0700 with a file `NAME.json`, 0600, for each record, replaced as a whole.
struct RecordDirectory<Record: Codable>: Sendable {
    let path: String
    /// The name of a record, which is that of its file.
    let name: @Sendable (Record) -> String

    func file(of name: String) -> String { "\(path)/\(name).json" }

    /// Every record, by the names of their files. Throws `.inconsistent` for one that cannot be read, or that is another's.
    func all() throws -> [Record] {
        try KernelFile.names(in: path).filter { $0.hasSuffix(".json") }.sorted().map { entry in
            let file = "\(path)/\(entry)"
            let record = try JSONText.decode(Record.self, from: KernelFile.read(file) ?? "", what: file)
            guard "\(name(record)).json" == entry else {
                throw Failure(.inconsistent, "\(file) holds another record", why: "it is that of \(name(record))")
            }
            return record
        }
    }

    /// Makes the directory.
    func prepare() throws { try PrivateDirectory.prepare(path) }

    /// When it returns, the record survives a power cut.
    func save(_ record: Record) throws {
        try prepare()
        try DurableFile.replace(file(of: name(record)), with: Array(try JSONText.encode(record).utf8))
    }
}
