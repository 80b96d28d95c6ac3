import FoundationEssentials
import Glibc
import HostModel
import Testing

@testable import Storage

/// Runs `body` with the path of a fresh directory that is removed afterwards.
func withTemporaryDirectory<Result>(_ body: (String) throws -> Result) throws -> Result {
    var template = Array("/tmp/xenlvs-storage-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw Failure.system("cannot make a directory for a test") }
    let path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try body(path)
}

/// What a command printed, and its exit code.
@discardableResult
func shell(_ command: String) throws -> (output: String, code: Int32) {
    guard let pipe = popen(command, "r") else { throw Failure.system("cannot run '\(command)'") }
    var output: [UInt8] = []
    while case let byte = fgetc(pipe), byte != EOF { output.append(UInt8(truncatingIfNeeded: byte)) }
    let status = pclose(pipe)
    return (String(decoding: output, as: UTF8.self), (status >> 8) & 0xff)
}

/// Whether this machine lets the tests make block device nodes; containers may not.
let canMakeNodes: Bool = {
    let allowed = try? withTemporaryDirectory { path in mknod(path + "/n", S_IFBLK | 0o600, dev_t(7 << 8)) == 0 }
    return allowed ?? false
}()

/// Whether this machine lets the tests use loop devices.
let canUseLoopDevices = geteuid() == 0 && access("/dev/loop-control", R_OK | W_OK) == 0

/// A link directory below a temporary directory, beside a `dev` with block device nodes.
struct LinkFixture {
    let root: String
    let links: LinkDirectory

    init(_ root: String) throws {
        self.root = root
        mkdir(root + "/dev", 0o755)
        for (index, name) in ["dm-0", "dm-1", "drbd0"].enumerated() {
            // Nodes of loop devices: the kernel is never asked about them.
            guard mknod("\(root)/dev/\(name)", S_IFBLK | 0o600, dev_t(7 << 8 | index)) == 0 else {
                throw Failure.system("cannot make a device node")
            }
        }
        mkdir(root + "/dev/vg0", 0o755)
        symlink("../dm-0", root + "/dev/vg0/web1")
        links = LinkDirectory(path: root + "/links", devices: root + "/dev", owner: geteuid())
    }

    var volume: String { root + "/dev/vg0/web1" }
    var replica: String { root + "/dev/drbd0" }
}

/// Runs `body` with a fresh `LinkFixture`.
func withLinks(_ body: (LinkFixture) throws -> Void) throws {
    try withTemporaryDirectory { try body(LinkFixture($0)) }
}

let web1 = VolumeName(unchecked: "web1")
let vg0 = VolumeGroupName(unchecked: "vg0")

/// The code and the whole text of the failure that `body` throws; nil where it throws none.
func failure(_ body: () throws -> Void) -> (code: Failure.Code, text: String)? {
    do {
        try body()
        return nil
    } catch {
        let failure = Failure(error, doing: "test")
        return (failure.code, failure.description)
    }
}
