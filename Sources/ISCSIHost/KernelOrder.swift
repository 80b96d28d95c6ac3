import HostModel
import ISCSI

/// A write on its way to the process that does it: one line, with tabs between its word, its path and its value. It may hold a
/// secret: it goes through a pipe, and nowhere else.
enum KernelOrder {
    private enum Word: String {
        case makeDirectory = "mkdir"
        case write
        case link
        case unlink
        case removeDirectory = "rmdir"
    }

    /// The line, with its newline. Throws `.refused` for what does not fit into one; the kernel takes no such name either.
    static func line(_ write: KernelWrite) throws(Failure) -> String {
        let (word, value): (Word, String?) =
            switch write {
            case .makeDirectory: (.makeDirectory, nil)
            case .write(let text, _): (.write, text)
            case .writeSecret(let secret, _): (.write, secret.text)
            case .link(_, let target): (.link, target)
            case .unlink: (.unlink, nil)
            case .removeDirectory: (.removeDirectory, nil)
            }
        let isPlain =
            !write.path.utf8.contains { $0 < 0x20 } && value?.utf8.contains { $0 == UInt8(ascii: "\n") } != true
        guard isPlain else { throw Failure(.refused, refusal(write), why: "it holds a line's end or a tab") }
        return [word.rawValue, write.path, value].compactMap(\.self).joined(separator: "\t") + "\n"
    }

    /// The write that a line stands for; a secret is a value like any other by then. Throws `.failed` for any other line,
    /// which is not shown: it may hold one.
    static func write(line: String) throws(Failure) -> KernelWrite {
        let fields = line.split(separator: "\t", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
        switch (fields.first.flatMap(Word.init), fields.count) {
        case (.makeDirectory, 2): return .makeDirectory(fields[1])
        case (.write, 3): return .write(fields[2], to: fields[1])
        case (.link, 3): return .link(fields[1], to: fields[2])
        case (.unlink, 2): return .unlink(fields[1])
        case (.removeDirectory, 2): return .removeDirectory(fields[1])
        case (_, _): throw Failure(.failed, "an order to the kernel's target cannot be understood")
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
