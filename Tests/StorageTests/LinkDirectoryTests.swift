import FoundationEssentials
import Glibc
import HostModel
import Synchronization
import Testing

@testable import Storage

@Suite("Links", .enabled(if: canMakeNodes, "making device nodes needs root with CAP_MKNOD"))
struct LinkDirectoryTests {
    @Test("A link is made, followed to its device, replaced and removed")
    func life() throws {
        try withLinks { fixture in
            let links = fixture.links
            #expect(try links.read(web1) == .absent)
            #expect(try links.remove(web1) == false)
            try links.set(web1, to: fixture.volume)
            let device = LinkEnd.device(node: fixture.root + "/dev/dm-0", BlockDeviceNumber(major: 7, minor: 0))
            #expect(try links.read(web1) == .link(target: fixture.volume, leadsTo: device))
            try links.set(web1, to: fixture.volume)
            try links.set(web1, to: fixture.replica)
            #expect(try links.compare(web1, expected: fixture.replica) == .same)
            #expect(try links.list() == [web1])
            #expect(try links.remove(web1))
            #expect(try links.read(web1) == .absent)
        }
    }

    @Test("A reader never finds the name missing while the link is replaced a thousand times")
    func atomicReplacement() throws {
        try withLinks { fixture in
            try fixture.links.set(web1, to: fixture.volume)
            let path = fixture.links.path(of: web1)
            let legal = [fixture.volume, fixture.replica]
            let reader = LinkReader(path: path, legal: legal)
            for round in 0..<1000 { try fixture.links.set(web1, to: legal[round % 2]) }
            let seen = reader.stop()
            #expect(seen.reads > 1000)
            #expect(seen.odd == 0)
        }
    }

