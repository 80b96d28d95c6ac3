import Foundation
import Testing

/// Whether this machine lets the tests use loop devices.
private let canUseLoopDevices = geteuid() == 0 && access("/dev/loop-control", R_OK | W_OK) == 0

@Suite("The life of a volume in a directory", .enabled(if: canUseLoopDevices), .serialized)
struct VolumeLifeTests {
    private func json(_ run: Run) throws -> [[String: Any]] {
        try #require(try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [[String: Any]])
    }

    private func link(_ root: Root) -> String? {
        try? FileManager.default.destinationOfSymbolicLink(atPath: root.path + "/dev/xenlvs/cli-t")
    }

    private func make(_ root: Root) throws -> Run {
        try root.xenlvs("volume", "create", "cli-t", "--size", "1M", "--directory", root.path + "/pool")
    }

    @Test("It is made, listed, made larger, snapshot refused, removed, and nothing is left")
    func life() throws {
        let root = try Root()
        #expect(try make(root).status == 0)
        let volume = try #require(try json(try root.xenlvs("volume", "list", "--format", "json")).first)
        #expect(volume["name"] as? String == "cli-t")
        #expect(volume["size"] as? Int == 1 << 20)
        #expect(volume["kind"] as? String == "file")
        #expect(volume["state"] as? String == "active")
        let device = try #require(link(root))
        #expect(volume["device"] as? String == device)

        #expect(try make(root).status == 1)
        #expect(try root.xenlvs("volume", "resize", "cli-t", "--size", "1M").status == 1)
        #expect(try root.xenlvs("volume", "resize", "cli-t", "--size", "3M").status == 0)
        let size = try String(contentsOfFile: "/sys/block/\(device.dropFirst(5))/size", encoding: .utf8)
        #expect(size == "6144\n")
        #expect(try root.xenlvs("volume", "snapshot", "cli-t", "s1", "--size", "1M").status == 1)

        #expect(try root.xenlvs("volume", "remove", "cli-t").status == 0)
        #expect(link(root) == nil)
        #expect(!root.exists("/pool/cli-t.img"))
        #expect(try json(try root.xenlvs("volume", "list", "--format", "json")).isEmpty)
        #expect(try root.xenlvs("volume", "remove", "cli-t").status == 6)
    }

    @Test("What was made is taken back where its link cannot be set")
    func undo() throws {
        let root = try Root()
        // The directory of links cannot be made where the one above it is missing.
        try FileManager.default.removeItem(atPath: root.path + "/dev")
        let run = try make(root)
        #expect(run.status != 0)
        #expect(run.errors.contains("/dev/xenlvs"))
        #expect(!root.exists("/pool/cli-t.img"))
        #expect(try json(try root.xenlvs("volume", "list", "--format", "json")).isEmpty)
    }

    @Test("One that is too large for its directory is refused")
    func tooLarge() throws {
        let root = try Root()
        let run = try root.xenlvs("volume", "create", "cli-t", "--size", "900T", "--directory", root.path + "/pool")
        #expect(run.status == 1)
        #expect(run.errors.contains("are free"))
        #expect(!root.exists("/pool/cli-t.img"))
    }

    @Test("Its link is put back where it is missing or dangling, and left alone where it leads elsewhere")
    func repair() throws {
        let root = try Root()
        #expect(try make(root).status == 0)
        let path = root.path + "/dev/xenlvs/cli-t"
        let device = try #require(link(root))
        defer { _ = try? root.xenlvs("volume", "remove", "cli-t") }

        #expect(try root.xenlvs("link", "repair").output.contains("was-right"))
        try FileManager.default.removeItem(atPath: path)
        #expect(try root.xenlvs("link", "repair", "--all").output.contains("made"))
        #expect(link(root) == device)

        try FileManager.default.removeItem(atPath: path)
        try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "/dev/nosuch-device")
        #expect(try root.xenlvs("link", "show").output.contains("dangling"))
        #expect(try root.xenlvs("link", "repair").status == 0)
        #expect(link(root) == device)

        try FileManager.default.removeItem(atPath: path)
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        let refused = try root.xenlvs("link", "repair")
        #expect(refused.status == 4)
        #expect(refused.output.contains("move it away by hand"))
        try FileManager.default.removeItem(atPath: path)
        #expect(try root.xenlvs("link", "repair", "cli-t").status == 0)
        #expect(link(root) == device)
    }

    @Test("One whose file is gone is forgotten only by force, and its loop device is freed")
    func gone() throws {
        let root = try Root()
        #expect(try make(root).status == 0)
        let device = try #require(link(root))
        try FileManager.default.removeItem(atPath: root.path + "/pool/cli-t.img")
        let refused = try root.xenlvs("volume", "remove", "cli-t")
        #expect(refused.status == 1)
        #expect(refused.errors.contains("is not there"))
        #expect(link(root) == device)
        #expect(try root.xenlvs("volume", "remove", "cli-t", "--force").status == 0)
        #expect(link(root) == nil)
        #expect(!FileManager.default.fileExists(atPath: "/sys/block/\(device.dropFirst(5))/loop"))
    }

    // Partitions that are there are looked for in the lab: not every kernel that builds this reads partition tables.
    @Test("Where there are no partitions that is said, and no loop device is left")
    func noPartitions() throws {
        let root = try Root()
        #expect(try make(root).status == 0)
        let device = try #require(link(root))
        let none = try root.xenlvs("volume", "partitions", "cli-t")
        #expect(none.status == 1 && none.errors.contains("no partition table"), "\(none.errors)")
        let removed = try root.xenlvs("volume", "partitions", "cli-t", "--remove")
        #expect(removed.status == 0 && removed.output.isEmpty, "\(removed.output)\(removed.errors)")
        #expect(try root.xenlvs("volume", "remove", "cli-t").status == 0)
        #expect(!FileManager.default.fileExists(atPath: "/sys/block/\(device.dropFirst(5))/loop"))
    }

    @Test("A configuration names it by its link")
    func define() throws {
        let root = try Root()
        #expect(try make(root).status == 0)
        defer { _ = try? root.xenlvs("volume", "remove", "cli-t") }
        let file = root.path + "/web1.cfg"
        let words = ["domain", "define", "web1", "--memory", "64M", "--disk", "cli-t", "--kernel", "/nosuch/vmlinuz"]
        #expect(try Product.run(words + ["--output", file], root: root).status == 0)
        #expect(try String(contentsOfFile: file, encoding: .utf8).contains("vdev=xvda,access=rw"))
        let again = try Product.run(words + ["--output", file], root: root)
        #expect(again.status == 1)
        #expect(try Product.run(words + ["--output", file, "--force"], root: root).status == 0)
        let shown = try Product.run(words + ["--output", "-"], root: root)
        #expect(shown.output == (try String(contentsOfFile: file, encoding: .utf8)))
        #expect(shown.errors.contains("/nosuch/vmlinuz is not there"))
    }
}
