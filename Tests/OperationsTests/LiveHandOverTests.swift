import Foundation
import Glibc
import HostModel
import Hosts
import Migration
import Storage
import Synchronization
import Testing

@testable import Domains
@testable import Operations

@Suite("A live hand-over")
struct LiveHandOverTests {
    @Test("The transport hands both ends of its pipes to whoever listens, and nobody else has them")
    func transport() throws {
        let path = FileManager.default.temporaryDirectory.path + "/xenlvs-\(getpid()).sock"
        let listener = try TransportListener(at: path)
        #expect(try listener.accept(within: 10) == nil)
        #expect(TransportRelay.run(arguments: [path]) == 0)
        let ends = try #require(try listener.accept(within: 1000))
        defer {
            close(ends.fromXL)
            close(ends.toXL)
        }
        #expect(Self.file(ends.fromXL) == Self.file(0) && Self.file(ends.toXL) == Self.file(1))
        for end in [ends.fromXL, ends.toXL] { #expect(fcntl(end, F_GETFD) & FD_CLOEXEC != 0) }
    }

    @Test("Without a listener the transport fails, and says why")
    func noListener() {
        #expect(TransportRelay.run(arguments: ["/nowhere/xenlvs.sock"]) == 1)
        #expect(TransportRelay.run(arguments: []) == 1)
    }

    @Test("The line for xl's shell survives any path")
    func line() throws {
        let line = try TransportRelay.line("/run/it's/live.sock")
        #expect(line.hasPrefix("exec ") && line.hasSuffix(" migrate-transport -- '/run/it'\\''s/live.sock'"))
    }

    private static func file(_ descriptor: Int32) -> [UInt64] {
        var status = stat()
        fstat(descriptor, &status)
        return [UInt64(status.st_dev), UInt64(status.st_ino)]
    }

    @Test("The messages of Xen 4.17's xl, with the NUL that all but the banner end in")
    func messages() {
        #expect(LiveMigration.banner.last == UInt8(ascii: "\n"))
        for message in [LiveMigration.ready, LiveMigration.permission, LiveMigration.report] {
            #expect(message.last == 0 && !message.dropLast().contains(0))
        }
        #expect(
            LiveMigration.tellsOfSuspension(
                "libxl: debug: libxl_dom_suspend.c:204:domain_suspend_callback_common: Domain 3:issuing PVH/HVM suspend request via XenBus control node"
            ))
        #expect(!LiveMigration.tellsOfSuspension("libxl: debug: Domain 3:guest has suspended"))
    }

    @Test("A mutation's lines are told while it runs, each once, also the last ones")
    func listening() async throws {
        let lines = Lines()
        let command = Command(.blockdev, ["--no-such-option"], .mutation, acceptedExitCodes: Set(0...255))
        let result = try await ProcessRunner().run(command) { lines.add($0) }
        #expect(lines.all == result.errors.split(whereSeparator: \.isNewline).map(String.init))
        #expect(!lines.all.isEmpty)
    }

    private static func sharedSpec(_ volume: String = "web1") throws -> MigrationSpec {
        var spec = try TargetHost.spec()
        spec.volumes = []
        spec.sharedDisks = [
            DiskSpec(name: try VolumeName(volume), device: "xvda", size: .mebibytes(64))
        ]
        spec.plan = MigrationPlan(method: .live, storage: .shared, settlement: .late, comparesCopies: false)
        spec.removesSource = false
        return spec
    }

    @Test("A guest that brings no disks is let in only where it finds them shared", arguments: ["db", "web1"])
    func foreignDisk(_ volume: String) async throws {
        let target = try TargetHost()
        var session = try await target.session()
        let order = TargetHost.order(.reserveTarget, try Self.sharedSpec(volume))
        let failure = await #expect(throws: Failure.self) { try await session.answer(order) }
        #expect(
            failure?.code == .refused && failure?.what.contains("\(volume) is not the disk") == true,
            "\(String(describing: failure))")
        #expect(try target.host.database.migrations(openOnly: true).isEmpty)
    }

    @Test("A restricted key brings no guest whose disks are shared: it could name any disk of this host")
    func restrictedKey() async throws {
        let target = try TargetHost(restriction: TargetHost.restriction)
        var session = try await target.session()
        let order = TargetHost.order(.reserveTarget, try Self.sharedSpec())
        let failure = await #expect(throws: Failure.self) { try await session.answer(order) }
        #expect(failure?.why?.contains("the key is restricted") == true, "\(String(describing: failure))")
        #expect(target.programs.mutations.isEmpty)
    }
}

/// What was heard, by whichever thread.
private final class Lines: Sendable {
    private let lines = Mutex<[String]>([])
    var all: [String] { lines.withLock { $0 } }
    func add(_ line: String) { lines.withLock { $0.append(line) } }
}
