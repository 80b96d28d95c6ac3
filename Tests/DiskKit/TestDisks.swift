import Foundation
import Glibc

/// Where files lie on a disk; `/tmp` may be memory, around which there is no way.
package let diskDirectory = "/var/tmp"

/// A file that goes with the value, on a disk or in memory.
package final class TestFile {
    package let path: String

    package init(sectors: Int, in directory: String = diskDirectory) throws {
        path = "\(directory)/xenlvs-disk-\(UInt64.random(in: 0...UInt64.max))"
        try Data(count: sectors * 512).write(to: URL(fileURLWithPath: path))
    }

    deinit { unlink(path) }

    /// The sectors as they are in the file.
    package func sectors(_ range: Range<Int>) throws -> [UInt8] {
        let handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
        try handle.seek(toOffset: UInt64(range.lowerBound * 512))
        return Array(try handle.read(upToCount: range.count * 512) ?? Data())
    }

    package func truncate(sectors: Int) { Glibc.truncate(path, sectors * 512) }

    package func put(_ bytes: [UInt8], at sector: Int) throws {
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try handle.seek(toOffset: UInt64(sector * 512))
        try handle.write(contentsOf: Data(bytes))
        try handle.close()
    }
}

/// A loop device over a file; detached with the value.
package final class LoopDevice {
    package let path: String

    package init(_ file: String, sectorSize: Int = 512) throws {
        path = try Shell.run("losetup", "--find", "--show", "--sector-size", "\(sectorSize)", file)
    }

    deinit { _ = try? Shell.run("losetup", "--detach", path) }
}

/// A small file system in memory; unmounted with the value.
package final class SmallFileSystem {
    package let path: String

    package init(bytes: Int) throws {
        path = FileManager.default.temporaryDirectory.path + "/xenlvs-mount-\(UInt64.random(in: 0...UInt64.max))"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        _ = try Shell.run("mount", "-t", "tmpfs", "-o", "size=\(bytes)", "xenlvs-test", path)
    }

    deinit {
        _ = try? Shell.run("umount", "--lazy", path)
        rmdir(path)
    }
}

package enum Shell {
    package struct Failed: Error { var words: [String], status: Int32 }

    /// Runs a command and returns its output without the newline at its end.
    package static func run(_ words: String...) throws -> String { try run(words) }

    package static func run(_ words: [String]) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = words
        process.environment = ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Failed(words: words, status: process.terminationStatus) }
        return String(decoding: output, as: UTF8.self).trimmingCharacters(in: .newlines)
    }
}

/// A device whose writes fail only when they are synced: a loop device over a file in a file system that is too small.
package struct OvercommittedDisk {
    private let fileSystem: SmallFileSystem
    package let device: LoopDevice

    package init() throws {
        fileSystem = try SmallFileSystem(bytes: 64 << 10)
        let file = fileSystem.path + "/disk"
        _ = try Shell.run("truncate", "--size=4M", file)
        device = try LoopDevice(file)
    }
}
