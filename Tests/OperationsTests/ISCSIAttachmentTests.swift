import DeviceMapper
import Foundation
import Glibc
import HostModel
import Hosts
import ISCSI
import Storage
import Testing

@testable import Operations

@Suite("Attaching over iSCSI", .enabled(if: canMakeDeviceNodes, "needs device nodes"))
struct ISCSIAttachmentTests {
    private let one = FakeISCSI.Disk(serial: 1, megabytes: 64)
    private let other = FakeISCSI.Disk(serial: 2, megabytes: 64)
    private let web1 = VolumeName(unchecked: "web1")

    /// Nothing of an attachment is left anywhere.
    private func expectNothing(_ host: ISCSIAttachmentHost, at place: SourceLocation = #_sourceLocation) throws {
        #expect(host.link == nil, sourceLocation: place)
        #expect(host.records.isEmpty, "\(host.records)", sourceLocation: place)
        #expect(ISCSISession.all(in: host.host.tree).isEmpty, sourceLocation: place)
        #expect(try host.host.attachments().isEmpty, sourceLocation: place)
    }

    @Test("A disk gets its session, its record and its link")
    func attach() async throws {
        let host = try ISCSIAttachmentHost()
        host.network.serve(one)
        let attached = try await host.attach()
        #expect(host.link == attached.node && attached.node.hasSuffix("-iscsi-\(ISCSIAttachmentHost.target)-lun-1"))
        #expect(attached.attachment.identity.size == .mebibytes(64))
        #expect(host.records.last == "\(ISCSIAttachmentHost.target)/10.0.0.1,3260,1/default")
        let row = try #require(try await host.row())
        #expect(row.state == .up && row.target == .asRecorded && row.why == nil && row.uses.isEmpty)
        #expect(row.link.verdict == .right && row.size == .mebibytes(64))
        // A name for this host was made, and stays.
        let name = try #require(host.text(InitiatorNameFile.path))
        _ = try await host.manager.detach(web1, force: false)
        try expectNothing(host)
        try await host.attach()
        #expect(host.text(InitiatorNameFile.path) == name)
    }

