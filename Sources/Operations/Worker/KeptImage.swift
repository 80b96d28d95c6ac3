import HostModel
import ImageStream

#if canImport(Glibc)
    import Glibc
#endif

/// The compressed image that a target keeps of what it received.
enum KeptImage {
    /// Unpacks the file at `path` into `output`. A damaged or truncated file is a failure.
    /// - Parameters:
    ///   - base: the earlier image that it was put together from.
    ///   - scrutiny: for an image that another host has sent.
    static func unpack(
        _ path: String, base: PageBase?, into output: BoundedIO, _ scrutiny: consuming ImageScrutiny
    ) throws {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard file >= 0 else { throw Failure(.failed, "cannot open \(path)", why: String(cString: strerror(errno))) }
        defer { close(file) }
        let decompressor = try ZstandardDecompressor()
        let decoder = DeltaDecoder(base: base)
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = read(file, &buffer, buffer.count)
            if count < 0, errno != EINTR {
                throw Failure(.failed, "cannot read \(path)", why: String(cString: strerror(errno)))
            }
            if count == 0 { break }
            if count > 0 {
                try buffer[..<count].withUnsafeBytes { packed in
                    try decompressor.decompress(packed) { list in
                        try decoder.decode(list) { plain in
                            try scrutiny.pass(plain) { try output.write($0, limit: .seconds(120)) }
                        }
                    }
                }
            }
        }
        guard decompressor.isFinished, decoder.isWhole else { throw Failure(.failed, "the image \(path) is not whole") }
    }
}
