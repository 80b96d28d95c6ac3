import Glibc
import HostModel
import ISCSI

/// CHAP files on this host.
public enum CHAPFile {
    private static let sizeLimit = 4096

    /// Reads one. Throws `.refused` where others than root could read or change it, `.notFound`, `.usage`.
    public static func read(_ path: String) throws(Failure) -> CHAPCredentials {
        let what = "cannot use the CHAP file \(path)"
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw Failure.system(what) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw Failure.system(what) }
        guard status.st_mode & S_IFMT == S_IFREG, status.st_size <= sizeLimit else {
            throw Failure(.refused, what, why: "it is no file of at most \(sizeLimit) bytes")
        }
        guard status.st_mode & 0o077 == 0, status.st_uid == geteuid() else {
            throw Failure(
                .refused, what, why: "others may read or change it", remedy: "chown root \(path); chmod 600 \(path)")
        }
        var bytes = [UInt8](repeating: 0, count: sizeLimit)
        let count = Glibc.read(descriptor, &bytes, bytes.count)
        guard count >= 0 else { throw Failure.system(what) }
        return try CHAPCredentials(parsing: String(decoding: bytes[..<count], as: UTF8.self), path: path)
    }
}
