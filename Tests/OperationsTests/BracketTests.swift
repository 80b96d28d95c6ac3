import Foundation
import HostModel
import Hosts
import Storage
import Testing

@testable import Operations

@Suite("A bracket", .enabled(if: canMakeDeviceNodes, "needs device nodes"))
struct BracketTests {
    private static let restored = ["restore -p", "unpause 6"]

    @Test("The domain stays in Xen until its image is whole, and runs once it was seen to have its disks")
    func performed() async throws {
        let host = try BracketHost()
        _ = try await host.bracket.perform(host.name)
        #expect(host.xen.mutations == ["save -p 5", "destroy 5"] + Self.restored)
        #expect(host.xen.guest?.state == "-b----")
        #expect(try host.isClean)
    }

    @Test("A disk that is read meanwhile has come to rest")
    func isRead() async throws {
        let host = try BracketHost()
        try host.show(10, written: 100, reads: 3)
        _ = try await host.bracket.perform(host.name)
        #expect(try host.isClean)
    }

    @Test("An image that is not whole, or a disk whose writes are not counted, lets the domain run on")
    func runsOn() async throws {
        for isShort in [true, false] {
            let host = try BracketHost(countsWrites: isShort)
            if isShort { host.xen.saveOnly(200) }
            let failure = await #expect(throws: Failure.self) { try await host.bracket.perform(host.name) }
            #expect(failure?.what.contains(isShort ? "not whole" : "no count") == true)
            #expect(host.xen.mutations == ["save -p 5", "unpause 5"])
            #expect(try host.isClean)
        }
    }

    @Test("Where the restored domain has not its disks the image is kept, and is restored again once they are there")
    func wrongDisk() async throws {
        let host = try BracketHost()
        host.xen.restoreOn([9, 11])
        let failure = await #expect(throws: Failure.self) { try await host.bracket.perform(host.name) }
        #expect(failure?.code == .needsRecovery && failure?.why?.contains("xvdb") == true)
        #expect(host.xen.guest?.state == "--p---" && host.hasImage)
        // What is said by the message.
        host.xen.put(nil)
        host.xen.restoreOn([9, 10])
        let repairs = try await host.bracket.recover()
        #expect(repairs.map(\.words) == ["the domain is restored"])
        #expect(host.xen.mutations.suffix(2) == ["restore -p", "unpause 7"])
        #expect(try host.isClean)
    }

    @Test("A restore that fails leaves the image, and says where it is")
    func failedRestore() async throws {
        let host = try BracketHost()
        host.xen.fail("restore")
        let failure = await #expect(throws: Failure.self) { try await host.bracket.perform(host.name) }
        #expect(failure?.code == .needsRecovery)
        #expect(failure?.remedy?.contains(host.bracket.image(host.name).path) == true)
        #expect(host.hasImage)
    }

    @Test("An 'xl save' that ends after its deadline lets the domain run on, and nothing is left of it")
    func overdueSave() async throws {
        let host = try BracketHost()
        host.xen.overdue("save")
        let failure = await #expect(throws: Failure.self) { try await host.bracket.perform(host.name) }
        #expect(failure?.code == .failed && failure?.why?.contains("runs on") == true)
        #expect(failure?.detailedDescription.contains("migration resume") == false)
        #expect(host.xen.mutations == ["save -p 5", "unpause 5"])
        #expect(try host.isClean)
    }

    @Test("Where the domain does not run on after that, its record stays for 'recover'")
    func overdueAndSuspended() async throws {
        let host = try BracketHost()
        host.xen.overdue("save")
        host.xen.save(as: "---ss-")
        host.xen.resume(as: "---ss-")
        let failure = await #expect(throws: Failure.self) { try await host.bracket.perform(host.name) }
        #expect(failure?.code == .needsRecovery && failure?.what.contains("may stand still") == true)
        #expect(failure?.remedy?.contains("xenlvs recover") == true)
        #expect(failure?.detailedDescription.contains("migration resume") == false)
        #expect(try !host.bracket.records().isEmpty && host.hasImage)
    }

    @Test("What an 'xl restore' has made after its deadline is let run by 'recover'")
    func overdueRestore() async throws {
        let host = try BracketHost()
        host.xen.overdue("restore")
        let failure = await #expect(throws: Failure.self) { try await host.bracket.perform(host.name) }
        #expect(failure?.code == .needsRecovery && failure?.remedy?.contains("xenlvs recover") == true)
        #expect(failure?.detailedDescription.contains("migration resume") == false)
        let repairs = try await host.bracket.recover()
        #expect(repairs.map(\.words) == ["the domain is restored"])
        #expect(host.xen.mutations == ["save -p 5", "destroy 5"] + Self.restored)
        #expect(try host.isClean)
    }

