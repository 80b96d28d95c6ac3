import Foundation
import Testing

@Suite("Bad input")
struct BadInputTests {
    static let badNames = [
        "a/b", "..", ".", "a b", "", "-x", ".hidden", "a.drbdmd", "snapshot1", "ä", String(repeating: "n", count: 61),
        "../../etc/passwd", "a\nb",
    ]

    @Test("A name that LVM, DRBD or a path could not hold is a usage error and changes nothing", arguments: badNames)
    func name(_ name: String) throws {
        let root = try Root()
        let before = try root.files()
        for words in [
            ["volume", "create", "--size", "1M", "--directory", root.path + "/pool"], ["volume", "show"],
            ["volume", "remove"], ["link", "show"], ["link", "repair"], ["replica", "status"],
            ["volume", "partitions"], ["detach"],
        ] {
            let run = try Product.run(words + ["--", name], root: root)
            #expect(run.status == 64, "\(words)")
            #expect(run.output.isEmpty)
            #expect(!run.errors.isEmpty)
        }
        #expect(try root.files() == before)
    }

    @Test(
        "A size that is none is a usage error and changes nothing",
        arguments: ["", "0", "10Q", "-1G", "1.5G", "G", "99999999999T", "2000T"])
    func size(_ size: String) throws {
        let root = try Root()
        for words in [
            ["volume", "create", "web1", "--directory", root.path + "/pool"], ["volume", "resize", "web1"],
            ["volume", "snapshot", "web1", "s1"],
        ] {
            #expect(try Product.run(words + ["--size=\(size)"], root: root).status == 64, "\(words)")
        }
        #expect(!root.exists("/pool/web1.img"))
        #expect(try root.xenlvs("volume", "list", "--format", "json").output.filter { !$0.isWhitespace } == "[]")
    }

    @Test("A bandwidth that is none is a usage error", arguments: ["fast", "5X", "0", "-5M"])
    func bandwidth(_ text: String) throws {
        let run = try Root().xenlvs("migrate", "web1", "--to", "nodeb", "--bandwidth=\(text)")
        #expect(run.status == 64)
        #expect(run.errors.contains("is not a bandwidth"))
    }

    @Test(
        "What names nothing that is there ends with 6",
        arguments: [
            ["volume", "show", "nosuch"], ["volume", "resize", "nosuch", "--size", "1G"],
            ["volume", "snapshot", "nosuch", "s1", "--size", "1G"], ["link", "show", "nosuch"],
            ["link", "repair", "nosuch"], ["volume", "partitions", "nosuch"], ["detach", "nosuch"],
            ["attachments", "--revalidate", "nosuch"], ["replica", "status", "nosuch"],
            ["migration", "status", "nosuch"],
            ["migration", "report", "nosuch"], ["migration", "resume", "nosuch"], ["migration", "abort", "nosuch"],
            ["migration", "resolve", "nosuch", "--fenced", "nodeb"],
            ["volume", "create", "web1", "--size", "1M", "--directory", "/nosuch/pool"],
            [
                "domain", "define", "web1", "--memory", "64M", "--disk", "nosuch", "--kernel", "/vmlinuz", "--output",
                "-",
            ],
        ])
    func unknown(_ words: [String]) throws {
        let run = try Product.run(words, root: try Root())
        #expect(run.status == 6)
        #expect(run.output.isEmpty)
        #expect(run.errors.hasPrefix("xenlvs: "))
    }

