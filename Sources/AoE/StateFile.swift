import FoundationEssentials
import Glibc
import HostModel

/// The file that keeps what clients set on one target.
struct StateFile: Sendable {
    let path: String

    /// The file of `address` in `directory`, which is made (0700), with those above it, where it is
    /// missing.
    init(directory: String, address: AoEAddress) throws(Failure) {
        path = "\(directory)/\(address).json"
        let parts = directory.split(separator: "/")
        for count in parts.indices {
            let parent = (directory.hasPrefix("/") ? "/" : "") + parts[...count].joined(separator: "/")
            guard mkdir(parent, 0o700) == 0 || errno == EEXIST else { throw failure("make the directory \(parent)") }
        }
    }

    /// What was stored last; nothing where there is no file. Throws `.inconsistent` for a file that cannot be
    /// understood: to begin anew would take reservations and masks away.
    func load() throws(Failure) -> ClientState {
        guard let bytes = try read() else { return ClientState() }
        do {
            let record = try JSONDecoder().decode(Record.self, from: Data(bytes))
            guard record.version == Record.version else { throw Unreadable.version(record.version) }
            return try record.state()
        } catch {
            throw Failure(
                .inconsistent, "cannot read what clients have set in \(path)", why: String(describing: error),
                remedy: "repair the file, or remove it to forget configuration string, MAC masks and reservations")
        }
    }

    /// Stores the whole state: after a power cut there is the former or this one. The file is the owner's alone (0600).
    func save(_ state: ClientState) throws(Failure) {
        let bytes: Data
        do { bytes = try JSONEncoder().encode(Record(state)) } catch {
            throw Failure(error, doing: "cannot store what clients have set in \(path)")
        }
        do throws(Failure) { try DurableFile.replace(path, with: Array(bytes)) } catch {
            throw Failure(.failed, error.what + Self.purpose, why: error.why)
        }
    }

    private func read() throws(Failure) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw failure("open \(path)")
        }
        defer { close(descriptor) }
        // The largest state is far below this.
        var bytes = [UInt8](repeating: 0, count: 64 << 10)
        let count = Glibc.read(descriptor, &bytes, bytes.count)
        guard count >= 0 else { throw failure("read \(path)") }
        return Array(bytes.prefix(count))
    }

    private func failure(_ action: String) -> Failure {
        Failure(.failed, "cannot \(action)\(Self.purpose)", why: String(cString: strerror(errno)))
    }

    private static let purpose = ", where what clients set is kept"
}

private enum Unreadable: Error {
    case version(Int)
    case tooLong
}

/// The file's content.
private struct Record: Codable {
    static let version = 1
    var version: Int
    /// In base 64: the bytes need not be text.
    var configuration: Data
    var masks: [String]
    var reservation: [String]

    init(_ state: ClientState) {
        version = Self.version
        configuration = Data(state.configuration.all)
        masks = state.masks.all.map(\.description)
        reservation = state.reservation.all.map(\.description)
    }

    func state() throws -> ClientState {
        guard configuration.count <= Wire.configurationLimit, masks.count <= Wire.maskLimit,
            reservation.count <= MACList.capacity
        else { throw Unreadable.tooLong }
        var state = ClientState()
        state.configuration = configuration.withUnsafeBytes { ConfigurationString($0) }
        for text in masks { _ = state.masks.add(try MACAddress(recorded: text)) }
        for text in reservation { _ = state.reservation.add(try MACAddress(recorded: text)) }
        return state
    }
}