    @Test("A device that LVM's own link leads to is found behind it, and another path to it is the same device")
    func followsLinks() throws {
        try withLinks { fixture in
            try fixture.links.set(web1, to: fixture.root + "/dev/dm-0")
            #expect(
                try fixture.links.compare(web1, expected: fixture.volume)
                    == .sameDevice(target: fixture.root + "/dev/dm-0"))
        }
    }

    @Test("A link that was replaced by hand is noticed")
    func replacedByHand() throws {
        try withLinks { fixture in
            try fixture.links.set(web1, to: fixture.volume)
            unlink(fixture.links.path(of: web1))
            symlink(fixture.replica, fixture.links.path(of: web1))
            guard case .differs(.link(let target, _)) = try fixture.links.compare(web1, expected: fixture.volume) else {
                Issue.record("the change was not noticed")
                return
            }
            #expect(target == fixture.replica)
        }
    }

    @Test("A link whose device has gone is dangling")
    func dangling() throws {
        try withLinks { fixture in
            try fixture.links.set(web1, to: fixture.replica)
            unlink(fixture.replica)
            #expect(try fixture.links.read(web1) == .link(target: fixture.replica, leadsTo: .dangling))
            #expect(try fixture.links.compare(web1, expected: fixture.replica) == .dangling)
        }
    }

    @Test("What is not a link is neither replaced nor removed", arguments: ["file", "directory"])
    func notALink(_ kind: String) throws {
        try withLinks { fixture in
            try fixture.links.set(VolumeName("other"), to: fixture.volume)
            let path = fixture.links.path(of: web1)
            if kind == "directory" { mkdir(path, 0o755) } else { close(creat(path, 0o600)) }
            #expect(failure { try fixture.links.set(web1, to: fixture.volume) }?.code == .refused)
            #expect(failure { try fixture.links.remove(web1) }?.code == .refused)
            #expect(access(path, F_OK) == 0)
        }
    }

    @Test(
        "A target that is not a plain path below /dev is refused",
        arguments: [
            "dm-0", "/etc/passwd", "DEV", "DEV/", "DEV//dm-0", "DEV/../etc/passwd", "DEV/./dm-0", "DEV/dm-0/",
            "DEV/dm-0\n",
            "DEVICES/dm-0", "",
        ])
    func hostileTargets(_ target: String) throws {
        try withLinks { fixture in
            let target = target.replacing("DEV", with: fixture.root + "/dev")
            #expect(failure { try fixture.links.set(web1, to: target) }?.code == .usage)
            let state = try fixture.links.read(web1)
            #expect(state == .absent)
        }
    }

    @Test("A target that is missing or no block device is refused, and the former link stays")
    func wrongTargets() throws {
        try withLinks { fixture in
            try fixture.links.set(web1, to: fixture.volume)
            close(creat(fixture.root + "/dev/file", 0o600))
            #expect(failure { try fixture.links.set(web1, to: fixture.root + "/dev/none") }?.code == .notFound)
            #expect(failure { try fixture.links.set(web1, to: fixture.root + "/dev/file") }?.code == .refused)
            #expect(try fixture.links.compare(web1, expected: fixture.volume) == .same)
        }
    }

    @Test("A link to another volume's link is refused")
    func targetInsideLinks() throws {
        try withLinks { fixture in
            let inside = LinkDirectory(
                path: fixture.root + "/dev/links", devices: fixture.root + "/dev", owner: geteuid())
            try inside.set(web1, to: fixture.volume)
            #expect(failure { try inside.set(VolumeName("web2"), to: inside.path(of: web1)) }?.code == .usage)
        }
    }

    @Test("A volume's name that looks like a left-over is refused")
    func hiddenNames() throws {
        try withLinks { fixture in
            let name = VolumeName(unchecked: ".web1.xenlvs-new")
            #expect(failure { try fixture.links.set(name, to: fixture.volume) }?.code == .usage)
            #expect(failure { try fixture.links.remove(name) }?.code == .usage)
        }
    }

    @Test("What a killed run left is swept away, and does not hinder the next change")
    func leftOver() throws {
        try withLinks { fixture in
            try fixture.links.set(web1, to: fixture.volume)
            let leftOver = fixture.links.path + "/.web1.xenlvs-new"
            symlink(fixture.replica, leftOver)
            try fixture.links.set(web1, to: fixture.replica)
            #expect(try fixture.links.compare(web1, expected: fixture.replica) == .same)
            #expect(try fixture.links.sweep() == [])
            symlink(fixture.replica, leftOver)
            #expect(try fixture.links.list() == [web1])
            #expect(try fixture.links.sweep() == [".web1.xenlvs-new"])
            #expect(try fixture.links.read(web1) != .absent)
        }
    }

    @Test("The directory is made with mode 755 whatever the umask")
    func directoryMode() throws {
        try withLinks { fixture in
            let former = umask(0o077)
            defer { umask(former) }
            try fixture.links.set(web1, to: fixture.volume)
            var status = stat()
            #expect(stat(fixture.links.path, &status) == 0 && status.st_mode & 0o7777 == 0o755)
        }
    }

    @Test("A directory that is a link, a file, foreign or open to others is not used")
    func untrustedDirectory() throws {
        try withLinks { fixture in
            let path = fixture.links.path
            func refuses() -> Bool { failure { try fixture.links.set(web1, to: fixture.volume) } != nil }
            symlink(fixture.root + "/dev", path)
            #expect(refuses())
            unlink(path)
            close(creat(path, 0o600))
            #expect(refuses())
            unlink(path)
            mkdir(path, 0o777)
            chmod(path, 0o777)
            #expect(refuses())
            chmod(path, 0o755)
            #expect(!refuses())
            chown(path, 12345, 12345)
            #expect(refuses())
        }
    }
}

@Suite("Repair of the links", .enabled(if: canMakeNodes, "making device nodes needs root with CAP_MKNOD"))
struct LinkRepairTests {
    private let web2 = VolumeName(unchecked: "web2")

    @Test("After a boot all links are made, and a second repair finds them right")
    func afterBoot() throws {
        try withLinks { fixture in
            let expected = [web1: fixture.volume, web2: fixture.root + "/dev/dm-1"]
            #expect(fixture.links.repair(expected: expected) == [web1: .made, web2: .made])
            #expect(fixture.links.repair(expected: expected) == [web1: .wasRight, web2: .wasRight])
        }
    }