    @Test("Secrets are in the records alone, which only root may read")
    func secrets() async throws {
        let host = try ISCSIAttachmentHost()
        host.network.serve(one)
        let file = host.root + "/web.chap"
        try Data("user = web\nsecret = the-right-secret\n".utf8).write(to: URL(fileURLWithPath: file))
        chmod(file, 0o644)
        #expect(await failure { try await host.attach(chapFile: file) }?.code == .refused)
        chmod(file, 0o600)
        try await host.attach(chapFile: file)
        let record = "/etc/iscsi/nodes/\(ISCSIAttachmentHost.target)/10.0.0.1,3260,1/default"
        #expect(host.text(record)?.contains("password = the-right-secret") == true)
        #expect(host.mode(record) == 0o600)
        #expect(host.mode("/etc/iscsi/nodes") == 0o700 && host.mode("/etc/iscsi") != 0o700)
        #expect(!host.network.mutations.joined().contains("the-right-secret"))
        let journal = try JSONText.encode(try #require(try host.host.iscsiAttachments().first))
        #expect(journal.contains(file) && !journal.contains("the-right-secret"))
    }

    @Test("A name, a target or a disk that is taken is refused, and nothing is touched")
    func taken() async throws {
        let host = try ISCSIAttachmentHost()
        host.network.serve(one)
        try await host.attach()
        let before = host.network.mutations
        let stranger = try ISCSIName("iqn.2026-11.invalid.xenlvs.nodec:web1")
        #expect(await failure { try await host.attach(stranger) }?.code == .refused)
        #expect(await failure { try await host.attach(as: "web2") }?.code == .refused)
        // Another target with the same disk: the copy of a volume group, or the same one by another way.
        let twin = await failure { try await host.attach(stranger, as: "web2") }
        #expect(twin?.code == .refused && twin?.why?.contains("WWID") == true)
        #expect(host.network.mutations == before)
    }

    @Test("Portals that lead to different disks are refused before the kernel hears of them")
    func differing() async throws {
        let host = try ISCSIAttachmentHost()
        host.network.startMultipathd()
        host.network.serve(one, at: "10.0.0.1")
        host.network.serve(other, at: "10.0.0.2")
        let found = await failure { try await host.attach(at: ["10.0.0.1", "10.0.0.2"]) }
        #expect(found?.code == .refused && found?.why?.contains("different disks") == true)
        #expect(host.network.mutations.isEmpty)
        try expectNothing(host)
    }

    @Test(
        "A disk that is another one once the kernel has it is logged out again",
        arguments: [FakeISCSI.Disk(serial: 2, megabytes: 64), FakeISCSI.Disk(serial: 1, megabytes: 32)])
    func swapped(kernel: FakeISCSI.Disk) async throws {
        let host = try ISCSIAttachmentHost()
        host.network.serve(one, kernel: kernel)
        let found = await failure { try await host.attach() }
        #expect(found?.code == .refused, "\(String(describing: found))")
        #expect(host.network.mutations.last?.contains("--logout") == true)
        try expectNothing(host)
    }

    @Test(
        "Why a login failed is said, and it is taken back",
        arguments: [(Int32(20), "iscsid"), (24, "CHAP"), (8, "no answer"), (19, "refuses")])
    func logins(code: Int32, word: String) async throws {
        let host = try ISCSIAttachmentHost()
        host.network.serve(one)
        host.network.failLogins(with: code)
        let found = await failure { try await host.attach() }
        #expect(found?.why?.contains(word) == true && found?.remedy != nil, "\(String(describing: found))")
        try expectNothing(host)
    }

    @Test("A login that does not end leaves a record, by which it is completed or taken back")
    func hanging() async throws {
        let host = try ISCSIAttachmentHost()
        host.network.serve(one)
        host.network.failLogins(with: FakeISCSI.hanging)
        #expect(await failure { try await host.attach() }?.code == .outcomeUnknown)
        let row = try #require(try await host.row())
        #expect(row.state == .absent && row.why != nil && row.remedy != nil && host.link == nil)
        host.network.failLogins(with: 0)
        #expect(try await host.repair().result == .made)
        _ = try await host.manager.detach(web1, force: false)
        try expectNothing(host)
    }

    @Test("A session or a record of somebody else's is left alone")
    func foreign() async throws {
        let host = try ISCSIAttachmentHost()
        host.network.serve(one)
        let strange = "/etc/iscsi/nodes/\(ISCSIAttachmentHost.target)/10.9.9.9,3260,1"
        try FileManager.default.createDirectory(atPath: host.root + strange, withIntermediateDirectories: true)
        try Data("x".utf8).write(to: URL(fileURLWithPath: host.root + strange + "/default"))
        let found = await failure { try await host.attach() }
        #expect(found?.code == .refused && found?.why?.contains("10.9.9.9") == true)
        #expect(host.text(strange + "/default") == "x" && host.network.mutations.isEmpty)
    }

    @Test("What is used is not given back")
    func inUse() async throws {
        let host = try ISCSIAttachmentHost()
        host.network.serve(one)
        let node = try await host.attach().node
        host.network.claim(try BlockDevice(at: node).node)
        let found = await failure { _ = try await host.manager.detach(web1, force: true) }
        #expect(found?.code == .busy && host.link == node)
        #expect(!host.network.mutations.contains { $0.contains("--logout") })
    }

    @Test("After a boot a link is made to the recorded disk, and to no other")
    func boot() async throws {
        let host = try ISCSIAttachmentHost()
        host.network.serve(one)
        try await host.attach()
        let kept = host.records
        for (now, why) in [(other, "WWID"), (.init(serial: 1, megabytes: 32), "32 MiB")] as [(FakeISCSI.Disk, String)] {
            try host.network.reboot()
            host.network.serve(now)
            let row = try await host.repair()
            #expect(row.result == .failed && row.why?.contains(why) == true, "\(row)")
            #expect(host.link == nil && host.network.mutations.isEmpty)
        }
        host.network.serve(nil)
        #expect(try await host.repair().why?.contains("cannot be reached") == true)
        // The target changes between the question and the login.
        host.network.serve(one, kernel: other)
        #expect(try await host.repair().result == .refused)
        #expect(host.link == nil && ISCSISession.all(in: host.host.tree).isEmpty && host.records == kept)
        host.network.serve(one)
        #expect(try await host.repair().result == .made)
        #expect(host.link != nil)
        #expect(try await host.repair().result == .wasRight)
    }

    @Test("A LUN that leads elsewhere now, a lost session and a link changed by hand are shown")
    func shown() async throws {
        let host = try ISCSIAttachmentHost()
        host.network.serve(one)
        try await host.attach()
        host.network.serve(other)
        let mapped = try #require(try await host.row())
        #expect(mapped.target == .another && mapped.why?.contains("WWID") == true && mapped.remedy != nil)
        let row = try await host.repair()
        #expect(row.result == .failed && row.why?.contains("taken away") == true && host.link == nil)
        host.network.serve(one)
        #expect(try await host.repair().result == .made)
        host.network.serve(nil)
        try host.network.setSessions("FAILED")
        let lost = try #require(try await host.row())
        #expect(lost.state == .down && lost.why?.contains("FAILED") == true && lost.target == .silent)
        try host.network.setSessions("LOGGED_IN")
        host.network.serve(one)
        let path = host.root + "/dev/xenlvs/web1"
        try FileManager.default.removeItem(atPath: path)
        try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "/dev/null")
        #expect(try await host.row()?.link.verdict == .replacedByHand)
        #expect(await failure { _ = try await host.manager.detach(web1, force: true) }?.code == .refused)
    }