    @Test(
        "Words that do not fit together are usage errors",
        arguments: [
            ["nosuch"], ["volume"] + ["create"], ["volume", "create", "web1"], ["migrate", "web1"],
            ["volume", "create", "web1", "--size", "1M", "--vg", "vg0", "--directory", "/pool"],
            ["volume", "create", "web1", "--size", "1M", "--directory", "pool"],
            ["volume", "create", "web1", "--size", "1M", "--directory", "/pool/../etc"],
            ["volume", "create", "web1", "--size", "1M", "--vg", "a/b"], ["link", "repair", "web1", "--all"],
            ["swap", "web1"], ["swap", "web1", "--to", "elsewhere"], ["swap", "a/b", "--to", "volume"],
            ["swap", "web1:", "--to", "volume"], ["swap", ":xvda", "--to", "volume"],
            ["swap", "web1:xvda:xvdb", "--to", "replica"], ["swap", "web1", "--to", "vg:"],
            ["swap", "web1", "--to", "vg:a/b"], ["swap", "web1", "--to", "device:a b", "--copy"],
            ["swap", "web1", "--to", "volume", "--copy"], ["swap", "web1", "--to", "replica", "--bandwidth", "1M"],
            ["swap", "web1", "--to", "vg:vg1", "--copy", "--bandwidth", "fast"],
            ["domain", "checkpoint", "create", "a/b"], ["domain", "checkpoint", "create", "web1", "--room", "x"],
            ["domain", "checkpoint", "restore"], ["domain", "checkpoint", "remove", "../x"],
            ["domain", "checkpoint", "list", "--format", "xml"],
            ["domain", "prepare", "web1:"], ["domain", "prepare"],
            ["doctor", "web1"], ["volume", "list", "--format", "xml"], ["migration", "status", "a/b"],
            ["migration", "resolve", "web1-20261121-0001"],
            ["migration", "resolve", "x", "--fenced", "-oProxyCommand=x"],
            ["migrate", "web1", "--to", "-oProxyCommand=x"], ["migrate", "web1", "--to", "a b"],
            ["migrate", "web1", "--to", "nodeb", "--settle", "never"],
            ["attach", "aoe", "e1.0"], ["attach", "aoe", "e1", "--as", "web1"],
            ["attach", "aoe", "e1.255", "--as", "web1"],
            ["attach", "aoe", "e1.0", "--as", "a/b"], ["attach", "aoe", "e1.0", "--as", "x", "--interface", "a b"],
            ["attach", "aoe", "e1.0", "--as", "x", "--timeout", "0"], ["recover", "--wait", "601"],
            ["attachments", "--revalidate", "a/b"], ["attachments", "--format", "xml"],
            ["domain", "define", "web1", "--memory", "64M", "--kernel", "/vmlinuz"],
            ["domain", "define", "web1", "--memory", "x", "--disk", "web1", "--kernel", "/vmlinuz"],
        ])
    func usage(_ words: [String]) throws {
        let run = try Product.run(words, root: try Root())
        #expect(run.status == 64)
        #expect(run.output.isEmpty)
    }

    @Test(
        "More MAC addresses than a target can allow are a usage error, and none of them is left out in silence",
        arguments: [["aoe", "serve"], ["export", "aoe"]])
    func allowed(_ command: [String]) throws {
        let words = command + ["/nosuch", "--shelf", "1", "--slot", "0", "--interface", "eth1"]
        let allowed = (0..<249).flatMap { ["--allow", String(format: "02:00:00:00:00:%02x", $0)] }
        let run = try Product.run(words + allowed, root: try Root())
        #expect(run.status == 64 && run.output.isEmpty)
        #expect(run.errors.contains("249 MAC addresses") && run.errors.contains("at most 248"), "\(run.errors)")
        // The next thing that is wrong is the file.
        #expect(try Product.run(words + allowed.dropLast(2), root: try Root()).status != 64)
    }

    @Test("A file cannot have a switch, and nothing is made of it")
    func switchOverFile() throws {
        let root = try Root()
        let run = try root.xenlvs(
            "volume", "create", "web1", "--size", "1M", "--switch", "--directory", root.path + "/pool")
        #expect(run.status == 1)
        #expect(run.errors.contains("cannot have a switch"))
        #expect(run.errors.contains("keep it in a volume group"))
        #expect(!root.exists("/pool/web1.img"))
    }

    @Test("A device that is no volume cannot be taken over", .enabled(if: geteuid() == 0))
    func adopt() throws {
        let run = try Root().xenlvs("link", "set", "web1", "/dev/null")
        #expect(run.status == 1)
        #expect(run.errors.contains("a character device"))
    }
}
