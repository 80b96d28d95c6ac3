import AoE
import Foundation
import HostModel
import Hosts
import Storage
import Testing

@testable import Operations

@Suite("Attaching and detaching", .enabled(if: canMakeDeviceNodes, "needs device nodes"))
struct AttachmentManagerTests {
    private let web1 = VolumeName(unchecked: "web1")

    @Test("A target gets its device, its record and its link, by the interfaces on which it answers")
    func attach() async throws {
        let host = try AttachmentHost()
        try host.serve(on: ["eth1", "eth2"])
        let attached = try await host.attach()
        #expect(attached.paths.count == 2 && attached.warnings.isEmpty)
        #expect(host.link() == host.root + "/dev/etherd/e1.0")
        #expect(host.kernel.mutations == ["modprobe aoe 'aoe_iflist=\"eth1 eth2\"'"])
        let recorded = try #require(try host.host.aoeAttachments().first)
        #expect(recorded == attached.attachment && recorded.interfaces.map(\.text) == ["eth1", "eth2"])
        let shown = try #require(try await AttachmentCatalog(host: host.host).all().first)
        #expect(shown.state == .up && shown.target == .asRecorded && shown.why == nil && shown.link.verdict == .right)
        #expect(shown.size == .mebibytes(64) && shown.uses.isEmpty)
    }

    @Test("An interface that another attachment needs is kept, and one that nobody needs is taken away")
    func interfaces() async throws {
        let host = try AttachmentHost()
        try host.serve("e1.0", on: ["eth1"])
        try host.serve("e1.1", serial: "S2", on: ["eth2"])
        try await host.attach("e1.0", as: "web1", on: ["eth1"])
        let second = try await host.attach("e1.1", as: "web2", on: ["eth2"])
        #expect(second.attachment.interfaces.map(\.text) == ["eth2"])
        #expect(host.kernel.mutations.last == "aoe-control interfaces 'eth1 eth2'")
        _ = try await host.manager.detach(web1, force: false)
        try host.serve("e1.2", serial: "S3", on: ["eth2"])
        try await host.attach("e1.2", as: "web3")
        #expect(host.kernel.mutations.last == "aoe-control interfaces eth2")
    }

    @Test("A guest's interface is not asked unless it is named")
    func guests() async throws {
        let host = try AttachmentHost()
        try host.serve(on: ["vif3.0"])
        #expect(await failure { try await host.attach() }?.code == .notFound)
        #expect(try await host.attach(on: ["vif3.0"]).attachment.interfaces.map(\.text) == ["vif3.0"])
    }

    @Test("A target that is heard elsewhere than where it is asked for is refused, and a path without one is told")
    func namedInterfaces() async throws {
        let host = try AttachmentHost()
        try host.serve(on: ["eth1"])
        #expect(await failure { try await host.attach(on: ["eth2"]) }?.code == .notFound)
        let attached = try await host.attach(on: ["eth1", "eth2"])
        #expect(attached.warnings.count == 1 && attached.warnings[0].contains("eth2"))
    }

    @Test("A name or an address that is taken is refused, and nothing is touched")
    func taken() async throws {
        let host = try AttachmentHost()
        try host.serve("e1.0")
        try host.serve("e1.1", serial: "S2")
        try await host.attach("e1.0")
        let before = host.kernel.mutations
        #expect(await failure { try await host.attach("e1.1") }?.code == .refused)
        #expect(await failure { try await host.attach("e1.0", as: "web2") }?.code == .refused)
        let record = VolumeRecord(name: VolumeName(unchecked: "vol"), body: "{}", backing: "/dev/vg0/vol")
        try host.host.database.put(record)
        #expect(await failure { try await host.attach("e1.1", as: "vol") }?.code == .refused)
        try FileManager.default.createSymbolicLink(
            atPath: host.root + "/dev/xenlvs/strange", withDestinationPath: "/dev/null")
        #expect(await failure { try await host.attach("e1.1", as: "strange") }?.code == .refused)
        #expect(host.kernel.mutations == before)
        // The other way round: no volume takes an attachment's name, whoever makes it.
        let volume = VolumeRecord(name: web1, body: "{}", backing: "/dev/vg0/web1")
        #expect(await failure { try host.host.database.put(volume) }?.code == .refused)
    }

    @Test("What cannot come up is taken back: no device, no module, no link, no record")
    func takenBack() async throws {
        let host = try AttachmentHost()
        try host.serve()
        host.kernel.keepDown()
        let found = await failure { try await host.attach() }
        #expect(found?.code == .failed && found?.why?.contains("no such device") == true)
        #expect(host.kernel.mutations.last == "modprobe -r aoe")
        #expect(try host.host.aoeAttachments().isEmpty && host.link() == nil)
    }