    @Test("A larger size is taken over, a smaller one never")
    func sizes() async throws {
        let host = try ISCSIAttachmentHost()
        host.network.serve(one)
        try await host.attach()
        host.network.serve(.init(serial: 1, megabytes: 96))
        #expect(try await host.row()?.target == .grown)
        let done = try await host.manager.revalidate(web1, limit: .seconds(1))
        #expect(done.size == .mebibytes(96) && done.former == .mebibytes(64))
        #expect(try await host.row()?.why == nil)
        host.network.serve(one)
        #expect(await failure { _ = try await host.manager.revalidate(web1, limit: .seconds(1)) }?.code == .refused)
    }

    @Test("Several portals need multipathd, which makes one device under the volume's name")
    func multipath() async throws {
        let host = try ISCSIAttachmentHost()
        let portals = ["10.0.0.1", "10.0.0.2"]
        for portal in portals { host.network.serve(one, at: portal) }
        let missing = await failure { try await host.attach(at: portals) }
        #expect(missing?.code == .refused && missing?.why?.contains("multipathd does not run") == true)
        try expectNothing(host)

        host.network.startMultipathd()
        #expect(try await host.attach(at: portals).node == host.root + "/dev/mapper/web1")
        #expect(host.link == host.root + "/dev/mapper/web1")
        let wwid = try #require(try host.host.iscsiAttachments().first).identity.wwid
        #expect(host.text(MultipathConfiguration.path)?.contains("wwid \(wwid)\n        alias web1") == true)
        #expect(try await host.row()?.state == .up)

        // One portal is enough after a boot; the other one is shown.
        try host.network.reboot()
        host.network.serve(nil, at: "10.0.0.2")
        #expect(try await host.repair().result == .made)
        let row = try #require(try await host.row())
        #expect(row.state == .degraded && row.why?.contains("10.0.0.2") == true, "\(row)")

        _ = try await host.manager.detach(web1, force: false)
        try expectNothing(host)
        #expect(host.network.mutations.contains("multipath -R 5 -f web1"))
        #expect(host.text(MultipathConfiguration.path)?.contains("web1") == false)
    }

