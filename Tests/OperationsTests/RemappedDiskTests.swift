import HostModel
import ISCSI
import Storage
import Testing

@testable import Operations

@Suite("A LUN that is given to another disk under a session", .enabled(if: canMakeDeviceNodes, "needs device nodes"))
struct RemappedDiskTests {
    private let one = FakeISCSI.Disk(serial: 1, megabytes: 64)
    private let other = FakeISCSI.Disk(serial: 2, megabytes: 64)
    private let web1 = VolumeName(unchecked: "web1")
    private let portals = ["10.0.0.1", "10.0.0.2"]

    /// Attached by one portal, and then remapped.
    private func remapped(isKnownToKernel: Bool = false) async throws -> ISCSIAttachmentHost {
        let host = try ISCSIAttachmentHost()
        host.network.serve(one)
        try await host.attach()
        host.network.serve(other)
        if isKnownToKernel { try host.network.rescanByHand() }
        return host
    }

    private func finding(_ row: ISCSIAttachmentSummary, _ host: ISCSIAttachmentHost) -> Finding? {
        RemappedDisk.finding(.iscsi(row), on: host.host.name)
    }

    /// What the kernel has of the only disk.
    private func disk(_ host: ISCSIAttachmentHost) throws -> SCSIDisk {
        try #require(ISCSISession.all(in: host.host.tree).first?.disks.first)
    }

