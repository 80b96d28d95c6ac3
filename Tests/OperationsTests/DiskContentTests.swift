import Foundation
import HostModel
import Testing

@testable import Operations

@Suite("What a disk begins with")
struct DiskContentTests {
    private func disk(_ place: Int, _ mark: [UInt8]) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 72 << 10)
        bytes.replaceSubrange(place..<place + mark.count, with: mark)
        return bytes
    }

    @Test("Cluster file systems are told from those for one host, and those from what is neither")
    func kinds() {
        #expect(DiskContent(disk(4096 * 2, Array("OCFSV2".utf8))) == .cluster("OCFS2"))
        #expect(DiskContent(disk(0x10000, [1, 0x16, 0x19, 0x70])) == .cluster("GFS2"))
        #expect(DiskContent(disk(0, Array("XFSB".utf8))) == .local("XFS"))
        #expect(DiskContent(disk(510, [0x55, 0xaa])) == .unknown)
        #expect(DiskContent([UInt8]()) == .unknown && DiskContent([0x53]) == .unknown)
    }

    @Test("A real file system is refused, an empty disk is not", arguments: ["mkfs.ext4", "mkswap"])
    func real(_ tool: String) throws {
        let path = FileManager.default.temporaryDirectory.path + "/xenlvs-content-\(UInt64.random(in: 0...UInt64.max))"
        try Data(count: 4 << 20).write(to: URL(filePath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        let volume = VolumeName(unchecked: "web1")
        try DiskContent(Data(contentsOf: URL(filePath: path))).checkSuitsCluster(volume)
        let process = Process()
        process.executableURL = URL(filePath: "/sbin/\(tool)")
        process.arguments = [path]
        (process.standardOutput, process.standardError) = (FileHandle.nullDevice, FileHandle.nullDevice)
        try process.run()
        process.waitUntilExit()
        let failure = #expect(throws: Failure.self) {
            try DiskContent(Data(contentsOf: URL(filePath: path))).checkSuitsCluster(volume)
        }
        #expect(failure?.code == .refused && failure?.remedy?.contains("--cluster-file-system") == true)
    }
}
