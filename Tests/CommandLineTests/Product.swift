import Foundation
import Testing

/// What a run of the built product left behind.
struct Run {
    var status: Int32
    var output: String
    var errors: String
}

/// The product under test: `XENLVS_BINARY`, or the one that was built beside this test bundle.
enum Product {
    static let path: String = {
        if let given = ProcessInfo.processInfo.environment["XENLVS_BINARY"] { return given }
        let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") }
        let runner = bundle ?? (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return URL(fileURLWithPath: runner).deletingLastPathComponent().appendingPathComponent("xenlvs").path
    }()

    /// Runs it as an operator would, with `root` before each of its own paths.
    static func run(_ arguments: [String], root: Root, environment: [String: String] = [:]) throws -> Run {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.environment = ["XENLVS_ROOT": root.path, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "COLUMNS": "100"]
            .merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        // Files, unlike pipes, never fill up.
        let (output, errors) = (root.path + "/stdout", root.path + "/stderr")
        for file in [output, errors] { try Data().write(to: URL(fileURLWithPath: file)) }
        process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: output))
        process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: errors))
        try process.run()
        process.waitUntilExit()
        return Run(
            status: process.terminationStatus, output: try String(contentsOfFile: output, encoding: .utf8),
            errors: try String(contentsOfFile: errors, encoding: .utf8))
    }
}

/// A directory that stands for the host's root as far as xenlvs's own files go; gone with the value.
final class Root {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.path + "/xenlvs-cli-\(UInt64.random(in: 0...UInt64.max))"
        for directory in ["", "/var/lib", "/run", "/dev", "/etc/xenlvs", "/pool"] {
            try FileManager.default.createDirectory(atPath: path + directory, withIntermediateDirectories: true)
        }
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func xenlvs(_ arguments: String...) throws -> Run { try Product.run(arguments, root: self) }

    /// Everything below the root, but for what the runs print.
    func files() throws -> [String] {
        try FileManager.default.subpathsOfDirectory(atPath: path).filter { !["stdout", "stderr"].contains($0) }.sorted()
    }

    func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: self.path + path) }
}
