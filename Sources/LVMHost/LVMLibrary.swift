import Glibc
import HostModel

/// liblvm2cmd, loaded by the process that is to run a command. Linked into the program it would be brought in, with all that it
/// needs itself, for every command that never asks LVM: a sixth of their start.
struct LVMLibrary {
    let start: @convention(c) () -> UnsafeMutableRawPointer?
    let run: @convention(c) (UnsafeMutableRawPointer, UnsafePointer<CChar>) -> CInt
    let end: @convention(c) (UnsafeMutableRawPointer) -> Void

    /// The name that its interface has had since 2.03 (`SONAME`).
    private static let name = "liblvm2cmd.so.2.03"

    /// Throws `.notFound` where it is not installed.
    init() throws(Failure) {
        guard let handle = dlopen(Self.name, RTLD_NOW | RTLD_LOCAL) else {
            throw Failure(
                .notFound, "LVM cannot be asked", why: dlerror().map { String(cString: $0) } ?? Self.name,
                remedy: "install the package liblvm2cmd2.03")
        }
        func find<Function>(_ symbol: String) throws(Failure) -> Function {
            guard let address = dlsym(handle, symbol) else {
                throw Failure(.failed, "\(Self.name) cannot be used", why: "it has no '\(symbol)'")
            }
            // dlsym(3) gives functions as data.
            return unsafeBitCast(address, to: Function.self)
        }
        start = try find("lvm2_init")
        run = try find("lvm2_run")
        end = try find("lvm2_exit")
    }
}
