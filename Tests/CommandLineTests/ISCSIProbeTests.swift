import Foundation
import Glibc
import HostModel
import ISCSI
import Testing

/// The process that looks at targets, with a real target in user space (tgt) on the loopback.
@Suite("Looking at an iSCSI target", .serialized, .enabled(if: geteuid() == 0))
struct ISCSIProbeTests {
    private static let secret = "the-right-secret"
    private static let initiator = try! ISCSIName("iqn.1993-08.org.debian:01:test")

    @Test("Login, mutual CHAP, identity and size", .timeLimit(.minutes(1)))
    func login() throws {
        let target = try UserSpaceTarget(secret: Self.secret)
        let root = try Root()
        let right = try file(root, "right", Self.secret, mutual: "the-other-secret")
        let disk = try probe(target, root, right).0.disk(request(target, right), lun: nil)
        #expect(disk.identity.wwid == "360014050123456789abcdef012345678" && disk.identity.size.bytes == 64 << 20)
        #expect(disk.lun == 1 && disk.groupTag == 1)
        // A target that cannot prove itself is not logged in to.
        let impostor = try probe(target, root, try file(root, "impostor", Self.secret, mutual: "not-its-secret"))
        #expect(impostor.0.units == nil && impostor.0.trouble != nil)
    }

    @Test("A wrong secret, none, and a target that is not there", .timeLimit(.minutes(1)))
    func refusals() throws {
        let target = try UserSpaceTarget(secret: Self.secret)
        let root = try Root()
        let wrong = try file(root, "wrong", "not-the-right-one")
        let (answer, run) = try probe(target, root, wrong)
        #expect(answer.trouble == .refused(status: 0x201))
        #expect(!run.output.contains("not-the-right-one") && !run.errors.contains("not-the-right-one"))
        #expect(try probe(target, root, nil).0.trouble == .refused(status: 0x201))
        var other = request(target, nil)
        other.target = try ISCSIName("iqn.2026-11.invalid.xenlvs.test:none")
        let (none, _) = try probe(other, root)
        #expect(none.trouble == .refused(status: 0x203))
        #expect(none.offers?.contains { $0.target == target.name } == true)
    }

    @Test("Nobody there, and somebody who says nothing", .timeLimit(.minutes(1)))
    func silence() throws {
        let root = try Root()
        let listener = try Listener()
        var request = ProbeRequest(
            target: try ISCSIName("iqn.2026-11.invalid.xenlvs.test:none"), portal: try Portal("127.0.0.1:1"),
            initiator: Self.initiator, seconds: 2)
        guard case .unreachable = try probe(request, root).0.trouble else {
            Issue.record("a closed port is not unreachable")
            return
        }
        request.portal = try Portal("127.0.0.1:\(listener.port)")
        let start = ContinuousClock.now
        guard case .silent = try probe(request, root).0.trouble else {
            Issue.record("a silent portal was not given up")
            return
        }
        #expect(start.duration(to: .now) < .seconds(10))
    }

    @Test("A secret that others could read is refused, and so is one that is too short", .timeLimit(.minutes(1)))
    func secrets() throws {
        let root = try Root()
        let open = try file(root, "open", Self.secret)
        chmod(open, 0o644)
        let short = try file(root, "short", "tooshort")
        for (path, word) in [(open, "others may read"), (short, "12 to 255")] {
            let request = ProbeRequest(
                target: try ISCSIName("iqn.2026-11.invalid.xenlvs.test:none"), portal: try Portal("127.0.0.1:1"),
                initiator: Self.initiator, chapFile: path)
            let text = String(decoding: try JSONEncoder().encode(request), as: UTF8.self)
            let run = try Product.run(["iscsi-probe", "--", text], root: root)
            #expect(run.status != 0 && run.errors.contains(word) && !run.errors.contains("tooshort"), "\(run.errors)")
        }
    }

