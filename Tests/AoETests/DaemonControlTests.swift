import CLinux
import DiskKit
import Foundation
import Glibc
import Testing

@Suite("xenlvsd and its socket", .enabled(if: geteuid() == 0, "network namespaces need root"))
struct DaemonControlTests {
    @Test("What cannot be exported is refused, with the reason, a way out and the code that fits")
    func refusals() throws {
        let host = try DaemonHost()
        let (file, other, odd) = (try host.file(), try host.file(), try host.file())
        try host.export(file)
        truncate(odd.path, 700)
        let there = ["--interface", "target0"]
        let cases: [(subject: String, options: [String], status: Int32, words: [String])] = [
            (file.path, ["--shelf", "1", "--slot", "3"] + there, 5, ["exported as e1.2", "unexport"]),
            (other.path, ["--shelf", "1", "--slot", "2"] + there, 5, [file.path, "--slot"]),
            (other.path, ["--shelf", "1", "--slot", "3", "--interface", "nosuch0"], 6, ["nosuch0", "ip link"]),
            (other.path, ["--shelf", "1", "--slot", "3", "--interface", "lo"], 1, ["not an Ethernet interface"]),
            (other.path, ["--shelf", "1", "--slot", "3", "--interface", "a/b"], 64, ["not the name of an interface"]),
            (other.path, ["--shelf", "1", "--slot", "3"] + there + there, 64, ["different"]),
            (other.path, ["--shelf", "1", "--slot", "3"], 64, ["--interface"]),
            (other.path, ["--shelf", "1", "--slot", "255"] + there, 64, ["0 to 254"]),
            (other.path, ["--shelf", "1", "--slot", "3", "--queue-depth", "1"] + there, 64, ["2 to 1024"]),
            (other.path, ["--shelf", "1", "--slot", "3", "--allow", "nobody"] + there, 64, ["not a MAC address"]),
            (odd.path, ["--shelf", "1", "--slot", "3"] + there, 1, ["700 bytes"]),
            ("/nosuch", ["--shelf", "1", "--slot", "3"] + there, 6, ["/nosuch"]),
            ("nosuch", ["--shelf", "1", "--slot", "3"] + there, 6, ["xenlvs volume list"]),
            ("/dev/null", ["--shelf", "1", "--slot", "3"] + there, 1, ["neither a file nor a block device"]),
        ]
        for (subject, options, status, words) in cases {
            let run = try host.run([Wire.product, "export", "aoe", subject] + options)
            #expect(run.status == status, "\(options) \(subject): \(run.errors)")
            for word in words { #expect(run.errors.contains(word), "\(word) in: \(run.errors)") }
        }
        #expect(try host.exports().keys.sorted() == ["e1.2"])
        #expect(try host.xenlvs("unexport", "aoe", "e1.9").status == 6)
        #expect(try host.xenlvs("unexport", "aoe", "1.9").status == 64)
        #expect(try host.initiators[0].read(0, 1).isGood)
    }

    @Test("A mounted device is busy, also for a read-only export")
    func mounted() throws {
        let host = try DaemonHost()
        let file = try host.file(sectors: 8192)
        _ = try Shell.run("mkfs.ext4", "-q", file.path)
        let device = try LoopDevice(file.path)
        let place = host.root + "/mnt"
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        _ = try Shell.run("mount", device.path, place)
        defer { _ = try? Shell.run("umount", place) }
        for options in [[], ["--read-only"]] {
            let run = try host.run(
                [Wire.product, "export", "aoe", device.path, "--shelf", "1", "--slot", "3", "--interface", "target0"]
                    + options)
            #expect(run.status == 5 && run.errors.contains("mounted"), "\(run.errors)")
        }
    }

    @Test("An address that another target on the wire has is busy")
    func conflict() throws {
        let host = try DaemonHost()
        let file = try host.file()
        let answering = Answering(host.initiators[0])
        let run = try host.xenlvs(
            "export", "aoe", file.path, "--shelf", "1", "--slot", "2", "--interface", "target0")
        answering.end()
        #expect(run.status == 5 && run.errors.contains("02:00:00:00:00:0a"), "\(run.errors)")
        #expect(try host.exports().isEmpty)
    }

    @Test("Without a daemon the commands say how to start it")
    func noDaemon() throws {
        let host = try DaemonHost(starts: false)
        for words in [["exports"], ["unexport", "aoe", "e1.0"]] {
            let run = try host.run([Wire.product] + words)
            #expect(run.status == 1)
            #expect(run.errors.contains("xenlvsd does not run") && run.errors.contains("systemctl"), "\(run.errors)")
        }
    }

    @Test("A second daemon is refused, and leaves the first alone")
    func second() throws {
        let host = try DaemonHost()
        let run = try host.run([Wire.product + "d"])
        #expect(run.status == 5 && run.errors.contains("another xenlvsd runs"), "\(run.errors)")
        #expect(try host.exports().isEmpty)
    }

    @Test("The socket is root's alone: 0600 below 0700, and whoever gets through is asked who he is")
    func otherUser() throws {
        let host = try DaemonHost()
        #expect(mode(host.socket) == 0o600)
        #expect(mode(host.root + "/run/xenlvs") == 0o700)
        #expect(mode(host.root + "/var/lib/xenlvs/aoe") == 0o700)
        chmod(host.socket, 0o666)
        for directory in ["", "/run", "/run/xenlvs"] { chmod(host.root + directory, 0o755) }
        // A program of its own because credentials belong to the whole process.
        let words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", Wire.product, "exports"]
        let run = try host.run(words)
        #expect(run.status == 1 && run.errors.contains("only root"), "\(run.errors)")
        #expect(try host.exports().isEmpty)
    }

    @Test("Nothing that comes over the socket keeps the daemon from serving or from answering others")
    func hostile() throws {
        let host = try DaemonHost()
        try host.export(try host.file())
        let long = [UInt8](repeating: UInt8(ascii: "x"), count: 1 << 20)
        #expect(try Talk(host.socket).ask(long).contains("longer than"))
        for text in [
            "garbage", "", "{}", "[]", "null", #"{"export":{}}"#, #"{"list":{"statistics":7}}"#,
            #"{"unexport":{"address":"e1.2"}}"#, #"{"unexport":{"address":"../../x","force":true}}"#,
            String(repeating: "[", count: 60000), "\u{0}\u{1}\u{ff}",
        ] {
            let reply = try Talk(host.socket).ask(Array(text.utf8) + [10])
            #expect(reply.contains("failure"), "\(text.prefix(50)): \(reply)")
        }
        // Half a request, from more peers than are served at a time, which then hang on.
        let hanging = try (0..<40).map { _ in try Talk(host.socket) }
        for talk in hanging { talk.send(Array(#"{"list":"#.utf8)) }
        // Before they are ended, which is after five seconds.
        #expect(try Talk(host.socket).ask([]).contains("connections are open already"))
        for sector in 0..<50 { #expect(try host.initiators[0].read(sector, 1).isGood) }
        try host.wait(seconds: 15, "hanging connections are not ended") {
            try host.xenlvs("exports").status == 0
        }
        withExtendedLifetime(hanging) {}
        #expect(try host.exports()["e1.2"]?.state == "serving")
        #expect(try host.initiators[0].read(0, 1).isGood)
    }

    @Test("A record that cannot be is not taken over the socket either")
    func badRecords() throws {
        let host = try DaemonHost()
        let good: [String: Any] = [
            "address": "e1.3", "path": try host.file().path, "interfaces": ["target0"], "readOnly": false, "allow": [],
            "durability": "durable", "cache": "automatic", "queueDepth": 128,
        ]
        let changes: [(String, Any)] = [
            ("address", "e70000.1"), ("address", "e1"), ("path", "relative"), ("path", "/x\u{0}y"),
            ("interfaces", []), ("interfaces", ["a", "a"]), ("interfaces", [String(repeating: "x", count: 16)]),
            ("interfaces", (0..<17).map { "i\($0)" }), ("allow", ["ff:ff:ff:ff:ff:ff"]), ("queueDepth", 1),
            ("queueDepth", 1 << 40), ("durability", "perhaps"), ("cache", 7), ("volume", "../x"),
        ]
        for (key, value) in changes {
            let record = good.merging([key: value]) { $1 }
            let line = try JSONSerialization.data(withJSONObject: ["export": ["_0": record]])
            let reply = try Talk(host.socket).ask(Array(line) + [10])
            #expect(reply.contains("failure"), "\(key) \(value): \(reply)")
        }
        #expect(try host.exports().isEmpty)
        let line = try JSONSerialization.data(withJSONObject: ["export": ["_0": good]])
        #expect(try Talk(host.socket).ask(Array(line) + [10]).contains("serving"))
    }

    @Test("A list of exports that cannot be read stops the daemon, and stays as it is")
    func damagedList() throws {
        let host = try DaemonHost()
        try host.export(try host.file())
        #expect(try host.terminate() == 0)
        let path = host.root + "/var/lib/xenlvs/aoe/exports.json"
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        #expect(mode(path) == 0o600)
        try bytes.prefix(bytes.count / 2).write(to: URL(fileURLWithPath: path))
        let run = try host.run([Wire.product + "d"])
        #expect(run.status == 4 && run.errors.contains(path), "\(run.errors)")
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == bytes.prefix(bytes.count / 2))
    }

    @Test("systemd is told of the start, of being alive and of the end")
    func notifications() throws {
        let host = try DaemonHost(starts: false)
        let path = host.root + "/notify"
        let listener = try NotifySocket(path)
        try host.start(["NOTIFY_SOCKET": path, "WATCHDOG_USEC": "10000000"])
        #expect(listener.next() == "READY=1")
        #expect(listener.next() == "WATCHDOG=1")
        #expect(try host.terminate() == 0)
        var last = listener.next()
        while last == "WATCHDOG=1" { last = listener.next() }
        #expect(last == "STOPPING=1")
    }

    @Test("The capabilities that the unit leaves are enough, for devices and for files of others")
    func capabilities() throws {
        let unit = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../conf/xenlvsd.service").path
        let text = try String(contentsOfFile: unit, encoding: .utf8)
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("CapabilityBoundingSet=") })
        let names = line.dropFirst("CapabilityBoundingSet=CAP_".count).lowercased().replacing(" cap_", with: ",+")
        let host = try DaemonHost(starts: false)
        try host.start(by: ["setpriv", "--bounding-set", "-all,+" + names, "--no-new-privs"])
        let file = try host.file()
        chown(file.path, 65534, 65534)
        chmod(file.path, 0o600)
        try host.export(file)
        let disk = try host.file()
        let device = try LoopDevice(disk.path)
        let words = ["--shelf", "1", "--slot", "3", "--interface", "target0", "--durable", "--direct"]
        let run = try host.run([Wire.product, "export", "aoe", device.path] + words)
        #expect(run.status == 0, "\(run.errors)")
        #expect(try host.initiators[0].write(1, sectors(1)).isGood)
        var write = Request.write(2, sectors(2))
        write.slot = 3
        #expect(try host.initiators[0].ask(write).isGood)
        var trim = Request.ata(
            feature: 1, count: 1, 0x06, data: [8, 0, 0, 0, 0, 0, 8, 0] + [UInt8](repeating: 0, count: 504))
        trim.slot = 3
        #expect(try host.initiators[0].ask(trim).isGood)
        #expect(try host.terminate() == 0)
    }

    @Test("A volume is exported by its name or any of its paths, and is busy for everything else")
    func volume() throws {
        let host = try DaemonHost()
        try makeVolume(on: host)
        defer { _ = try? host.xenlvs("volume", "remove", "web1") }
        let words = ["--shelf", "1", "--slot", "2", "--interface", "target0"]
        let run = try host.run([Wire.product, "export", "aoe", "web1"] + words)
        #expect(run.status == 0, "\(run.errors)")
        #expect(try host.exports()["e1.2"]?.path == host.root + "/dev/xenlvs/web1")
        #expect(try host.initiators[0].write(7, sectors(7)).isGood)
        #expect(try host.xenlvs("volume", "remove", "web1").status == 5)
        for subject in ["web1", host.root + "/dev/xenlvs/web1"] {
            let words = ["--shelf", "1", "--slot", "3", "--interface", "target0"]
            let again = try host.run([Wire.product, "export", "aoe", subject] + words)
            #expect(again.status == 5, "\(subject): \(again.errors)")
        }
        // Without the daemon nothing holds it; what is gone then is not looked for under its old name.
        #expect(try host.terminate() == 0)
        let removed = try host.xenlvs("volume", "remove", "web1")
        #expect(removed.status == 0, "\(removed.errors)")
        try host.start()
        let failed = try #require(try host.exports()["e1.2"])
        #expect(failed.state == "failed" && failed.why == "there is none of that name", "\(failed)")
        #expect(try host.xenlvs("unexport", "aoe", "e1.2").status == 0)
        #expect(try host.exports().isEmpty)
    }

    @Test("The partitions of a volume are not mapped while others can write to it, by an export of any of its paths")
    func partitions() throws {
        let host = try DaemonHost()
        try makeVolume(on: host)
        defer { _ = try? host.xenlvs("volume", "remove", "web1") }
        func export(_ subject: String, _ options: [String] = []) throws {
            let words = ["--shelf", "1", "--slot", "2", "--interface", "target0"]
            let run = try host.run([Wire.product, "export", "aoe", subject] + words + options)
            try #require(run.status == 0, "\(run.errors)")
        }
        for subject in ["web1", host.root + "/dev/xenlvs/web1"] {
            try export(subject)
            let refused = try host.xenlvs("volume", "partitions", "web1")
            #expect(refused.status == 5, "\(subject): \(refused.errors)")
            #expect(
                refused.errors.contains("exported as e1.2") && refused.errors.contains("unexport"), "\(refused.errors)")
            #expect(try host.xenlvs("unexport", "aoe", "e1.2").status == 0)
        }
        // What nobody can write to stays as it is: it is looked at, and there are none.
        try export("web1", ["--read-only"])
        let none = try host.xenlvs("volume", "partitions", "web1")
        #expect(none.status == 1 && none.errors.contains("no partition table"), "\(none.errors)")
        #expect(try host.xenlvs("unexport", "aoe", "e1.2").status == 0)
    }

    /// The volume `web1`, in a file.
    private func makeVolume(on host: DaemonHost) throws {
        let pool = host.root + "/pool"
        try FileManager.default.createDirectory(atPath: pool, withIntermediateDirectories: true)
        let made = try host.xenlvs("volume", "create", "web1", "--size", "1M", "--directory", pool)
        try #require(made.status == 0, "\(made.errors)")
    }

    private func mode(_ path: String) -> mode_t {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode & 0o777 : 0
    }
}

private enum UnixAddress {
    static func with(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        var name = sockaddr_un()
        name.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: path.utf8) }
        return withUnsafePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }
}

