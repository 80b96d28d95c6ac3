import Foundation
import LabKit

/// The demonstration's guest, where it was, where it goes, and what was known of it before.
struct DemoStage {
    let guest: LabGuest
    let source: LabNode
    let target: LabNode
    /// How often it had printed a tick on the target, in an earlier demonstration.
    let ticksOnTarget: Int
    /// How much of each console was there before.
    private let consoleBefore: [String: Int]
    /// The boots that it announced, on whatever host.
    private let bootsBefore: Set<String>

    /// Finds the guest where an earlier demonstration has left it, or starts it.
    static func prepare(in lab: Lab, _ text: DemoText) async throws -> DemoStage {
        let guest = LabGuest("web1")
        let (a, b) = (lab.nodes[0], lab.nodes[1])
        let runs = try await (a: a.guests()[guest.name] != nil, b: b.guests()[guest.name] != nil)
        let source: LabNode
        switch runs {
        case (true, true):
            throw LabError.unusable("web1 is on both hosts, in the middle of a migration; see 'xenlvs migration list'")
        case (true, false), (false, true):
            source = runs.a ? a : b
            text.good("web1 runs on \(source.name) already")
        case (false, false):
            source = try await b.has(guest) ? b : a
            try await start(guest, on: source, text)
        }
        let target = source.name == a.name ? b : a
        // Its new host can start it again only from a configuration of its own.
        try await target.define(guest)
        let disk = try await source.run("readlink -f /dev/xenlvs/web1; readlink /dev/xenlvs/web1").text.split(
            separator: "\n")
        text.explain(
            """
            web1 is a Linux guest of \(guest.memory) MB. Its only disk is /dev/xenlvs/web1, a link to the logical volume \
            \(disk.last ?? "") of \(source.name). Five times a second it writes a number to that disk, makes it durable, \
            and only then prints it, with its clock in milliseconds:
            """)
        var sizes: [String: Int] = [:]
        var boots: Set<String> = []
        for node in [source, target] {
            let text = try await node.consoleText(of: guest)
            sizes[node.name] = text.utf8.count
            boots.formUnion(GuestConsole(text).boots)
        }
        return DemoStage(
            guest: guest, source: source, target: target,
            ticksOnTarget: try await target.console(of: guest).ticks.count, consoleBefore: sizes,
            bootsBefore: boots)
    }

    private static func start(_ guest: LabGuest, on node: LabNode, _ text: DemoText) async throws {
        if try await !node.has(guest) {
            let command = "xenlvs volume create web1 --size 64M"
            text.command(node.name, command)
            text.show(try await node.run(command).text)
            try await node.run("mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 /dev/xenlvs/web1")
        }
        text.command(node.name, "xl create \(guest.configurationPath)")
        try await node.create(guest)
        try await node.waitForTicks(of: guest, beyond: 5)
        text.good("web1 runs on \(node.name)")
    }

    /// Holds what the guest printed and what is on its disk against each other, and says what came out.
    func judge(_ text: DemoText) async throws {
        // At rest for a moment, so that its disk can be looked at from outside.
        try await target.run("xl pause web1; blockdev --flushbufs /dev/xenlvs/web1")
        let disk: GuestDisk
        let printed: GuestConsole
        do {
            printed = GuestConsole(try await newText(of: source) + newText(of: target))
            disk = try await target.disk("/dev/xenlvs/web1")
        } catch {
            try await target.run("xl unpause web1")
            throw error
        }
        try await target.run("xl unpause web1")

        let problems = disk.problems(given: printed, isFirst: false)
        guard problems.isEmpty else { throw LabError.unusable("the guest was harmed: \(problems)") }
        guard disk.boots.count == bootsBefore.count, Set(disk.boots) == bootsBefore, let boot = disk.boots.last else {
            throw LabError.unusable("the guest has booted: \(bootsBefore.sorted()) before, \(disk.boots) now")
        }
        text.good("still the same boot, \(boot)")
        text.good(
            "\(disk.counter.count) numbers on its disk: none is missing, none is there twice, and all that it printed are there"
        )
        text.good("its file system is clean")
        let gaps = zip(printed.ticks.dropFirst(), printed.ticks).map { $0.uptime - $1.uptime }.sorted(by: >).prefix(3)
        let words = gaps.map { "\(seconds($0)) s" }.joined(separator: ", ")
        text.good("its longest silences, by its own clock: \(words)")
    }

    /// What the guest has printed on a node since the stage was set.
    private func newText(of node: LabNode) async throws -> String {
        let text = try await node.consoleText(of: guest)
        return String(decoding: Array(text.utf8).dropFirst(consoleBefore[node.name, default: 0]), as: UTF8.self)
    }

    private func seconds(_ milliseconds: Int) -> String {
        let tenths = (milliseconds + 50) / 100
        return "\(tenths / 10).\(tenths % 10)"
    }
}

extension LabNode {
    /// Whether the guest's volume is in use here.
    fileprivate func has(_ guest: LabGuest) async throws -> Bool {
        try await run("[ -e /dev/xenlvs/\(guest.name) ]", check: false).exit == 0
    }

    fileprivate func consoleText(of guest: LabGuest) async throws -> String {
        try await run("cat \(guest.consolePath) 2>/dev/null || true").stdout
    }
}
