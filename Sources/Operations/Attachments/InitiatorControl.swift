import AoE
import Glibc
import HostModel

/// The control files of Linux's AoE initiator (`drivers/block/aoe/aoechr.c`).
public enum InitiatorControl: String, Sendable, CaseIterable {
    case discover, interfaces, revalidate, flush

    /// The major number of the control files and of the devices (`AOE_MAJOR`, drivers/block/aoe/aoe.h).
    static let major: UInt32 = 152

    /// The whole life of the child process: `VERB TEXT`. Returns its exit code.
    public static func run(arguments: [String], below devices: String = "/dev") -> Int32 {
        do {
            guard arguments.count == 2, let control = InitiatorControl(rawValue: arguments[0]) else {
                throw Failure(.usage, "the AoE initiator has no such control", why: arguments.joined(separator: " "))
            }
            try control.write(control.bytes(arguments[1]), below: devices)
            return 0
        } catch {
            let failure = Failure(error, doing: "cannot steer the AoE initiator")
            let text = Array("\(failure)\n".utf8)
            _ = Glibc.write(STDERR_FILENO, text, text.count)
            return failure.code.exitStatus.rawValue
        }
    }

    /// What is written for `text`. Throws `.usage` for what is neither empty, nor the address of a target, nor names of
    /// interfaces.
    ///
    /// A zero ends it. Without one `flush` takes `e1.1` for `e1.10` as well, since it compares only as much as was written
    /// (`user_req`, aoedev.c), `revalidate` reads on in what lay there before (aoechr.c), and a list of interfaces could not
    /// be emptied: to the kernel a blank one means none, and only a zero all of them (`is_aoe_netif`, aoenet.c).
    func bytes(_ text: String) throws(Failure) -> [UInt8] {
        switch self {
        case .discover:
            guard text.isEmpty else { throw Failure(.usage, "'discover' takes no argument") }
        case .interfaces:
            for name in text.split(separator: " ", omittingEmptySubsequences: true) {
                _ = try InterfaceName(String(name))
            }
            // `IFLISTSZ`, aoenet.c.
            guard text.utf8.count < 1023 else {
                throw Failure(
                    .usage, "cannot limit the AoE initiator to these interfaces",
                    why: "their names have more than 1022 bytes together, which is all that the kernel keeps")
            }
        case .revalidate, .flush: _ = try AoEAddress(text)
        }
        return Array(text.utf8) + [0]
    }

    private func write(_ bytes: [UInt8], below devices: String) throws(Failure) {
        let path = "\(devices)/etherd/\(rawValue)"
        let what = "cannot write to \(path)"
        let file = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW)
        guard file >= 0 else { throw Failure.system(what, remedy: "see that the module aoe is loaded") }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0 else { throw Failure.system(what) }
        guard status.st_mode & S_IFMT == S_IFCHR else {
            throw Failure(.refused, what, why: "it is no device of the AoE initiator", remedy: "see what put it there")
        }
        guard Glibc.write(file, bytes, bytes.count) == bytes.count else { throw Failure.system(what) }
    }
}