    @Test("While it is being saved the domain itself has everything: it is let go, and its image is never restored")
    func saving() async throws {
        for guest in [FakeXen.Guest(id: 5, state: "--p---"), nil] {
            let host = try BracketHost()
            try await host.leave(.saving)
            host.xen.put(guest)
            let repairs = try await host.bracket.recover()
            #expect(host.xen.mutations == (guest == nil ? [] : ["unpause 5"]))
            #expect(repairs.map(\.needsOperator) == [false])
            #expect(try host.isClean)
        }
    }

    @Test("What a killed 'xl save' has asked the domain to do is taken back, also where it takes note just before")
    func request() async throws {
        for (state, hasTakenNote, expected, words) in [
            ("-b----", false, ["ask ''"], "the domain runs on"),
            ("-b----", true, ["ask ''", "save -c 5"], "the domain was stopped, and runs on"),
            ("--p---", false, ["ask ''", "unpause 5"], "the domain was stopped, and runs on"),
        ] {
            let host = try BracketHost()
            try await host.leave(.saving)
            host.xen.put(FakeXen.Guest(id: 5, state: state, request: "suspend", hasTakenNote: hasTakenNote))
            let repairs = try await host.bracket.recover()
            #expect(host.xen.mutations == expected)
            #expect(repairs.map(\.words) == [words])
            #expect(host.xen.guest?.state == "-b----" && host.xen.guest?.request.isEmpty == true)
            #expect(try host.isClean)
        }
    }

    /// A host on which a killed save has left its domain suspended.
    private func suspendedHost(resumesAs state: String) async throws -> BracketHost {
        let host = try BracketHost()
        try await host.leave(.saving)
        host.xen.put(FakeXen.Guest(id: 5, state: "---ss-"))
        host.xen.resume(as: state)
        return host
    }

    @Test("A domain that was told to run on is looked at again: it may be paused then")
    func resumedPaused() async throws {
        let host = try await suspendedHost(resumesAs: "--p---")
        let repairs = try await host.bracket.recover()
        #expect(host.xen.mutations == ["save -c 5", "unpause 5"])
        #expect(repairs.map(\.words) == ["the domain was stopped, and runs on"])
        #expect(try host.isClean)
    }

    @Test("A domain that stays suspended is told, and what is recorded of it stays")
    func staysSuspended() async throws {
        let host = try await suspendedHost(resumesAs: "---ss-")
        let repairs = try await host.bracket.recover()
        #expect(host.xen.mutations == ["save -c 5", "save -c 5", "save -c 5"])
        #expect(repairs.map(\.needsOperator) == [true])
        #expect(repairs.first?.words.contains("suspended") == true)
        #expect(try !host.bracket.records().isEmpty && host.hasImage)
        // Whatever lets it run on by then.
        host.xen.resume(as: "-b----")
        let again = try await host.bracket.recover()
        #expect(again.map(\.words) == ["the domain was stopped, and runs on"])
        #expect(try host.isClean)
    }

    @Test("What was saved, and what a restore has left half made, is not taken for restored")
    func away() async throws {
        let saved = FakeXen.Guest(id: 5, state: "--p---")
        let half = FakeXen.Guest(id: 6, state: "--p---", isComplete: false)
        let whole = FakeXen.Guest(id: 6, state: "--p---")
        let cases: [(FakeXen.Guest?, [String])] = [
            (nil, Self.restored), (saved, ["destroy 5"] + Self.restored), (half, ["destroy 6"] + Self.restored),
            (whole, ["unpause 6"]),
        ]
        for (guest, expected) in cases {
            let host = try BracketHost()
            try await host.leave(.away)
            host.xen.put(guest)
            let repairs = try await host.bracket.recover()
            #expect(host.xen.mutations == expected)
            #expect(repairs.map(\.words) == ["the domain is restored"])
            #expect(try host.isClean)
        }
    }

    @Test("A domain that somebody has let run, or that runs again, is left to itself")
    func runs() async throws {
        let cases: [(DomainBracket.Record.Stage, FakeXen.Guest?)] = [
            (.away, FakeXen.Guest(id: 5)), (.away, FakeXen.Guest(id: 6)), (.back, FakeXen.Guest(id: 6)), (.back, nil),
        ]
        for (stage, guest) in cases {
            let host = try BracketHost()
            try await host.leave(stage)
            host.xen.put(guest)
            let repairs = try await host.bracket.recover()
            #expect(repairs.map(\.needsOperator) == [false])
            #expect(host.xen.mutations.isEmpty)
            #expect(try host.isClean)
        }
        let host = try BracketHost()
        try await host.leave(.back)
        host.xen.put(FakeXen.Guest(id: 6, state: "--p---"))
        _ = try await host.bracket.recover()
        #expect(host.xen.mutations == ["unpause 6"])
    }

