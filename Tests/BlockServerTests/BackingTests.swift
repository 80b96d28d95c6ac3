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

    @Test("A file that is served is busy for another server; readers may share it")
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
        #expect(refusal(file.path, readOnly: true) == nil)
        #expect(refusal(file.path)?.code == .busy)
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
