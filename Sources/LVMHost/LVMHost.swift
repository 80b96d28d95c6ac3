import CLVM
import Glibc
import HostModel

/// Runs one LVM command inside this process, through `liblvm2cmd`: the work of the hidden `lvm-worker` command.
///
/// The library is neither thread-safe nor tidy (it changes the umask, and its log callback cuts reports at 4095 bytes),
/// so it lives in a child process of its own that runs one command and ends. No log callback is set: reports go to
/// standard output whole, messages to standard error.
public enum LVMHost {
    /// The exit code for arguments that are refused before LVM sees them (sysexits.h, EX_USAGE).
    public static let usageExitCode: Int32 = 64

    /// Runs `arguments`, the LVM command first, and returns the exit code for the process: 0 done, 2 no such command,
    /// 3 invalid parameters, 4 LVM did not start, 5 failed (as lvm(8) exits itself), 64 refused by us.
    ///
    /// To be called at most once in a process, from its main thread. Every inherited descriptor above 2 is closed, so
    /// that LVM cannot keep a lock or a device of the parent's open, and standard input becomes `/dev/null`, so that a
    /// question of LVM's is answered with no. A file on standard input is a lock that is meant to be held: it stays open, under
    /// another number, for as long as this process lives.
    public static func run(arguments: [String]) -> Int32 {
        do throws(Failure) {
            let line = try LVMCommandLine.joined(arguments)
            try isolate()
            return execute(line, by: try LVMLibrary())
        } catch {
            let message = error.description + "\n"
            _ = message.withCString { write(STDERR_FILENO, $0, strlen($0)) }
            return error.code == .usage ? usageExitCode : Int32(LVM2_INIT_FAILED)
        }
    }

    private static func isolate() throws(Failure) {
        let what = "cannot prepare a process for LVM"
        try keepLock(doing: what)
        for descriptor in try openDescriptors(doing: what) where descriptor > 2 {
            // What this process opened itself, such as the runtime's event queue, is close-on-exec; what it inherited
            // cannot be.
            let flags = fcntl(descriptor, F_GETFD)
            if flags >= 0, flags & FD_CLOEXEC == 0 { close(descriptor) }
        }
        let null = open("/dev/null", O_RDONLY | O_CLOEXEC)
        guard null >= 0, dup2(null, STDIN_FILENO) == STDIN_FILENO else {
            throw Failure(.failed, what, why: "/dev/null: \(String(cString: strerror(errno)))")
        }
        close(null)
    }

    private static func keepLock(doing what: String) throws(Failure) {
        var status = stat()
        guard fstat(STDIN_FILENO, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return }
        guard fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) >= 0 else {
            throw Failure(.failed, what, why: "the lock on its input: \(String(cString: strerror(errno)))")
        }
    }

    private static func openDescriptors(doing what: String) throws(Failure) -> [Int32] {
        guard let directory = opendir("/proc/self/fd") else {
            throw Failure(.failed, what, why: "/proc/self/fd: \(String(cString: strerror(errno)))")
        }
        defer { closedir(directory) }
        var descriptors: [Int32] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if let descriptor = Int32(name) { descriptors.append(descriptor) }
        }
        return descriptors
    }

    private static func execute(_ line: String, by library: LVMLibrary) -> Int32 {
        let mask = umask(0o077)
        defer { umask(mask) }
        guard let handle = library.start() else { return Int32(LVM2_INIT_FAILED) }
        let code = library.run(handle, line)
        library.end(handle)
        fflush(nil)
        return code == LVM2_COMMAND_SUCCEEDED ? 0 : code
    }
}
