import HostModel

/// The beginning of an image, up to its configuration, as far as it has arrived. The layout is that of ``SavedImage``.
public enum SavedImageHead {
    private static let headerLength = 48
    private static let magic = Array("Xen saved domain, xl format\n \0 \r".utf8)
    /// A guest's configuration is a few KiB; this much is gathered before anything of it is handed on.
    private static let longest: UInt32 = 1 << 20

    /// The configuration, JSON; nil while it is not all there. `xl` reads it as a string that ends with a zero
    /// (`tools/xl/xl_vmcontrol.c`, `create_domain`).
    /// - Throws: `.refused` for bytes that do not begin as an image does.
    public static func configuration(in bytes: [UInt8]) throws(Failure) -> [UInt8]? {
        guard bytes.prefix(magic.count).elementsEqual(magic.prefix(bytes.count)) else { throw refusal("no mark") }
        guard bytes.count >= headerLength + 4 else { return nil }
        let header = SavedImageBytes(bytes: Array(bytes[magic.count..<headerLength + 4]))
        let (order, flags, length): (UInt32, UInt32, UInt32) = (
            header.little(at: 0), header.little(at: 4), header.little(at: 12)
        )
        // Both are what xl has written since Xen 4.6: the configuration as JSON, the stream in version 2.
        guard order == SavedImageFormat.byteOrder, flags == 3 else { throw refusal("flags of another version") }
        guard length > 4, length <= longest else { throw refusal("a configuration of \(length) bytes") }
        guard bytes.count >= headerLength + Int(length) else { return nil }
        let text: UInt32 = header.little(at: 16)
        guard text <= length - 4 else { throw refusal("a configuration that is longer than its header says") }
        return Array(bytes[(headerLength + 4)...].prefix(Int(text)).prefix { $0 != 0 })
    }

    private static func refusal(_ what: String) -> Failure {
        Failure(.refused, "what arrives is not an image that xl saved", why: "it has \(what)")
    }
}
