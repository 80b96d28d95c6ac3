import AoE
import DeviceMapper
import Foundation
import HostModel
import Hosts
import Storage
import Testing

@testable import Operations

/// What lies between the link of a shared AoE disk and the kernel's device.
@Suite("A shared AoE disk takes flushes", .enabled(if: canMakeDeviceNodes, "needs device nodes"))
struct FlushCoverTests {
    private let web1 = VolumeName(unchecked: "web1")
    private let cover = "/dev/mapper/xenlvs-cover-web1"

    @Test("Its link leads there, it grows with the disk, it comes back after a boot, and it goes before the disk does")
    func life() async throws {
        let host = try AttachmentHost()
        try host.serve()
        try await host.attach(takesFlushes: true)
        #expect(host.link() == host.root + cover)
        #expect(host.mapper.devices.map(\.table?.description) == ["0 131072 delay 152:0 0 0 152:0 0 0 7:3 0 0"])
        // The doctor has nothing to say of it.
        #expect(host.mapper.devices.allSatisfy { $0.isOurs && !$0.isOfVolume })
        let shown = try #require(try await AttachmentCatalog(host: host.host).all().first)
        #expect(shown.why == nil && shown.link.verdict == .right && shown.uses.isEmpty, "\(shown)")
        for asked in [true, false] { #expect(try await host.attach(takesFlushes: asked).wasThere) }

        try host.serve(megabytes: 96)
        #expect(try await host.manager.revalidate(web1, limit: .seconds(1)).size == .mebibytes(96))
        #expect(host.mapper.devices.map(\.table?.sectors) == [196_608])

        try host.reboot()
        let rows = try await LinkKeeper(host: host.host).repairAll()
        #expect(rows.map(\.result) == [.made] && host.link() == host.root + cover, "\(rows)")

        _ = try await host.manager.detach(web1, force: false)
        #expect(host.mapper.devices.isEmpty && host.link() == nil)
        #expect(KernelFile.names(in: host.root + "/run").allSatisfy { !$0.hasSuffix(".flushes") })
        #expect(
            host.kernel.mutations.suffix(2) == ["blockdev --flushbufs \(host.root)\(cover)", "aoe-control flush e1.0"])
    }

    @Test("Who has it, has the disk: nothing is given back")
    func inUse() async throws {
        let host = try AttachmentHost()
        try host.serve()
        try await host.attach(takesFlushes: true)
        try host.open(host.root + cover, by: 4711, "dd")
        let found = await failure { _ = try await host.manager.detach(web1, force: true) }
        #expect(found?.why == "dd (pid 4711) has its device open" && host.link() == host.root + cover)
        try FileManager.default.removeItem(atPath: host.root + "/proc/4711")
        host.kernel.claim(host.root + cover)
        #expect(await failure { _ = try await host.manager.detach(web1, force: true) }?.code == .busy)
        #expect(host.mapper.devices.count == 1)
    }

    @Test("One that the kernel has given up comes back, and can be given back, as long as nobody has what is over it")
    func givenUp() async throws {
        let host = try AttachmentHost()
        try host.serve()
        try await host.attach(takesFlushes: true)
        let address = try AoEAddress("e1.0")
        try host.kernel.giveUp(address)
        host.kernel.claim(host.root + cover)
        #expect(await failure { _ = try await host.manager.detach(web1, force: true) }?.code == .busy)
        host.kernel.letGo(host.root + cover)
        let rows = try await LinkKeeper(host: host.host).repairAll()
        #expect(rows.map(\.result) == [.made] && host.link() == host.root + cover, "\(rows)")
        #expect(host.mapper.changes.filter { $0 == "remove xenlvs-cover-web1" }.count == 1)
        try host.kernel.giveUp(address)
        _ = try await host.manager.detach(web1, force: true)
        #expect(host.mapper.devices.isEmpty && host.link() == nil)
    }

    @Test("One that does not take them after all is told, and nothing is left")
    func refused() async throws {
        let host = try AttachmentHost()
        try host.serve()
        host.kernel.refuseFlushes()
        let found = await failure { try await host.attach(takesFlushes: true) }
        #expect(found?.code == .refused && found?.remedy?.contains("iSCSI") == true, "\(String(describing: found))")
        #expect(host.mapper.devices.isEmpty && host.link() == nil)
        #expect(try host.host.aoeAttachments().isEmpty)
    }

    @Test("A link that leads past it is not right")
    func pastIt() async throws {
        let host = try AttachmentHost()
        try host.serve()
        try await host.attach(takesFlushes: true)
        try FileManager.default.removeItem(atPath: host.root + "/dev/xenlvs/web1")
        try FileManager.default.createSymbolicLink(
            atPath: host.root + "/dev/xenlvs/web1", withDestinationPath: host.root + "/dev/etherd/e1.0")
        let shown = try #require(try await AttachmentCatalog(host: host.host).all().first)
        #expect(shown.link.verdict == .replacedByHand && shown.why != nil)
    }
}
