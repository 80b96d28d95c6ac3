import Foundation
import Glibc
import HostModel
import ISCSI
import SeedKit
import Testing

@testable import ISCSIHost

/// The real daemon, tgt 1.0.85, on the loopback; files stand for volumes.
@Suite("tgt's daemon", .serialized, .enabled(if: geteuid() == 0))
struct TGTDaemonTests {
    private static let initiators = ["b", "c"].map { try! ISCSIName("iqn.1993-08.org.debian:01:\($0)") }

    private func credentials(_ word: String, mutual: Bool) -> CHAPCredentials {
        try! CHAPCredentials(
            initiator: CHAPAccount(user: "user-\(word)", secret: CHAPSecret("the-secret-of-\(word)")),
            target: mutual ? CHAPAccount(user: "target-\(word)", secret: CHAPSecret("the-mutual-of-\(word)")) : nil)
    }

    private func export(
        _ name: String, _ daemon: RunningTGT, initiators: [ISCSIName]? = nil, lun: Int = 1, readOnly: Bool = false,
        thin: Bool = false, generation: Int = 0, chap: CHAPCredentials? = nil
    ) -> ResolvedExport {
        let initiators = initiators ?? [Self.initiators[0]]
        return ResolvedExport(
            ISCSIExport(
                volume: VolumeName(unchecked: name), target: try! ISCSIName("iqn.2026-11.invalid.xenlvs.test:\(name)"),
                portals: [try! Portal("127.0.0.1:\(daemon.port)")], initiators: initiators.map { AllowedInitiator($0) },
                isReadOnly: readOnly, isThin: thin),
            lun: lun, identity: DeviceIdentity(groupUUID: "group", volumeUUID: "\(name)-\(generation)"),
            devicePath: daemon.disk(name), deviceNumber: "253:0",
            credentials: chap.map { value in Dictionary(uniqueKeysWithValues: initiators.map { ($0, value) }) } ?? [:])
    }

    private func owned(_ states: [ResolvedState]) -> LIOOwnership {
        LIOOwnership(
            items: Set(states.flatMap { $0.exports.map { .init(target: $0.export.target, volume: $0.export.volume) } }))
    }

    private func plan(_ daemon: RunningTGT, _ state: ResolvedState, _ owned: LIOOwnership) throws -> [TGTOrder] {
        try TargetDifference(from: daemon.daemon.snapshot(limit: .seconds(5)), to: state, owned: owned).orders
            .compactMap { if case .tgt(let order) = $0 { order } else { nil } }
    }

    private func apply(_ daemon: RunningTGT, _ orders: some Sequence<TGTOrder>) throws {
        for order in orders {
            try daemon.daemon.perform(order, limit: .seconds(5))
            for target in try daemon.daemon.snapshot(limit: .seconds(5)).targets {
                #expect(!target.rules.contains("ALL"), "\(target.name) is open to everybody after '\(order)'")
            }
        }
    }

    @Test("What is ordered is there, with the identity that LIO would give it, and a second look finds nothing to do")
    func served() throws {
        let daemon = try RunningTGT()
        let state = ResolvedState(exports: [
            export("web1", daemon, readOnly: true, chap: credentials("web1", mutual: true)),
            export("web2", daemon, initiators: Self.initiators, lun: 7, thin: true),
        ])
        let owned = owned([state])
        try apply(daemon, try plan(daemon, state, owned))
        #expect(try plan(daemon, state, owned).isEmpty)
        let found = try daemon.daemon.snapshot(limit: .seconds(5))
        #expect(found.portals == ["127.0.0.1:\(daemon.port)"])
        let disk = try #require(found.targets.first { $0.name.hasSuffix("web1") }?.units.last)
        #expect(disk.values["SCSI ID"] == String(state.exports[0].identity.wwid.dropFirst()))
        #expect(disk.values["Readonly"] == "Yes" && disk.values["Backing store type"] == "rdwr")
        try apply(daemon, try plan(daemon, ResolvedState(exports: []), owned))
        let rest = try daemon.daemon.snapshot(limit: .seconds(5))
        #expect(rest.targets.isEmpty && rest.accounts.isEmpty)
    }

