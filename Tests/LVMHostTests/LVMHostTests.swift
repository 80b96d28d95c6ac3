import FoundationEssentials
import Glibc
import HostModel
import Testing

@testable import LVMHost

/// Every test runs the real library in a process of its own, as the `lvm-worker` command does.
@Suite("LVM in a child process", .serialized, .enabled(if: geteuid() == 0, "LVM needs root"))
struct LVMHostTests {
    @Test("LVM answers through the library, on standard output and with exit code 0")
    func version() async throws {
        let result = try await #require(processExitsWith: .exitCode(0), observing: [\.standardOutputContent]) {
            exit(LVMHost.run(arguments: ["version"]))
        }
        #expect(String(decoding: result.standardOutputContent, as: UTF8.self).contains("LVM version:     2."))
    }

    @Test("LVM's settings can be asked for")
    func settings() async throws {
        let result = try await #require(processExitsWith: .exitCode(0), observing: [\.standardOutputContent]) {
            exit(LVMHost.run(arguments: ["lvmconfig", "--typeconfig", "full", "devices/filter"]))
        }
        #expect(String(decoding: result.standardOutputContent, as: UTF8.self).hasPrefix("filter="))
    }

    @Test("What LVM refuses to understand ends with its code 3, and what fails with 5, said on standard error")
    func codes() async throws {
        await #expect(processExitsWith: .exitCode(3)) { exit(LVMHost.run(arguments: ["lvs", "--no-such-option"])) }
        let failed = try await #require(
            processExitsWith: .exitCode(5), observing: [\.standardErrorContent, \.standardOutputContent]
        ) {
            exit(LVMHost.run(arguments: ["lvs", "--reportformat", "json", "no-such-group"]))
        }
        #expect(String(decoding: failed.standardErrorContent, as: UTF8.self).contains("no-such-group"))
        #expect(!String(decoding: failed.standardOutputContent, as: UTF8.self).contains("no-such-group"))
    }

    @Test("A command off the list ends with 64 and one line, before LVM is started")
    func refused() async throws {
        let result = try await #require(processExitsWith: .exitCode(64), observing: [\.standardErrorContent]) {
            exit(LVMHost.run(arguments: ["vgremove", "--force", "vg0"]))
        }
        let words = String(decoding: result.standardErrorContent, as: UTF8.self)
        #expect(words.contains("cannot run LVM's 'vgremove'"))
        #expect(words.split(separator: "\n").count == 1)
    }

    @Test("Inherited files are closed, so that LVM does not complain of them, and standard input is empty")
    func isolation() async throws {
        let result = try await #require(processExitsWith: .exitCode(0), observing: [\.standardErrorContent]) {
            let inherited = open("/etc/hostname", O_RDONLY)
            precondition(dup2(inherited, 200) == 200)
            var answers: [Int32] = [0, 0]
            precondition(pipe(&answers) == 0 && write(answers[1], "y", 1) == 1 && dup2(answers[0], STDIN_FILENO) == 0)
            let mask = umask(0o027)
            let code = LVMHost.run(arguments: ["version"])
            precondition(fcntl(200, F_GETFD) == -1)
            precondition(umask(mask) == 0o027)
            var byte: UInt8 = 0
            precondition(read(STDIN_FILENO, &byte, 1) == 0)
            exit(code)
        }
        #expect(!String(decoding: result.standardErrorContent, as: UTF8.self).contains("leaked"))
    }

    @Test("A lock on standard input is held for as long as the process lives, and standard input is empty nevertheless")
    func lock() async {
        await #expect(processExitsWith: .exitCode(0)) {
            let path = "/tmp/xenlvs-lvm-lock-\(getpid())"
            let lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
            precondition(write(lock, "y", 1) == 1 && lseek(lock, 0, SEEK_SET) == 0)
            precondition(flock(lock, LOCK_EX | LOCK_NB) == 0 && dup2(lock, STDIN_FILENO) == STDIN_FILENO)
            close(lock)
            let code = LVMHost.run(arguments: ["version"])
            var byte: UInt8 = 0
            precondition(read(STDIN_FILENO, &byte, 1) == 0)
            let other = open(path, O_RDWR | O_CLOEXEC)
            precondition(other >= 0 && flock(other, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK)
            unlink(path)
            exit(code)
        }
    }

    @Test(
        "A report far longer than the 4095 bytes of LVM's log callback arrives whole",
        .enabled(if: access("/dev/loop-control", R_OK | W_OK) == 0, "loop devices need /dev/loop-control"),
        .enabled(if: access("/usr/sbin/vgcreate", X_OK) == 0, "making a volume group needs the lvm2 package"))
    func longReport() async throws {
        let group = try TestGroup()
        defer { group.remove() }
        let tags = (0..<90).map { "xenlvs.test-tag-number-\($0)-" + String(repeating: "x", count: 40) }
        try group.vgchange(tags.map { "--addtag \($0)" }.joined(separator: " "))
        setenv("LVM_SYSTEM_DIR", group.configuration, 1)
        defer { unsetenv("LVM_SYSTEM_DIR") }
        let result = try await #require(processExitsWith: .exitCode(0), observing: [\.standardOutputContent]) {
            exit(LVMHost.run(arguments: ["vgs", "--reportformat", "json", "--options", "vg_name,vg_tags"]))
        }
        struct Report: Decodable {
            struct Section: Decodable { var vg: [[String: String]] }
            var report: [Section]
        }
        #expect(result.standardOutputContent.count > 4095)
        let report = try JSONDecoder().decode(Report.self, from: Data(result.standardOutputContent))
        let row = try #require(report.report.first?.vg.first { $0["vg_name"] == group.name })
        #expect(row["vg_tags"]?.split(separator: ",").map(String.init) == tags.sorted())
    }
}

