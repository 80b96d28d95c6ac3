import Glibc
import HostModel
import ISCSI

/// The kernel's directory of targets. This is the only place that writes to it.
public struct KernelTarget: TargetFileSystem, Sendable {
    private let root: String

    /// - Parameter root: for tests.
    public init(root: String = KernelWrite.root) { self.root = root }

    /// Whether there is such a directory: the kernel's target is loaded, and configfs mounted.
    public var isPresent: Bool { access(root, F_OK) == 0 }

    public func directories(in path: String) throws(Failure) -> [String] {
        try names(in: path).filter { $0.kind == UInt8(DT_DIR) }.map(\.name).sorted()
    }

    public func links(in path: String) throws(Failure) -> [String: String] {
        var links: [String: String] = [:]
        for (name, kind) in try names(in: path) where kind == UInt8(DT_LNK) {
            var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
            let length = readlink("\(root)/\(path)/\(name)", &buffer, buffer.count)
            guard length >= 0 else { throw Failure.system("cannot read \(root)/\(path)/\(name)") }
            let text = String(decoding: buffer[..<length].map(UInt8.init(bitPattern:)), as: UTF8.self)
            links[name] = KernelWrite.resolved(link: text)
        }
        return links
    }

    private func names(in path: String) throws(Failure) -> [(name: String, kind: UInt8)] {
        let what = "cannot list \(root)/\(path)"
        guard let stream = opendir("\(root)/\(path)") else {
            if errno == ENOENT { return [] }
            throw Failure.system(what)
        }
        defer { closedir(stream) }
        var names: [(String, UInt8)] = []
        errno = 0
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append((name, entry.pointee.d_type)) }
            errno = 0
        }
        guard errno == 0 else { throw Failure.system(what) }
        return names
    }

    public func text(_ path: String) throws(Failure) -> String? {
        let what = "cannot read \(root)/\(path)"
        let descriptor = open("\(root)/\(path)", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw Failure.system(what)
        }
        defer { close(descriptor) }
        // A file of configfs has at most one page (Documentation/filesystems/configfs.rst).
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = read(descriptor, &bytes, bytes.count)
        guard count >= 0 else { throw Failure.system(what) }
        let text = String(decoding: bytes[..<count], as: UTF8.self)
        return text.hasSuffix("\n") ? String(text.dropLast()) : text
    }

    public func perform(_ write: KernelWrite) throws(Failure) {
        let what = KernelOrder.refusal(write)
        let path = "\(root)/\(write.path)"
        switch write {
        case .makeDirectory: guard mkdir(path, 0o755) == 0 else { throw Failure.system(what) }
        case .removeDirectory: guard rmdir(path) == 0 else { throw Failure.system(what) }
        case .unlink: guard unlink(path) == 0 else { throw Failure.system(what) }
        case .link(_, let target): guard symlink("\(root)/\(target)", path) == 0 else { throw Failure.system(what) }
        case .write(let value, _): try put(value, path, what)
        case .writeSecret(let secret, _): try put(secret.text, path, what)
        }
    }

    /// The kernel takes a value as one write, and a newline as part of it.
    private func put(_ value: String, _ path: String, _ what: String) throws(Failure) {
        let descriptor = open(path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Failure.system(what) }
        defer { close(descriptor) }
        let bytes = Array(value.utf8)
        let count = write(descriptor, bytes, bytes.count)
        guard count >= 0 else { throw Failure.system(what) }
        guard count == bytes.count else {
            throw Failure(.failed, what, why: "it took \(count) of \(bytes.count) bytes")
        }
    }
}