    @Test("Where multipathd does not run xenlvs makes the map itself, as long as somebody checks its paths")
    func ownMap() async throws {
        let host = try ISCSIAttachmentHost()
        let portals = ["10.0.0.1", "10.0.0.2"]
        for portal in portals { host.network.serve(one, at: portal) }
        let watch = try host.watchPaths()
        defer { withExtendedLifetime(watch) {} }
        let attached = try await host.attach(at: portals)
        #expect(attached.node == host.root + "/dev/mapper/xenlvs-mpath-web1" && host.link == attached.node)
        let wwid = attached.attachment.identity.wwid
        // Nothing of it is multipathd's, should that be started.
        #expect(host.text(MultipathConfiguration.path)?.contains("blacklist {\n    wwid \"^\(wwid)$\"") == true)
        #expect(host.mapper.devices.map(\.uuid) == ["xenlvs-mpath-\(wwid)"])
        #expect(host.mapper.devices[0].table?.multipath?.paths.count == 2)
        #expect(try await host.row()?.state == .up)
        #expect(try MapStore(host.host.paths).all().map(\.name) == [web1])

        host.network.serve(.init(serial: 1, megabytes: 96), at: portals[0])
        host.network.serve(.init(serial: 1, megabytes: 96), at: portals[1])
        #expect(try await host.manager.revalidate(web1, limit: .seconds(1)).size == .mebibytes(96))
        #expect(host.mapper.devices[0].table?.sectors == 96 * 2048)

        #expect(await failure { try await MapManager(host: host.host).remove(web1) }?.code == .refused)
        _ = try await host.manager.detach(web1, force: false)
        try expectNothing(host)
        #expect(try host.mapper.devices.isEmpty && MapStore(host.host.paths).all().isEmpty)
        #expect(!host.network.mutations.contains { $0.hasPrefix("multipath") })
    }

    @Test("The same again changes nothing; another one of the name is refused")
    func again() async throws {
        let host = try ISCSIAttachmentHost()
        host.network.serve(one)
        try await host.attach()
        let before = host.network.mutations
        #expect(try await host.attach().wasThere && host.network.mutations == before)
        #expect(await failure { try await host.attach(at: ["10.0.0.2"]) }?.code == .refused)
        // What is missing of it is brought back.
        try host.network.reboot()
        #expect(try await host.attach().wasThere && host.link != nil)
    }

