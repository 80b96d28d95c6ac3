import Foundation
import Testing

@Suite("What others may see and do")
struct SecurityTests {
    private func mode(_ path: String) throws -> Int {
        try #require(FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int)
    }

    @Test("State is 0600 below 0700, whatever the umask and whatever was there", arguments: ["000", "022", "277"])
    func modes(_ umask: String) throws {
        let root = try Root()
        let state = root.path + "/var/lib/xenlvs"
        for _ in 0..<2 {
            let agent = Process()
            agent.executableURL = URL(fileURLWithPath: "/bin/sh")
            let hello = #"{"id":1,"request":{"hello":{"host":"nodea","protocolVersion":6}}}"#
            let survey = #"{"id":2,"request":{"survey":{"_0":{"volumes":[]}}}}"#
            agent.arguments = [
                "-c", "umask \(umask); printf '%s\\n' '\(hello)' '\(survey)' | \"$0\" agent", Product.path,
            ]
            agent.environment = ["XENLVS_ROOT": root.path, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"]
            (agent.standardOutput, agent.standardError) = (FileHandle.nullDevice, FileHandle.nullDevice)
            try agent.run()
            agent.waitUntilExit()
            for directory in ["", "/images"] { #expect(try mode(state + directory) == 0o700) }
            for file in try FileManager.default.contentsOfDirectory(atPath: state) where file.hasPrefix("state.db") {
                #expect(try mode("\(state)/\(file)") == 0o600)
                // As an older version, or a hand, may have left them.
                chmod("\(state)/\(file)", 0o644)
            }
            chmod(state, 0o755)
        }
    }

    @Test("A volume's lock is 0600 below 0700", arguments: ["000", "022"])
    func locks(_ umask: String) throws {
        let root = try Root()
        let run = root.path + "/run/xenlvs"
        let shell = Process()
        shell.executableURL = URL(fileURLWithPath: "/bin/sh")
        shell.arguments = [
            "-c", "umask \(umask); \"$0\" volume create web1 --size 1M --directory \(root.path)/pool", Product.path,
        ]
        shell.environment = ["XENLVS_ROOT": root.path, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"]
        (shell.standardOutput, shell.standardError) = (FileHandle.nullDevice, FileHandle.nullDevice)
        try shell.run()
        shell.waitUntilExit()
        // Its loop device would outlive the file.
        defer { _ = try? root.xenlvs("volume", "remove", "web1") }
        #expect(try mode(run) == 0o700)
        #expect(try mode(run + "/volume-web1.lock") == 0o600)
    }

    private func restricted(_ original: String?, _ words: [String]) throws -> Run {
        try Product.run(
            ["agent", "--restrict"] + words, root: try Root(),
            environment: original.map { ["SSH_ORIGINAL_COMMAND": $0] } ?? [:])
    }

    @Test("A restricted key runs what a coordinator sends, and tells what else it does not run")
    func forced() throws {
        let words = ["--from", "nodea", "--from", "nodec", "--into", "vg0", "--into-directory", "/srv/pool"]
        #expect(try restricted("xenlvs agent", words).status == 0)
        let version = try restricted("xenlvs --version", words)
        #expect(version.status == 0)
        #expect(version.output == (try Product.run(["--version"], root: try Root())).output)
        for line in ["reboot", "xenlvs agent; reboot", "xenlvs migration list", nil] {
            let run = try restricted(line, words)
            #expect(run.status == 1)
            #expect(run.output.isEmpty)
            #expect(run.errors.contains("this key"))
            #expect(run.errors.contains("what to do: "))
        }
    }

    @Test(
        "Words that do not restrict anything, or nothing that there is, are usage errors",
        arguments: [
            ["--restrict"], ["--restrict", "--from", "nodea"], ["--restrict", "--into", "vg0"], ["--into", "vg0"],
            ["--from", "nodea"], ["--restrict", "--receive", "--from", "nodea", "--into", "vg0"],
            ["--restrict", "--from", "a b", "--into", "vg0"], ["--restrict", "--from", "nodea", "--into", "a/b"],
            ["--restrict", "--from", "nodea", "--into-directory", "pool"], ["--into-directory", "/pool"],
        ])
    func usage(_ words: [String]) throws {
        #expect(try Product.run(["agent"] + words, root: try Root()).status == 64)
    }

    @Test("What another host says cannot steer the operator's terminal")
    func terminal() throws {
        let run = try Product.run(["volume", "show", "--", "a\u{1B}]0;x\u{7}\u{9B}b"], root: try Root())
        #expect(run.status == 64)
        #expect(!run.errors.unicodeScalars.contains { $0 != "\n" && $0.properties.generalCategory == .control })
    }
}
