import Testing

@Suite("Help")
struct HelpTests {
    @Test("The help of the whole names every exit code")
    func codes() throws {
        let help = try Root().xenlvs("--help")
        #expect(help.status == 0)
        for code in ["0 done", "1 failed", "2 failed", "3 partly", "4 needs", "5 busy", "6 not", "64 usage", "130 "] {
            #expect(help.output.contains(code), "\(code)")
        }
    }

    static let commands: [[String]] = [
        ["migrate"], ["migration", "list"], ["migration", "status"], ["migration", "resume"], ["migration", "abort"],
        ["migration", "resolve"], ["migration", "report"], ["recover"], ["volume", "create"], ["volume", "list"],
        ["volume", "show"], ["volume", "resize"],
        ["volume", "remove"], ["volume", "snapshot"], ["link", "show"], ["link", "set"], ["link", "repair"],
        ["domain", "list"], ["domain", "define"], ["domain", "prepare"], ["swap"],
        ["domain", "checkpoint", "create"], ["domain", "checkpoint", "list"], ["domain", "checkpoint", "restore"],
        ["domain", "checkpoint", "remove"], ["replica", "status"],
        ["aoe", "serve"], ["aoe", "discover"],
        ["doctor"],
        ["export", "aoe"], ["unexport", "aoe"], ["exports"], ["attach", "aoe"], ["detach"], ["attachments"],
        ["volume", "partitions"],
        ["export", "iscsi"], ["unexport", "iscsi"], ["apply"], ["plan"], ["iscsi", "write"], ["iscsi", "read"],
        ["attach", "iscsi"], ["multipath", "create"], ["multipath", "list"], ["share"], ["unshare"], ["shares"],
        ["agent"],
    ]

    @Test("Each command's help says what it is for and which exit codes it has", arguments: commands)
    func command(_ words: [String]) throws {
        let help = try Product.run(words + ["--help"], root: try Root())
        #expect(help.status == 0)
        #expect(help.output.contains("OVERVIEW:"))
        #expect(help.output.contains("Exit codes:"))
        #expect(help.output.contains("USAGE: xenlvs \(words.joined(separator: " "))"))
    }

    static let listings: [String?] = [
        "list", "show", "status", "recover", "exports", "discover", "attachments", "partitions",
    ]

    @Test(
        "Each listing takes --format",
        arguments: commands.filter { listings.contains($0.last) })
    func formats(_ words: [String]) throws {
        let help = try Product.run(words + ["--help"], root: try Root())
        #expect(help.output.contains("--format"))
    }

    @Test("There is a completion script for each shell", arguments: ["bash", "zsh", "fish"])
    func completions(_ shell: String) throws {
        let run = try Root().xenlvs("--generate-completion-script", shell)
        #expect(run.status == 0)
        for word in ["migrate", "volume", "doctor", "snapshot", "remove-source"] {
            #expect(run.output.contains(word), "\(word)")
        }
    }

    @Test("Help and completions leave no file behind")
    func clean() throws {
        let root = try Root()
        let before = try root.files()
        _ = try root.xenlvs("--help")
        _ = try root.xenlvs("volume", "create", "--help")
        #expect(try root.files() == before)
    }
}