    @Test("Only who is named may log in, and an address that somebody has let in goes")
    func strangers() throws {
        let daemon = try RunningTGT()
        let state = ResolvedState(exports: [export("web1", daemon)])
        let target = state.exports[0].export.target
        try apply(daemon, try plan(daemon, state, owned([state])))
        #expect(try daemon.login(to: target, as: Self.initiators[0]) == 0)
        #expect(try daemon.login(to: target, as: Self.initiators[1]) == 0x0203)
        try daemon.order("--mode target --op bind --tid 1 --initiator-address ALL")
        #expect(try daemon.login(to: target, as: Self.initiators[1]) == 0)
        for order in try plan(daemon, state, owned([state])) { try daemon.daemon.perform(order, limit: .seconds(5)) }
        #expect(try daemon.login(to: target, as: Self.initiators[1]) == 0x0203)
    }

    @Test("By targets.conf, too, only who is named may log in")
    func strangersByConfiguration() throws {
        let daemon = try RunningTGT()
        let state = ResolvedState(exports: [export("web1", daemon)])
        let target = state.exports[0].export.target
        let path = daemon.directory + "/targets.conf"
        try TGTConfiguration(state).text.write(toFile: path, atomically: true, encoding: .utf8)
        _ = try daemon.run("/usr/sbin/tgt-admin", ["-C", "\(daemon.control)", "-c", path, "--execute"])
        try daemon.order("--mode portal --op new --param portal=127.0.0.1:\(daemon.port)")
        #expect(try daemon.login(to: target, as: Self.initiators[0]) == 0)
        #expect(try daemon.login(to: target, as: Self.initiators[1]) == 0x0203)
    }

    @Test("From any state to any other, also when the orders end at any place", .timeLimit(.minutes(3)))
    func convergence() throws {
        let daemon = try RunningTGT()
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed \(seed)")
        var numbers = SeededNumbers(seed: seed)
        func state() -> ResolvedState {
            ResolvedState(
                exports: ["v0", "v1", "v2"].filter { _ in Bool.random(using: &numbers) }.map { name in
                    export(
                        name, daemon,
                        initiators: Bool.random(using: &numbers)
                            ? Self.initiators : [Self.initiators[Int.random(in: 0...1, using: &numbers)]],
                        lun: Int.random(in: 1...2, using: &numbers), readOnly: Bool.random(using: &numbers),
                        thin: Bool.random(using: &numbers), generation: Int.random(in: 0...1, using: &numbers),
                        chap: Bool.random(using: &numbers)
                            ? credentials(
                                "\(Int.random(in: 0...1, using: &numbers))", mutual: Bool.random(using: &numbers)) : nil
                    )
                })
        }
        try daemon.order("--mode target --op new --tid 40 --targetname iqn.2026-11.com.example:theirs")
        var former = ResolvedState(exports: [])
        for run in 0..<25 {
            let next = state()
            let owned = owned([former, next])
            let orders = try plan(daemon, next, owned)
            // Cut off, looked at again, and brought to its end.
            try apply(daemon, orders.prefix(Int.random(in: 0...orders.count, using: &numbers)))
            try apply(daemon, try plan(daemon, next, owned))
            #expect(try plan(daemon, next, owned).isEmpty, "run \(run) of seed \(seed)")
            former = next
        }
        let found = try daemon.daemon.snapshot(limit: .seconds(5))
        #expect(found.targets.contains { $0.name == "iqn.2026-11.com.example:theirs" && $0.number == 40 })
    }

    @Test("What tgt-admin makes of targets.conf is what would be ordered")
    func targetsConf() throws {
        let daemon = try RunningTGT()
        let state = ResolvedState(exports: [
            export("web1", daemon, readOnly: true, chap: credentials("web1", mutual: true)),
            export("web2", daemon, initiators: Self.initiators, lun: 7, thin: true),
        ])
        let path = daemon.directory + "/targets.conf"
        try TGTConfiguration(state).text.write(toFile: path, atomically: true, encoding: .utf8)
        let pretended = try daemon.run(
            "/usr/sbin/tgt-admin", ["-C", "\(daemon.control)", "-c", path, "--pretend", "--execute"])
        #expect(pretended.contains("-T iqn.2026-11.invalid.xenlvs.test:web1"), "\(pretended)")
        #expect(try daemon.daemon.snapshot(limit: .seconds(5)).targets.isEmpty)
        _ = try daemon.run("/usr/sbin/tgt-admin", ["-C", "\(daemon.control)", "-c", path, "--execute"])
        // Portals are no matter of that file.
        let rest = try plan(daemon, state, owned([state])).map(\.description)
        #expect(rest.allSatisfy { $0.contains("--mode portal") }, "\(rest)")
    }