    @Test("An image is not restored onto disks that were written to since, whoever has the domain's name by now")
    func written() async throws {
        let another = FakeXen.Guest(id: 8, uuid: "00000000-0000-4000-8000-000000000001")
        let cases: [(FakeXen.Guest?, Int, Int)] = [(nil, 101, 0), (nil, 100, 8), (another, 101, 0)]
        for (guest, written, discarded) in cases {
            let host = try BracketHost()
            try await host.leave(.away)
            host.xen.put(guest)
            try host.show(10, written: written, discarded: discarded)
            let repairs = try await host.bracket.recover()
            #expect(repairs.first?.words.contains("written to") == true)
            #expect(host.xen.mutations.isEmpty)
            #expect(try host.isClean)
            // Nothing keeps the domain from another bracket.
            host.xen.put(FakeXen.Guest(id: 5))
            _ = try await host.bracket.perform(host.name)
        }
    }

    @Test("Where that cannot be told nothing is done, and the image stays until the operator removes it")
    func uncertain() async throws {
        let changes: [(BracketHost) throws -> Void] = [
            { try $0.show(10, written: 100, sequence: 8) },
            { try $0.host.links.set(try VolumeName("data"), to: "\($0.root)/dev/dm-9") },
        ]
        for change in changes {
            let host = try BracketHost()
            try await host.leave(.away)
            host.xen.put(nil)
            try change(host)
            let repairs = try await host.bracket.recover()
            #expect(repairs.first?.needsOperator == true)
            #expect(repairs.first?.words.contains(host.bracket.image(host.name).path) == true)
            #expect(host.xen.mutations.isEmpty && host.hasImage)
            try FileManager.default.removeItem(atPath: host.bracket.image(host.name).path)
            let again = try await host.bracket.recover()
            #expect(again.first?.needsOperator == false)
            #expect(try host.isClean)
        }
    }

    @Test(
        "What an earlier boot has left is given up, whoever has the domain's name by now",
        arguments: [DomainBracket.Record.Stage.saving, .away, .back])
    func earlierBoot(_ stage: DomainBracket.Record.Stage) async throws {
        let host = try BracketHost()
        try await host.leave(stage, machine: "another boot")
        host.xen.put(FakeXen.Guest(id: 2, uuid: "00000000-0000-4000-8000-000000000001"))
        let repairs = try await host.bracket.recover()
        #expect(repairs.first?.words.contains("restarted") == true)
        #expect(host.xen.mutations.isEmpty)
        #expect(try host.isClean)
    }

    @Test("A domain that is away is brought back before its disks are looked for, and no volume is taken for it")
    func disks() async throws {
        let host = try BracketHost()
        try await host.leave(.away)
        host.xen.put(nil)
        try host.host.put(try Sample.volume("web1"))
        let manager = SwapManager(worker: host.bracket.worker)
        let failure = await #expect(throws: Failure.self) { _ = try await manager.disks(of: "web1", device: nil) }
        #expect(failure?.code == .busy && failure?.remedy?.contains("xenlvs recover") == true)
        // It ends at the first disk: there is no LV here.
        await #expect(throws: Failure.self) { _ = try await host.bracket.prepare("web1", device: nil) }
        #expect(host.xen.mutations.prefix(2) == ["restore -p", "unpause 6"])
        let disks = try await manager.disks(of: "web1", device: nil)
        #expect(disks.map { $0.volume.text } == ["web1", "data"])
    }

    @Test("Records of the version before, without numbers and counts, are read")
    func earlierVersion() async throws {
        let host = try BracketHost()
        try await host.leave(.away)
        host.xen.put(nil)
        let path = host.host.paths.state + "/brackets/web1.json"
        let now = try JSONText.decode(
            DomainBracket.Record.self, from: String(contentsOfFile: path, encoding: .utf8), what: path)
        var then = now
        then.id = nil
        for index in then.disks.indices { then.disks[index].counts = nil }
        let text = try JSONText.encode(then)
        #expect(!text.contains("counts") && !text.contains("\"id\""))
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        let repairs = try await host.bracket.recover()
        #expect(repairs.first?.needsOperator == true && host.hasImage)
    }
}
