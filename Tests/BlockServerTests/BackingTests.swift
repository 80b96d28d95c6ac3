import BlockServer
import DiskKit
import Foundation
import Glibc
import HostModel
import Testing

@Suite("Backings")
struct BackingTests {
    private func refusal(_ path: String, readOnly: Bool = false, _ policy: CachePolicy = .automatic) -> Failure? {
        do throws(Failure) {
            _ = try Backing(opening: path, readOnly: readOnly, policy: policy)
            return nil
        } catch { return error }
    }

    @Test("A file that is not there is not found")
    func missing() { #expect(refusal("/nosuch/file")?.code == .notFound) }

    @Test("What is no file or device is refused", arguments: ["/", "/dev/null"])
    func kind(_ path: String) { #expect(refusal(path)?.code == .refused) }

    @Test("A size that is no multiple of 512 above 0 is refused, with the way to mend it", arguments: [0, 511, 513])
    func size(_ bytes: Int) throws {
        let file = try TestFile(sectors: 1)
        truncate(file.path, bytes)
        let failure = try #require(refusal(file.path))
        #expect(failure.code == .refused)
        #expect(failure.why?.contains("\(bytes) bytes") == true)
        #expect(failure.remedy?.contains(file.path) == true)
    }

    @Test("A file that is served is busy for another server, also where both only read")
    func lock() throws {
        let file = try TestFile(sectors: 8)
        do {
            let held = try Backing(opening: file.path, readOnly: false, policy: .automatic)
            #expect(refusal(file.path)?.code == .busy)
            #expect(refusal(file.path, readOnly: true)?.code == .busy)
            let sectors = held.size.sectors
            #expect(sectors == 8)
        }
        let reader = try Backing(opening: file.path, readOnly: true, policy: .automatic)
        let (isReadOnly, trims) = (reader.isReadOnly, reader.trims)
        #expect(isReadOnly && !trims)
        #expect(refusal(file.path, readOnly: true)?.code == .busy)
        #expect(refusal(file.path)?.code == .busy)
    }

    @Test("A file that a loop device has is busy", .enabled(if: geteuid() == 0, "loop devices need root"))
    func loop() throws {
        let file = try TestFile(sectors: 64)
        #expect(refusal(file.path) == nil)
        let device = try LoopDevice(file.path)
        for readOnly in [false, true] {
            let failure = try #require(refusal(file.path, readOnly: readOnly))
            #expect(failure.code == .busy)
            #expect(failure.why?.contains("\(device.path) ") == true)
        }
        #expect(refusal(device.path) == nil)
        // Another one with the same name is another file.
        let place = file.path + ".d"
        mkdir(place, 0o700)
        let other = "\(place)/\(file.path.split(separator: "/").last ?? "")"
        _ = try Shell.run("truncate", "--size=8192", other)
        defer {
            unlink(other)
            rmdir(place)
        }
        #expect(refusal(other) == nil)
        withExtendedLifetime(device) {}
    }

    @Test("A device that is read-only is served only so", .enabled(if: geteuid() == 0, "loop devices need root"))
    func readOnlyDevice() throws {
        let file = try TestFile(sectors: 64)
        let path = try Shell.run("losetup", "--find", "--show", "--read-only", file.path)
        defer { _ = try? Shell.run("losetup", "--detach", path) }
        let failure = try #require(refusal(path))
        #expect(failure.remedy?.contains("--read-only") == true, "\(failure)")
        #expect(refusal(path, readOnly: true) == nil)
        let other = try TestFile(sectors: 64)
        let device = try LoopDevice(other.path)
        #expect(refusal(device.path) == nil)
        _ = try Shell.run("blockdev", "--setro", device.path)
        // The kernel keeps that beyond the file that it shows: whoever got the device next could not write to it.
        defer { _ = try? Shell.run("blockdev", "--setrw", device.path) }
        #expect(refusal(device.path)?.code == .refused)
        #expect(refusal(device.path, readOnly: true) == nil)
    }

    @Test("To find out whether a file can be trimmed changes nothing in it", arguments: [diskDirectory, "/dev/shm"])
    func trims(_ directory: String) throws {
        let file = try TestFile(sectors: 9, in: directory)
        try file.put([UInt8](repeating: 7, count: 9 * 512), at: 0)
        let backing = try Backing(opening: file.path, readOnly: false, policy: .automatic)
        let trims = backing.trims
        #expect(trims)
        #expect(try file.sectors(0..<10) == [UInt8](repeating: 7, count: 9 * 512))
    }

    @Test(
        "A file on a file system without holes is not trimmed", .enabled(if: geteuid() == 0, "mounts need root"))
    func noHoles() throws {
        let place = "/tmp/xenlvs-ramfs-\(UInt64.random(in: 0...UInt64.max))"
        mkdir(place, 0o700)
        defer { rmdir(place) }
        _ = try Shell.run("mount", "-t", "ramfs", "xenlvs-test", place)
        defer { _ = try? Shell.run("umount", "--lazy", place) }
        let file = try TestFile(sectors: 8, in: place)
        let backing = try Backing(opening: file.path, readOnly: false, policy: .automatic)
        let trims = backing.trims
        #expect(!trims)
    }

    @Test("A file in memory goes through the page cache, and direct I/O on it is refused")
    func memory() throws {
        let file = try TestFile(sectors: 8, in: "/dev/shm")
        do {
            let backing = try Backing(opening: file.path, readOnly: false, policy: .automatic)
            let isDirect = backing.isDirect
            #expect(!isDirect)
        }
        #expect(refusal(file.path, .direct)?.code == .refused)
    }

    @Test("A mounted device is busy", .enabled(if: geteuid() == 0, "mounts need root"))
    func mounted() throws {
        let file = try TestFile(sectors: 16384)
        _ = try Shell.run("mkfs.ext4", "-q", file.path)
        let device = try LoopDevice(file.path)
        let place = file.path + ".mount"
        mkdir(place, 0o700)
        _ = try Shell.run("mount", device.path, place)
        defer {
            _ = try? Shell.run("umount", place)
            rmdir(place)
        }
        let failure = try #require(refusal(device.path))
        #expect(failure.code == .busy)
        #expect(failure.remedy?.contains("lsblk") == true)
    }
}
