import HostModel
import ISCSI

/// A write on its way to the process that does it. It may hold a secret: it goes through a pipe, and nowhere else.
struct KernelOrder: Codable {
    private enum Kind: String, Codable { case makeDirectory, write, link, unlink, removeDirectory }

    private var kind: Kind
    private var path: String
    private var value: String?

    init(_ write: KernelWrite) {
        path = write.path
        switch write {
        case .makeDirectory: kind = .makeDirectory
        case .write(let text, _): (kind, value) = (.write, text)
        case .writeSecret(let secret, _): (kind, value) = (.write, secret.text)
        case .link(_, let target): (kind, value) = (.link, target)
        case .unlink: kind = .unlink
        case .removeDirectory: kind = .removeDirectory
        }
    }

    /// What is to be done; a secret is a value like any other by then.
    var write: KernelWrite {
        switch kind {
        case .makeDirectory: .makeDirectory(path)
        case .write: .write(value ?? "", to: path)
        case .link: .link(path, to: value ?? "")
        case .unlink: .unlink(path)
        case .removeDirectory: .removeDirectory(path)
        }
    }

    /// The beginning of what is said where the kernel does not take it.
    static func refusal(_ write: KernelWrite) -> String { "the kernel refuses '\(write)'" }
}

/// What the process that writes says of one write, as a line.
enum KernelWord: Equatable {
    case done
    /// Another process that an earlier command has left behind is still at it.
    case occupied
    /// The kernel's reason.
    case refused(Failure.Code, String)

    init(line: String) {
        switch line {
        case "done": self = .done
        case "occupied": self = .occupied
        default:
            let words = line.split(separator: " ", maxSplits: 2).map(String.init)
            if words.count == 3, words[0] == "refused", let code = Failure.Code(rawValue: words[1]) {
                self = .refused(code, words[2])
            } else {
                self = .refused(.failed, "it says '\(line.prefix(200))'")
            }
        }
    }

    var line: String {
        switch self {
        case .done: "done"
        case .occupied: "occupied"
        case .refused(let code, let why): "refused \(code.rawValue) \(why)"
        }
    }
}
