import HostModel

/// liblvm2cmd, loaded by the process that is to run a command. Linked into the program it would be brought in, with all that it
/// needs itself, for every command that never asks LVM: a sixth of their start.
struct LVMLibrary {
    let start: @convention(c) () -> UnsafeMutableRawPointer?
    let run: @convention(c) (UnsafeMutableRawPointer, UnsafePointer<CChar>) -> CInt
    let end: @convention(c) (UnsafeMutableRawPointer) -> Void

    /// Throws `.notFound` where it is not installed. Its interface has had that name since 2.03.
    init() throws(Failure) {
        let library = try DynamicLibrary("liblvm2cmd.so.2.03", package: "liblvm2cmd2.03", doing: "LVM cannot be asked")
        start = try library.function("lvm2_init")
        run = try library.function("lvm2_run")
        end = try library.function("lvm2_exit")
    }
}