    private func file(_ root: Root, _ name: String, _ secret: String, mutual: String? = nil) throws -> String {
        let path = "\(root.path)/etc/xenlvs/\(name)"
        let second = mutual.map { "mutual_user = target\nmutual_secret = \($0)\n" } ?? ""
        try Data("user = web\nsecret = \(secret)\n\(second)".utf8).write(to: URL(fileURLWithPath: path))
        chmod(path, 0o600)
        return path
    }

    private func request(_ target: UserSpaceTarget, _ file: String?) -> ProbeRequest {
        ProbeRequest(
            target: try! ISCSIName(target.name), portal: try! Portal("127.0.0.1:\(target.port)"),
            initiator: Self.initiator, chapFile: file)
    }

    private func probe(_ target: UserSpaceTarget, _ root: Root, _ file: String?) throws -> (ProbeAnswer, Run) {
        try probe(request(target, file), root)
    }

    private func probe(_ request: ProbeRequest, _ root: Root) throws -> (ProbeAnswer, Run) {
        let text = String(decoding: try JSONEncoder().encode(request), as: UTF8.self)
        let run = try Product.run(["iscsi-probe", "--", text], root: root)
        try #require(run.status == 0, "\(run.errors)")
        return (try JSONDecoder().decode(ProbeAnswer.self, from: Data(run.output.utf8)), run)
    }
}

/// tgtd with one disk of 64 MiB; it ends with the value.
private final class UserSpaceTarget {
    let name = "iqn.2026-11.invalid.xenlvs.test:one"
    let port = Int.random(in: 20000..<30000)
    private let control = Int.random(in: 100..<30000)
    private let disk: String
    private let daemon = Process()

    init(secret: String) throws {
        disk = FileManager.default.temporaryDirectory.path + "/xenlvs-tgt-\(UInt64.random(in: 0...UInt64.max))"
        try Data().write(to: URL(fileURLWithPath: disk))
        truncate(disk, 64 << 20)
        daemon.executableURL = URL(fileURLWithPath: "/usr/sbin/tgtd")
        daemon.arguments = ["-f", "-C", "\(control)", "--iscsi", "portal=127.0.0.1:\(port)"]
        daemon.standardOutput = FileHandle.nullDevice
        daemon.standardError = FileHandle.nullDevice
        try daemon.run()
        var patience = 50
        while (try? order("--mode sys --op show")) == nil, patience > 0 {
            usleep(100_000)
            patience -= 1
        }
        for line in [
            "--mode target --op new --tid 1 --targetname \(name)",
            "--mode logicalunit --op new --tid 1 --lun 1 -b \(disk)",
            "--mode logicalunit --op update --tid 1 --lun 1 "
                + "--params scsi_id=60014050123456789abcdef012345678,scsi_sn=0123456789abcdef0123456789abcdef",
            "--mode account --op new --user web --password \(secret)", "--mode account --op bind --tid 1 --user web",
            "--mode account --op new --user target --password the-other-secret",
            "--mode account --op bind --tid 1 --user target --outgoing", "--mode target --op bind --tid 1 -I ALL",
        ] {
            try order(line)
        }
    }

    deinit {
        kill(daemon.processIdentifier, SIGKILL)
        daemon.waitUntilExit()
        unlink(disk)
    }

    @discardableResult
    private func order(_ line: String) throws -> Int32 {
        let tool = Process()
        tool.executableURL = URL(fileURLWithPath: "/usr/sbin/tgtadm")
        tool.arguments = ["-C", "\(control)", "--lld", "iscsi"] + line.split(separator: " ").map(String.init)
        tool.standardOutput = FileHandle.nullDevice
        tool.standardError = FileHandle.nullDevice
        try tool.run()
        tool.waitUntilExit()
        guard tool.terminationStatus == 0 else { throw CocoaError(.featureUnsupported) }
        return 0
    }
}

/// A port that takes connections and never says a word.
private final class Listener {
    private let descriptor: Int32
    let port: Int

    init() throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                _ = bind(descriptor, generic, length)
                listen(descriptor, 8)
                getsockname(descriptor, generic, &length)
            }
        }
        self.descriptor = descriptor
        port = Int(UInt16(bigEndian: address.sin_port))
    }

    deinit { close(descriptor) }
}
