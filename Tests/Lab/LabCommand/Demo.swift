import ArgumentParser
import Foundation
import LabKit

struct Demo: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show a running guest move between two hosts that share no storage.",
        discussion: """
            The product's binary is taken from $XENLVS_BINARY. The lab is started if it is not running, and is left \
            running. Where the guest runs already, it goes to the other host.
            """)

    @Option(help: "Write the migration's report to this file.")
    var report = "xenlvs-demo-report.html"

    func run() async throws {
        guard let binary = ProcessInfo.processInfo.environment["XENLVS_BINARY"] else {
            throw ValidationError("XENLVS_BINARY does not name the xenlvs binary; run 'make demo'")
        }
        let text = DemoText()
        text.title("xenlvs: a running guest moves between Xen hosts that share no storage")
        text.chapter(1, "Two Xen hosts")
        let lab = try await bootLab(text, binary: URL(filePath: binary))
        text.chapter(2, "A guest that counts")
        let stage = try await DemoStage.prepare(in: lab, text)
        try showTicks(stage.guest, on: stage.source, lab, text)

        text.chapter(3, "The migration")
        text.explain(
            """
            \(stage.source.name) and \(stage.target.name) have no storage in common. xenlvs puts DRBD below the guest's \
            disk, copies it while the guest goes on, hands the guest over, and takes DRBD away again. The guest stands \
            still three times for a few seconds; everything runs under emulation here, many times slower than on real \
            hosts.
            """)
        let command = "xenlvs migrate \(stage.guest.name) --to \(stage.target.name) --verify"
        text.command(stage.source.name, command)
        let exit = try Foreground.ssh(stage.source, lab, command)
        guard exit == 0 else {
            text.put()
            text.explain("xenlvs ended with exit code \(exit). The lab is left as it is: make lab-ssh NODE=a")
            throw ExitCode(exit)
        }

        text.chapter(4, "The same guest, on \(stage.target.name)")
        try await stage.target.waitForTicks(of: stage.guest, beyond: stage.ticksOnTarget + 5)
        try showTicks(stage.guest, on: stage.target, lab, text)
        try await stage.judge(text)

        text.chapter(5, "The report")
        try await writeReport(stage, text)
        text.explain("The lab runs on, and another 'make demo' moves the guest back:")
        text.show("make lab-ssh NODE=\(stage.target.letter)    a shell on \(stage.target.name)")
        text.show("make lab-down          shut the lab down")
    }

    private func bootLab(_ text: DemoText, binary: URL) async throws -> Lab {
        let clock = ContinuousClock()
        let start = clock.now
        if (try? Lab.attach().nodes.allSatisfy(\.isPoweredOn)) != true {
            text.explain(
                """
                Booting two machines under QEMU, each a real Xen host with a Debian of its own. About half a minute; \
                the very first time their image is built, which takes a minute or two more.
                """)
        }
        let lab = try await Lab.up()
        let seconds = (clock.now - start).components.seconds
        text.good(
            seconds > 2
                ? "nodea and nodeb are up after \(seconds) s, on \(lab.accelerator.rawValue.uppercased())"
                : "nodea and nodeb are running already")
        try await withThrowingTaskGroup { group in
            for node in lab.nodes { group.addTask { try await node.install(binary) } }
            try await group.waitForAll()
        }
        text.good("xenlvs \(try await lab.nodes[0].run("xenlvs --version").text) is installed on both")
        return lab
    }

    /// Some of what the guest prints, as it prints it.
    private func showTicks(_ guest: LabGuest, on node: LabNode, _ lab: Lab, _ text: DemoText) throws {
        text.put()
        _ = try Foreground.ssh(
            node, lab,
            "timeout 1.5 tail -n 1 -f \(guest.consolePath) | stdbuf -oL head -n 6 | sed -u 's/\\r$//; s/^/     /'; true"
        )
        text.put()
    }

    private func writeReport(_ stage: DemoStage, _ text: DemoText) async throws {
        let listing = try await stage.source.run("xenlvs migration list --format json").stdout
        struct Row: Decodable { let id: String }
        guard let id = try JSONDecoder().decode([Row].self, from: Data(listing.utf8)).first?.id else {
            throw LabError.unusable("\(stage.source.name) knows of no migration")
        }
        try await stage.source.run("xenlvs migration report \(id) --html /root/report.html")
        let file = URL(filePath: report)
        try await stage.source.pull("/root/report.html", to: file)
        text.good("one page with the timeline, to be opened in any browser:")
        text.show(file.path)
        text.put()
    }
}

extension LabNode {
    /// Puts the product on the node, unless this very file is there.
    fileprivate func install(_ binary: URL) async throws {
        let facts = try FileManager.default.attributesOfItem(atPath: binary.path)
        let stamp = "\(facts[.size] ?? 0) \((facts[.modificationDate] as? Date)?.timeIntervalSince1970 ?? 0)"
        if try await run("cat /root/xenlvs.stamp; true").text == stamp { return }
        try await push(binary, to: "/usr/bin/xenlvs")
        try await run("cat >/root/xenlvs.stamp", input: Data(stamp.utf8))
    }
}
