import Glibc
import HostModel

/// Small files and directories of `/sys` and `/proc`.
enum TextFile {
    /// The whole file. Throws `.notFound` where there is none.
    static func read(_ path: String, doing what: String) throws(Failure) -> String {
        let descriptor = try FileDescriptor(opening: path, flags: O_RDONLY, doing: what)
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = Glibc.read(descriptor.number, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Failure.system(what) }
            if count == 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes += chunk[..<count]
        }
    }

    /// The names in a directory but `.` and `..`. Throws `.notFound` where there is none.
    static func names(in path: String, doing what: String) throws(Failure) -> [String] {
        guard let stream = opendir(path) else { throw Failure.system(what) }
        defer { closedir(stream) }
        var names: [String] = []
        errno = 0
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
            errno = 0
        }
        guard errno == 0 else { throw Failure.system(what) }
        return names
    }
}

extension String {
    /// The text without the newline that ends it in `/sys`.
    var trimmingNewline: String { hasSuffix("\n") ? String(dropLast()) : self }
}