    @Test("A later share by another address leaves the attachment as it is; one by several paths needs all of them")
    func sharedAgain() async throws {
        let host = try ISCSIAttachmentHost()
        host.network.startMultipathd()
        for portal in ["10.0.0.1", "10.0.0.2"] { host.network.serve(one, at: portal) }
        let wwid = try await host.attach().attachment.identity.wwid
        _ = try await host.manager.detach(web1, force: false)
        let (worker, peer) = (HostWorker(host: host.host, version: "test"), try HostName("nodeb"))
        func attach(_ portals: [String]) async throws -> SharedDisk {
            let way = SharedTarget.Way.iscsi(
                target: ISCSIAttachmentHost.target, lun: 1, portals: try portals.map { try Portal($0) }, chapFile: nil)
            let target = SharedTarget(name: web1, way: way, identity: .wwid(wwid))
            return try await worker.share(.attach(target), for: peer).value(\.attached, from: peer)
        }
        #expect(try await attach(["10.0.0.1"]).why == nil)
        let before = host.network.mutations
        for portal in ["10.0.0.1", "10.0.0.2"] { #expect(try await attach([portal]).why == nil) }
        #expect(host.network.mutations == before)
        #expect(try host.host.iscsiAttachments().map { $0.paths.map(\.portal) } == [[Portal("10.0.0.1")]])
        let more = await failure { _ = try await attach(["10.0.0.1", "10.0.0.2"]) }
        #expect(
            more?.code == .refused && more?.what.contains("not by 10.0.0.2:3260") == true, "\(String(describing: more))"
        )

        // By two it is there for whoever asks for one of them, or for both in another order.
        _ = try await host.manager.detach(web1, force: false)
        _ = try await attach(["10.0.0.1", "10.0.0.2"])
        for portals in [["10.0.0.2", "10.0.0.1"], ["10.0.0.2"]] { #expect(try await attach(portals).why == nil) }
        #expect(try host.host.iscsiAttachments().map(\.paths.count) == [2])
    }

    @Test("The doctor sees daemons that do not run, other time-outs and LVM on the disk")
    func doctor() async throws {
        let host = try ISCSIAttachmentHost()
        let checks = ISCSIChecks(host: host.host)
        #expect(try await checks.findings().isEmpty)
        host.network.serve(one)
        try await host.attach()
        let words = try await checks.findings().map(\.what).joined(separator: "; ")
        #expect(words.contains("iscsid does not run") && words.contains("LVM looks into"), "\(words)")
        try host.network.setRecoverySeconds(5)
        #expect(try await checks.findings().contains { $0.what.contains("given up after 5 s") })
        try host.network.setRecoverySeconds(120)
        host.network.setLVMFilter(#"global_filter=["r|^/dev/disk/by-path/ip-.*-iscsi-|"]"#)
        try FileManager.default.createDirectory(atPath: host.root + "/proc/7", withIntermediateDirectories: true)
        try Data("iscsid\n".utf8).write(to: URL(fileURLWithPath: host.root + "/proc/7/comm"))
        let calm = try await checks.findings()
        #expect(calm.count == 1 && calm[0].severity == .fine, "\(calm)")
    }

    @Test("Of several paths each may be given up sooner, as multipathd may have it, and none later")
    func recoveryTimes() async throws {
        let host = try ISCSIAttachmentHost()
        host.network.startMultipathd()
        let portals = ["10.0.0.1", "10.0.0.2"]
        for portal in portals { host.network.serve(one, at: portal) }
        try await host.attach(at: portals)
        let checks = ISCSIChecks(host: host.host)
        for (seconds, isFitting) in [
            (10, true), (5, true), (1, true), (0, false), (-1, false), (11, false), (120, false),
        ] {
            try host.network.setRecoverySeconds(seconds)
            let told = try await checks.findings().filter { $0.what.contains("given up after \(seconds) s") }
            #expect(told.count == (isFitting ? 0 : 2), "\(seconds): \(told)")
            #expect(told.allSatisfy { $0.why?.hasPrefix("at most 10 s") == true })
        }
        // What multipathd is told is what the sessions were logged in with.
        #expect(host.text(MultipathConfiguration.path)?.contains("fast_io_fail_tmo 10\n") == true)
        let record = "/etc/iscsi/nodes/\(ISCSIAttachmentHost.target)/10.0.0.1,3260,1/default"
        #expect(host.text(record)?.contains("node.session.timeo.replacement_timeout = 10\n") == true)
    }

    @Test("multipathd is told to leave a disk with one path alone before it appears")
    func keptAway() async throws {
        let host = try ISCSIAttachmentHost()
        host.network.serve(one)
        host.network.startMultipathd()
        let wwid = try await host.attach().attachment.identity.wwid
        #expect(host.text(MultipathConfiguration.path)?.contains("blacklist {\n    wwid \"^\(wwid)$\"") == true)
        let order = host.network.mutations
        let told = try #require(order.firstIndex(of: "multipathd reconfigure"))
        let login = try #require(order.firstIndex { $0.contains("--login") })
        #expect(told < login)
    }
}
