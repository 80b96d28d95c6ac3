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
        guard let stream = opendir("\(root)/\(path)") else {
            if errno == ENOENT { return [] }
            throw Failure.system("cannot list \(root)/\(path)")
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
        guard errno == 0 else { throw Failure.system("cannot list \(root)/\(path)") }
        return names
    }

    public func text(_ path: String) throws(Failure) -> String? {
        let descriptor = open("\(root)/\(path)", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw Failure.system("cannot read \(root)/\(path)")
        }
        defer { close(descriptor) }
        // A file of configfs has at most one page (Documentation/filesystems/configfs.rst).
        let text = withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 1) { bytes -> String? in
            var count = read(descriptor, bytes.baseAddress, bytes.count)
            if count > 0, bytes[count - 1] == UInt8(ascii: "\n") { count -= 1 }
            return count < 0 ? nil : String(decoding: bytes[..<count], as: UTF8.self)
        }
        guard let text else { throw Failure.system("cannot read \(root)/\(path)") }
        return text
    }

    public func perform(_ write: KernelWrite) throws(Failure) {
        let path = "\(root)/\(write.path)"
        let isDone =
            switch write {
            case .makeDirectory: mkdir(path, 0o755) == 0
            case .removeDirectory: rmdir(path) == 0
            case .unlink: unlink(path) == 0
            case .link(_, let target): symlink("\(root)/\(target)", path) == 0
            case .write(let value, _): put(value, path)
            case .writeSecret(let secret, _): put(secret.text, path)
            }
        let number = errno
        guard isDone else { throw Failure.system(KernelOrder.refusal(write), errno: number) }
    }

    /// The kernel takes a value as one write, and a newline as part of it. Where it returns false, `errno` says why.
    private func put(_ value: String, _ path: String) -> Bool {
        let descriptor = open(path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        let length = value.utf8.count
        let count = write(descriptor, value, length)
        // configfs takes all of it or says why not.
        let number = count == length ? 0 : count < 0 ? errno : EIO
        close(descriptor)
        errno = number
        return number == 0
    }
}