    @Test(
        "The doctor names it with the kernel's disk and who has it; share and migrate do not take it",
        arguments: [false, true])
    func told(isKnownToKernel: Bool) async throws {
        let host = try await remapped(isKnownToKernel: isKnownToKernel)
        let disk = try disk(host)
        host.network.claim(try #require(disk.blockDevice(in: host.host.tree)).node)
        let row = try #require(try await host.row())
        #expect(row.target == .another && row.state == (isKnownToKernel ? .absent : .up), "\(row)")
        #expect(row.uses.map(\.kind) == [.open], "\(row.uses)")
        let found = try #require(AttachmentFindings(host: host.host.name).findings([.iscsi(row)]).first)
        #expect(found == finding(row, host) && found.severity == .blocking)
        #expect(found.what.contains("LUN 1 of \(ISCSIAttachmentHost.target)"))
        let why = try #require(found.why)
        for words in ["recorded is", "\(disk.name) now is the other disk's", "something has its device open"] {
            #expect(why.contains(words), "\(why)")
        }
        let remedy = try #require(found.remedy)
        #expect(remedy.hasPrefix("end at once") && remedy.contains("'xenlvs link repair web1'"), "\(remedy)")
        #expect(SharedDisk(.iscsi(row)).why?.contains("WWID") == true)
    }

    @Test("A guest that has it is destroyed, not shut down: what it has in memory would go to the other disk")
    func guest() async throws {
        let host = try await remapped()
        var row = try #require(try await host.row())
        row.uses = [VolumeUse(.domain, "web1")]
        #expect(finding(row, host)?.remedy?.contains("xl destroy web1. Then take") == true)
        row.uses = []
        #expect(finding(row, host)?.remedy?.hasPrefix("take its link away") == true)
    }

    @Test("Nothing of it is said where the target says nothing else, or this host has no disk of it")
    func untold() async throws {
        let host = try await remapped()
        host.network.serve(nil)
        let silent = try #require(try await host.row())
        #expect(silent.target == .silent && finding(silent, host) == nil)
        try host.reboot()
        host.network.serve(other)
        let absent = try #require(try await host.row())
        #expect(absent.target == .another && finding(absent, host) == nil)
    }

    @Test(
        "The link is taken away also once the kernel knows, and where nobody answers any more",
        arguments: [true, false])
    func link(answers: Bool) async throws {
        let host = try await remapped(isKnownToKernel: true)
        let facts = try #require(try await host.row()).link
        #expect(facts.why?.contains("not the recorded disk") == true, "\(facts)")
        #expect(facts.remedy?.contains("link repair web1") == true)
        if !answers { host.network.serve(nil) }
        let row = try await host.repair()
        #expect(row.result == .failed && row.why?.contains("its link was taken away") == true, "\(row)")
        #expect(host.link == nil)
        #expect(row.why?.contains(answers ? "the target has" : "not the recorded disk") == true, "\(row)")
    }

    @Test("It comes back once the target has the recorded disk again, and not before the kernel has it, too")
    func back() async throws {
        let host = try await remapped(isKnownToKernel: true)
        let node = host.link
        host.network.serve(one, kernel: other)
        #expect(try await host.repair().result == .refused)
        #expect(host.link == nil)
        host.network.serve(one)
        #expect(try await host.repair().result == .made)
        #expect(try host.link == node && disk(host).wwid == host.recorded?.wwid)
        #expect(try await host.row()?.why == nil)
    }

    @Test("What is used is not given back, also once the kernel knows that it is another disk")
    func inUse() async throws {
        let host = try await remapped(isKnownToKernel: true)
        host.network.claim(try #require(try disk(host).blockDevice(in: host.host.tree)).node)
        let link = host.link
        let found = await failure { _ = try await host.manager.detach(web1, force: true) }
        #expect(found?.code == .busy && host.link == link, "\(String(describing: found))")
        #expect(!host.network.mutations.contains { $0.contains("--logout") })
    }

    @Test("The same of a map with a path that leads to another disk")
    func map() async throws {
        let host = try ISCSIAttachmentHost()
        host.network.startMultipathd()
        for portal in portals { host.network.serve(one, at: portal) }
        let node = try await host.attach(at: portals).node
        host.network.serve(other, at: portals[1])
        try host.network.rescanByHand()
        host.network.claim(try BlockDevice(at: node, sysfs: host.host.tree.sysfs).node)
        let found = await failure { _ = try await host.manager.detach(web1, force: true) }
        #expect(found?.code == .busy, "\(String(describing: found))")
        #expect(!host.network.mutations.contains { $0.hasPrefix("multipath -R") })
        // The portals differ: the link goes, and nobody has changed it by hand.
        let row = try await host.repair()
        #expect(row.result == .failed && row.why?.contains("taken away") == true && host.link == nil, "\(row)")
        // Where the second one is only silent, the map is made anew of what is left.
        host.network.serve(nil, at: portals[1])
        #expect(try await host.repair().result == .made)
        #expect(try host.link == node && host.mapped.count == 1)
    }

    @Test("It is given back when nobody has it, and nothing is left")
    func detached() async throws {
        for isKnown in [false, true] {
            let host = try await remapped(isKnownToKernel: isKnown)
            _ = try await host.manager.detach(web1, force: false)
            #expect(try host.link == nil && host.records.isEmpty && host.host.attachments().isEmpty)
            #expect(ISCSISession.all(in: host.host.tree).isEmpty)
        }
    }

    @Test("Nothing is copied to it: the target is asked before, not the kernel")
    func swap() async throws {
        let host = try await remapped()
        let attachment = try #require(try host.host.iscsiAttachments().first)
        let what = "cannot swap 'data' to attachment web1"
        func check() async -> Failure? {
            await failure { try await MoveTarget(host: host.host).checkLeadsThere(web1, doing: what) }
        }
        #expect(ISCSIDevice.read(attachment, in: host.host.tree) != nil)
        let found = try #require(await check())
        #expect(found.code == .refused && found.what == what && found.remedy != nil)
        #expect(found.why?.contains("'web1': the target has") == true, "\(found)")
        host.network.serve(nil)
        #expect(await check()?.code == .refused)
        for disk in [one, FakeISCSI.Disk(serial: 1, megabytes: 96)] {
            host.network.serve(disk)
            #expect(await check() == nil)
        }
    }
}