    @Test("A device that is not there yet keeps its link waiting, and the other links are made")
    func late() throws {
        try withLinks { fixture in
            let expected = [web1: fixture.root + "/dev/vg0/late", web2: fixture.volume]
            #expect(fixture.links.repair(expected: expected) == [web1: .deviceMissing, web2: .made])
            let state = try fixture.links.read(web1)
            #expect(state == .absent)
        }
    }

    @Test("A link that points elsewhere is left alone unless it is to be replaced")
    func elsewhere() throws {
        try withLinks { fixture in
            try fixture.links.set(web1, to: fixture.replica)
            let expected = [web1: fixture.volume]
            guard case .refused(.link) = fixture.links.repair(expected: expected)[web1] else {
                Issue.record("the link was not left alone")
                return
            }
            #expect(try fixture.links.compare(web1, expected: fixture.replica) == .same)
            #expect(
                fixture.links.repair(expected: expected, replacing: true) == [web1: .replaced(former: fixture.replica)])
            #expect(try fixture.links.compare(web1, expected: fixture.volume) == .same)
        }
    }

    @Test("A link is not replaced by one that would dangle")
    func noDanglingReplacement() throws {
        try withLinks { fixture in
            try fixture.links.set(web1, to: fixture.replica)
            let expected = [web1: fixture.root + "/dev/vg0/gone"]
            #expect(fixture.links.repair(expected: expected, replacing: true) == [web1: .deviceMissing])
            #expect(try fixture.links.compare(web1, expected: fixture.replica) == .same)
        }
    }

    @Test("A file under the name is refused even where links may be replaced")
    func file() throws {
        try withLinks { fixture in
            mkdir(fixture.links.path, 0o755)
            close(creat(fixture.links.path(of: web1), 0o600))
            #expect(
                fixture.links.repair(expected: [web1: fixture.volume], replacing: true)
                    == [web1: .refused(.notALink(kind: "a regular file"))])
        }
    }

    @Test("A recorded path that is no device's fails alone")
    func wrongRecord() throws {
        try withLinks { fixture in
            mkdir(fixture.links.path, 0o777)
            chmod(fixture.links.path, 0o777)
            guard case .failed(let failure) = fixture.links.repair(expected: [web1: fixture.volume])[web1] else {
                Issue.record("an untrusted directory was used")
                return
            }
            #expect(failure.code == .refused)
        }
    }
}

/// Reads a link again and again on a thread of its own, until it is stopped.
private final class LinkReader: Sendable {
    private let state = Mutex((reads: 0, odd: 0, stopped: false, ended: false))

    init(path: String, legal: [String]) {
        PlainThread.start { [self] in
            while !state.withLock({ $0.stopped }) {
                var buffer = [CChar](repeating: 0, count: 4096)
                let length = readlink(path, &buffer, buffer.count)
                let bytes = buffer.prefix(max(length, 0)).map(UInt8.init(bitPattern:))
                let text = String(decoding: bytes, as: UTF8.self)
                state.withLock {
                    $0.reads += 1
                    if !legal.contains(text) { $0.odd += 1 }
                }
            }
            state.withLock { $0.ended = true }
        }
    }

    /// How often the link was read, and how often it was missing or held something else.
    func stop() -> (reads: Int, odd: Int) {
        state.withLock { $0.stopped = true }
        while !state.withLock({ $0.ended }) { usleep(100) }
        return state.withLock { ($0.reads, $0.odd) }
    }
}

/// A detached POSIX thread.
private enum PlainThread {
    private final class Box {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    static func start(_ body: @escaping @Sendable () -> Void) {
        var thread = pthread_t()
        let argument = Unmanaged.passRetained(Box(body)).toOpaque()
        let code = pthread_create(
            &thread, nil,
            { argument in
                if let argument { Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().body() }
                return nil
            }, argument)
        precondition(code == 0)
        pthread_detach(thread)
    }
}