/// A volume group on a loop device that no other LVM configuration looks at.
private struct TestGroup {
    let name = "xenlvs-test-\(getpid())"
    let configuration: String
    private let device: String

    init() throws {
        var template = Array("/tmp/xenlvs-lvm-XXXXXX".utf8CString)
        precondition(mkdtemp(&template) != nil)
        configuration = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        let image = configuration + "/image"
        try Self.shell("truncate --size 16M \(image)")
        device = try Self.shell("losetup --find --show \(image)").filter { $0 != "\n" }
        let text = """
            devices {
                global_filter = ["a|^\(device)$|", "r|.*|"]
                obtain_device_list_from_udev = 0
                use_devicesfile = 0
                external_device_info_source = "none"
            }
            activation { udev_sync = 0 udev_rules = 0 monitoring = 0 }
            backup { backup = 0 archive = 0 }
            """
        try Data(text.utf8).write(to: URL(filePath: configuration + "/lvm.conf"))
        try lvm("vgcreate --quiet \(name) \(device)")
    }

    func vgchange(_ arguments: String) throws { try lvm("vgchange --quiet \(arguments) \(name)") }

    func remove() {
        _ = try? Self.shell("losetup --detach \(device)")
        try? FileManager.default.removeItem(atPath: configuration)
    }

    private func lvm(_ command: String) throws {
        try Self.shell("LVM_SYSTEM_DIR=\(configuration) LVM_SUPPRESS_FD_WARNINGS=1 \(command)")
    }

    @discardableResult
    private static func shell(_ command: String) throws -> String {
        guard let pipe = popen(command, "r") else { throw Failure(.failed, "cannot run '\(command)'") }
        var output: [UInt8] = []
        while case let byte = fgetc(pipe), byte != EOF { output.append(UInt8(truncatingIfNeeded: byte)) }
        guard pclose(pipe) == 0 else { throw Failure(.failed, "'\(command)' failed") }
        return String(decoding: output, as: UTF8.self)
    }
}
