import HostModel

/// One change in the kernel's directory of targets, as a value. Paths are relative to that directory.
public enum KernelWrite: Sendable, Equatable, CustomStringConvertible {
    case makeDirectory(String)
    case write(String, to: String)
    case writeSecret(CHAPSecret, to: String)
    case link(String, to: String)
    case unlink(String)
    case removeDirectory(String)

    /// The kernel's directory of targets.
    public static let root = "/sys/kernel/config/target"

    /// What the write is about.
    public var path: String {
        switch self {
        case .makeDirectory(let path), .write(_, let path), .writeSecret(_, let path), .link(let path, _),
            .unlink(let path), .removeDirectory(let path):
            path
        }
    }

    /// What a symbolic link of configfs leads to, relative to the root: readlink(2) gives as many `../` as it takes and
    /// then `target/core/…`.
    public static func resolved(link: String) -> String {
        var rest = link[...]
        while rest.hasPrefix("../") { rest = rest.dropFirst(3) }
        return String(rest.hasPrefix("target/") ? rest.dropFirst("target/".count) : rest)
    }

    /// The line that a shell would take, secrets left out.
    public var description: String {
        let place = Command.quoted("\(Self.root)/\(path)")
        return switch self {
        case .makeDirectory: "mkdir \(place)"
        case .write(let value, _): "echo -n \(Command.quoted(value)) >\(place)"
        case .writeSecret(let secret, _): "echo -n \(secret) >\(place)"
        case .link(_, let target): "ln -s \(Command.quoted("\(Self.root)/\(target)")) \(place)"
        case .unlink: "rm \(place)"
        case .removeDirectory: "rmdir \(place)"
        }
    }
}

/// The kernel's directory of targets, as the pure parts see it: the real one, or one that is simulated.
public protocol TargetFileSystem {
    /// The names of the directories in a directory; empty where there is no such directory.
    func directories(in path: String) throws(Failure) -> [String]
    /// The symbolic links in a directory, with what they lead to relative to the root; empty where there is no such
    /// directory.
    func links(in path: String) throws(Failure) -> [String: String]
    /// A file's text without the newline at its end; nil where there is none.
    func text(_ path: String) throws(Failure) -> String?
    /// Does one write. Throws what the kernel says.
    mutating func perform(_ write: KernelWrite) throws(Failure)
}
