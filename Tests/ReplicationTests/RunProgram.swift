import Foundation
import HostModel

/// Runs a program that the tests need and returns its standard output. Throws where it is missing or fails: a machine
/// without it cannot vouch for this code.
func run(_ program: String, _ arguments: [String], environment: [String: String] = [:]) throws -> String {
    let directories = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"]
    guard let path = directories.map({ "\($0)/\(program)" }).first(where: FileManager.default.isExecutableFile) else {
        throw Failure(.notFound, "the tests need the program \(program)", remedy: "make deps")
    }
    let process = Process()
    process.executableURL = URL(filePath: path)
    process.arguments = arguments
    process.environment = environment.merging(["PATH": directories.joined(separator: ":")]) { given, _ in given }
    let (output, errors) = (Pipe(), Pipe())
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    process.standardError = errors
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    let complaint = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
        throw Failure(.failed, "\(program) \(arguments)", why: "exit code \(process.terminationStatus): \(complaint)")
    }
    return text
}