    @Test("What the daemon refuses is told with the order and in words")
    func refusals() throws {
        let daemon = try RunningTGT()
        var gone = export("web1", daemon)
        gone.devicePath = "/nowhere/web1"
        let state = ResolvedState(exports: [gone])
        let failure = #expect(throws: Failure.self) { try apply(daemon, try plan(daemon, state, owned([state]))) }
        #expect(
            failure?.what.contains("--backing-store /nowhere/web1") == true && failure?.why?.contains("its log") == true
        )
        let silent = TGTDaemon(socketPath: daemon.directory + "/none")
        #expect(#expect(throws: Failure.self) { try silent.snapshot(limit: .seconds(1)) }?.code == .notFound)
    }
}

/// tgtd with a portal that nobody asked for; it ends with the value.
private final class RunningTGT {
    let directory = FileManager.default.temporaryDirectory.path + "/xenlvs-tgt-\(UInt64.random(in: 0...UInt64.max))"
    let port = Int.random(in: 20000..<25000)
    let control = Int.random(in: 100..<30000)
    private let process = Process()

    var daemon: TGTDaemon { TGTDaemon(socketPath: "/var/run/tgtd/socket.\(control)") }
    func disk(_ name: String) -> String { "\(directory)/\(name)" }

    init() throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        for name in ["web1", "web2", "v0", "v1", "v2"] {
            try Data().write(to: URL(filePath: disk(name)))
            truncate(disk(name), 8 << 20)
        }
        process.executableURL = URL(filePath: "/usr/sbin/tgtd")
        process.arguments = ["-f", "-C", "\(control)", "--iscsi", "portal=127.0.0.1:\(port + 5000)"]
        (process.standardOutput, process.standardError) = (FileHandle.nullDevice, FileHandle.nullDevice)
        try process.run()
        for _ in 0..<50 {
            if (try? daemon.snapshot(limit: .seconds(1))) != nil { return }
            usleep(100_000)
        }
        throw CocoaError(.executableLoad)
    }

    deinit {
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        try? FileManager.default.removeItem(atPath: directory)
    }

    func order(_ line: String) throws {
        _ = try run(
            "/usr/sbin/tgtadm", ["-C", "\(control)", "--lld", "iscsi"] + line.split(separator: " ").map(String.init))
    }

    /// The status of one login request (RFC 7143, 11.12 and 11.13): class and detail, 0 where it may go on.
    func login(to target: ISCSIName, as initiator: ISCSIName) throws -> Int {
        let keys = [
            "InitiatorName=\(initiator)", "TargetName=\(target)", "SessionType=Normal", "AuthMethod=None",
        ]
        let data = Array(keys.joined(separator: "\0").utf8) + [0]
        var request = [UInt8](repeating: 0, count: 48)
        // An immediate login from security negotiation to the operational one.
        (request[0], request[1], request[7]) = (0x43, 0x81, UInt8(data.count))
        (request[8], request[13]) = (0x80, UInt8.random(in: 1...255))
        request += data + [UInt8](repeating: 0, count: (4 - data.count % 4) % 4)

        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var time = timeval(tv_sec: 5, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(connected == 0 && send(descriptor, request, request.count, 0) == request.count)
        var answer = [UInt8](repeating: 0, count: 48)
        try #require(recv(descriptor, &answer, 48, Int32(MSG_WAITALL)) == 48 && answer[0] == 0x23)
        return Int(answer[36]) << 8 | Int(answer[37])
    }

    func run(_ path: String, _ arguments: [String]) throws -> String {
        let tool = Process()
        tool.executableURL = URL(filePath: path)
        tool.arguments = arguments
        let output = Pipe()
        (tool.standardOutput, tool.standardError) = (output, output)
        try tool.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        tool.waitUntilExit()
        try #require(tool.terminationStatus == 0, "\(text)")
        return text
    }
}