/// A connection to the daemon that says what it likes.
private final class Talk {
    private let descriptor: Int32

    init(_ path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        try #require(UnixAddress.with(path) { connect(descriptor, $0, $1) } == 0)
    }

    deinit { close(descriptor) }

    func send(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    /// Sends, and returns what comes within ten seconds.
    func ask(_ bytes: [UInt8]) throws -> String {
        send(bytes)
        var reply: [UInt8] = []
        var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        while reply.last != 10, Glibc.poll(&poll, 1, 10000) > 0 {
            var part = [UInt8](repeating: 0, count: 65536)
            let count = recv(descriptor, &part, part.count, 0)
            guard count > 0 else { break }
            reply += part[..<count]
        }
        return String(decoding: reply, as: UTF8.self)
    }
}

/// Plays systemd.
final class NotifySocket {
    private let descriptor: Int32

    init(_ path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        try #require(UnixAddress.with(path) { bind(descriptor, $0, $1) } == 0)
    }

    deinit { close(descriptor) }

    func next() -> String? {
        var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard Glibc.poll(&poll, 1, 10000) > 0 else { return nil }
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = recv(descriptor, &bytes, bytes.count, 0)
        return count < 0 ? nil : String(decoding: bytes.prefix(count), as: UTF8.self)
    }
}

/// Plays another target: answers the question whether anybody has the address.
final class Answering: @unchecked Sendable {
    // Only the thread uses them until it has ended.
    private let initiators: Initiators
    private var heard: Reply?
    private let done = DispatchSemaphore(value: 0)

    init(_ initiators: Initiators) {
        self.initiators = initiators
        Thread { [self] in
            heard = self.initiators.receive(milliseconds: 20000)
            if let question = heard {
                var answer = Request.configuration(0)
                (answer.versionAndFlags, answer.tag) = (0x18, question.tag)
                self.initiators.send(answer)
            }
            done.signal()
        }.start()
    }

    /// Returns what it has answered.
    @discardableResult
    func end() -> Reply? {
        done.wait()
        return heard
    }
}