    @Test("Two devices behind one address are refused before the kernel hears of them")
    func conflict() async throws {
        let host = try AttachmentHost()
        try host.serve(on: ["eth1"])
        try host.serve("e1.1", on: ["eth2"])
        try await host.attach("e1.1", as: "web2")
        let other = try AttachmentTests.target(
            on: "eth2", mac: "02:00:00:00:00:09", identity: .init(size: .mebibytes(64), model: "xenlvs", serial: "S9"))
        host.answer(also: other)
        // eth2 is not asked for, but the kernel uses it for another attachment.
        let found = await failure { try await host.attach("e1.0", on: ["eth1"]) }
        #expect(found?.code == .refused && found?.why?.contains("different devices") == true)
        #expect(host.kernel.mutations.count == 1)
    }

    @Test("A device that somebody uses already is not attached")
    func inUse() async throws {
        let host = try AttachmentHost()
        try host.serve("e1.0")
        try host.serve("e1.1", serial: "S2")
        try await host.attach("e1.0")
        host.kernel.claim(host.root + "/dev/etherd/e1.1")
        #expect(await failure { try await host.attach("e1.1", as: "web2") }?.code == .busy)
    }

    @Test("Detaching writes back, removes the link, gives the device back and forgets it, in this order")
    func detach() async throws {
        let host = try AttachmentHost()
        try host.serve()
        try await host.attach()
        let removed = try await host.manager.detach(web1, force: false)
        #expect(removed.count == 3)
        #expect(
            host.kernel.mutations.suffix(2) == [
                "blockdev --flushbufs \(host.root)/dev/etherd/e1.0", "aoe-control flush e1.0",
            ])
        #expect(try host.host.aoeAttachments().isEmpty && host.link() == nil)
        #expect(await failure { _ = try await host.manager.detach(web1, force: false) }?.code == .notFound)
    }

    @Test("What is in use is never given back, by force neither", arguments: [false, true])
    func detachInUse(_ force: Bool) async throws {
        let host = try AttachmentHost()
        try host.serve()
        try await host.attach()
        try host.open(host.root + "/dev/etherd/e1.0", by: 4711, "dd")
        let found = await failure { _ = try await host.manager.detach(web1, force: force) }
        #expect(found?.code.exitStatus == .busy && found?.why == "dd (pid 4711) has its device open")
        #expect(host.link() != nil && !host.kernel.mutations.contains("aoe-control flush e1.0"))
        let shown = try #require(try await AttachmentCatalog(host: host.host).all().first)
        #expect(shown.uses == [VolumeUse(.process, "dd (pid 4711)")])
    }

    @Test("A holder, a claim and a device that is open while it is down keep it as well")
    func holders() async throws {
        let host = try AttachmentHost()
        try host.serve()
        try await host.attach()
        let holder = host.root + "/sys/dev/block/152:0/holders/dm-3"
        try Data().write(to: URL(fileURLWithPath: holder))
        var found = await failure { _ = try await host.manager.detach(web1, force: true) }
        #expect(found?.why == "the device dm-3 is built on it")
        try FileManager.default.removeItem(atPath: holder)
        host.kernel.claim(host.root + "/dev/etherd/e1.0")
        found = await failure { _ = try await host.manager.detach(web1, force: true) }
        #expect(found?.code == .busy)
        try Data("down,closewait\n".utf8).write(to: URL(fileURLWithPath: host.root + "/sys/block/etherd!e1.0/state"))
        found = await failure { _ = try await host.manager.detach(web1, force: true) }
        #expect(found?.code == .busy && host.link() != nil)
    }

    @Test("Where what is in memory cannot be written, nothing changes unless it is given up by force")
    func silentTarget() async throws {
        let host = try AttachmentHost()
        try host.serve()
        try await host.attach()
        host.kernel.fail(.blockdev)
        let found = await failure { _ = try await host.manager.detach(web1, force: false) }
        #expect(found?.code == .failed && found?.remedy?.contains("--force") == true)
        #expect(host.link() != nil)
        _ = try await host.manager.detach(web1, force: true)
        #expect(try host.host.aoeAttachments().isEmpty && host.link() == nil)
    }

    @Test("A kernel that does not let go of the device leaves the record, to go on with")
    func kernelHangs() async throws {
        let host = try AttachmentHost()
        try host.serve()
        try await host.attach()
        host.kernel.fail(.aoeControl)
        #expect(await failure { _ = try await host.manager.detach(web1, force: true) }?.code == .outcomeUnknown)
        #expect(try host.host.aoeAttachments().count == 1 && host.link() == nil)
    }

    @Test("A link that was changed by hand stays, and so does the attachment")
    func foreignLink() async throws {
        let host = try AttachmentHost()
        try host.serve("e1.0")
        try host.serve("e1.1", serial: "S2")
        try await host.attach()
        let link = host.root + "/dev/xenlvs/web1"
        try FileManager.default.removeItem(atPath: link)
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: host.root + "/dev/etherd/e1.1")
        #expect(await failure { _ = try await host.manager.detach(web1, force: true) }?.code == .refused)
        let rows = try await AttachmentRecovery(host: host.host).run(try host.host.aoeAttachments(), limit: .zero)
        #expect(rows.map(\.result) == [.refused])
        #expect(host.link() == host.root + "/dev/etherd/e1.1")
    }

    @Test("A boot brings the attachments back, by their interfaces")
    func boot() async throws {
        let host = try AttachmentHost()
        try host.serve("e1.0", on: ["eth1"])
        try host.serve("e1.1", serial: "S2", on: ["eth2"])
        try await host.attach("e1.0")
        try await host.attach("e1.1", as: "web2")
        try host.reboot()
        let rows = try await LinkKeeper(host: host.host).repairAll(waitingForTargets: .seconds(5))
        #expect(rows.map(\.result) == [.made, .made])
        #expect(host.kernel.mutations == ["modprobe aoe 'aoe_iflist=\"eth1 eth2\"'"])
        #expect(host.link() == host.root + "/dev/etherd/e1.0" && host.link("web2") == host.root + "/dev/etherd/e1.1")
        let again = try await LinkKeeper(host: host.host).repairAll()
        #expect(again.map(\.result) == [.wasRight, .wasRight])
        #expect(try await LinkKeeper(host: host.host).show().allSatisfy { $0.verdict == .right })
    }

    @Test(
        "After a boot no other device gets the link: grown, smaller, another one, or none at all",
        .timeLimit(.minutes(2)))
    func strangerAtBoot() async throws {
        let host = try AttachmentHost()
        try host.serve()
        try await host.attach()
        for (megabytes, serial, word) in [(65, "S1", "65 MiB"), (63, "S1", "63 MiB"), (64, "S9", "serial 'S9'")] {
            try host.reboot()
            try host.serve(megabytes: Int64(megabytes), serial: serial)
            let row = try await LinkKeeper(host: host.host).repairAll(waitingForTargets: .zero).first
            #expect(row?.result == .failed && row?.why?.contains(word) == true && row?.needsOperator == true)
            #expect(host.link() == nil)
        }
        try host.reboot()
        try host.silence("e1.0")
        let row = try await LinkKeeper(host: host.host).repairAll(waitingForTargets: .seconds(1)).first
        #expect(row?.why == "nobody answers for e1.0" && host.link() == nil)
    }

    @Test("A target that has grown is taken over when it is told to, also one that grew while the host was off")
    func revalidate() async throws {
        let host = try AttachmentHost()
        try host.serve()
        try await host.attach()
        #expect(try await host.manager.revalidate(web1, limit: .seconds(1)).former == .mebibytes(64))
        try host.serve(megabytes: 96)
        #expect(try await AttachmentCatalog(host: host.host).all().first?.target == .grown)
        let grown = try await host.manager.revalidate(web1, limit: .seconds(1))
        #expect(grown.former == .mebibytes(64) && grown.size == .mebibytes(96))
        #expect(host.kernel.mutations.last == "aoe-control revalidate e1.0")
        #expect(try await AttachmentCatalog(host: host.host).all().first?.target == .asRecorded)
        try host.reboot()
        try host.serve(megabytes: 128)
        _ = try await LinkKeeper(host: host.host).repairAll(waitingForTargets: .zero)
        _ = try await host.manager.revalidate(web1, limit: .seconds(1))
        #expect(host.link() == host.root + "/dev/etherd/e1.0")
    }

    @Test("A target that has become smaller or is another one is never taken over")
    func refusedRevalidation() async throws {
        let host = try AttachmentHost()
        try host.serve()
        try await host.attach()
        try host.serve(megabytes: 32)
        #expect(await failure { _ = try await host.manager.revalidate(web1, limit: .zero) }?.code == .refused)
        try host.serve(megabytes: 96, serial: "S2")
        #expect(await failure { _ = try await host.manager.revalidate(web1, limit: .zero) }?.code == .refused)
        try host.silence("e1.0")
        #expect(await failure { _ = try await host.manager.revalidate(web1, limit: .zero) }?.code == .notFound)
        #expect(try host.host.aoeAttachments().first?.identity.size == .mebibytes(64))
        #expect(!host.kernel.mutations.contains("aoe-control revalidate e1.0"))
    }

    @Test("An attach that was killed between record and link is completed by a repair")
    func killed() async throws {
        let host = try AttachmentHost()
        try host.serve()
        try await host.attach()
        try FileManager.default.removeItem(atPath: host.root + "/dev/xenlvs/web1")
        #expect(try await LinkKeeper(host: host.host).repair(web1).result == .made)
        #expect(host.link() == host.root + "/dev/etherd/e1.0")
    }
}
