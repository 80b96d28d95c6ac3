import Foundation
import Glibc
import Testing

/// The process that writes to the kernel's target, with a directory in the kernel's place.
@Suite("Writing to the kernel's target")
struct KernelTargetTests {
    /// Runs it with these orders; what it answers within two seconds, and whether it has ended by then.
    private func run(_ root: Root, _ orders: [String], lock: String? = nil) throws -> (answers: [String], ended: Bool) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: Product.path)
        process.arguments = ["kernel-target", "--", lock ?? root.path + "/run/lock", root.path + "/pool"]
        let (input, output) = (Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        input.fileHandleForWriting.write(Data(orders.map { $0 + "\n" }.joined().utf8))
        let deadline = Date().addingTimeInterval(2)
        while process.isRunning, Date() < deadline { usleep(20_000) }
        let ended = !process.isRunning
        if !ended { kill(process.processIdentifier, SIGKILL) }
        try input.fileHandleForWriting.close()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        return (text.split(separator: "\n").map(String.init), ended)
    }

    @Test("Each write is answered, and after one that is refused nothing follows", .timeLimit(.minutes(1)))
    func answers() throws {
        let root = try Root()
        let (answers, ended) = try run(
            root,
            [
                "mkdir\tcore", "write\tcore/none\tx", "mkdir\tlater",
            ])
        #expect(answers == ["done", "refused notFound No such file or directory"] && ended, "\(answers)")
        #expect(!FileManager.default.fileExists(atPath: root.path + "/pool/later"))
    }

    @Test("While one does not come to its end another process is told so", .timeLimit(.minutes(1)))
    func hanging() throws {
        let root = try Root()
        // A pipe that nobody reads: to open it for writing hangs, as a write to the kernel can.
        mkfifo(root.path + "/pool/enable", 0o600)
        let hung = Process()
        hung.executableURL = URL(fileURLWithPath: Product.path)
        hung.arguments = ["kernel-target", "--", root.path + "/run/lock", root.path + "/pool"]
        let input = Pipe()
        hung.standardInput = input
        hung.standardOutput = Pipe()
        try hung.run()
        input.fileHandleForWriting.write(Data("write\tenable\t0\n".utf8))
        usleep(500_000)
        #expect(hung.isRunning)
        let second = Process()
        second.executableURL = hung.executableURL
        second.arguments = hung.arguments
        let output = Pipe()
        second.standardInput = FileHandle.nullDevice
        second.standardOutput = output
        try second.run()
        second.waitUntilExit()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        #expect(text == "occupied\n")
        kill(hung.processIdentifier, SIGKILL)
        hung.waitUntilExit()
    }
}
