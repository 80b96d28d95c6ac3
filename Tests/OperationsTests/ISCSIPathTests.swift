import DeviceMapper
import Foundation
import HostModel
import Hosts
import ISCSI
import Storage
import Synchronization
import Testing

@testable import Operations

@Suite("iSCSI disks that grow, and paths that come late", .enabled(if: canMakeDeviceNodes, "needs device nodes"))
struct ISCSIPathTests {
    private let one = FakeISCSI.Disk(serial: 1, megabytes: 64)
    private let larger = FakeISCSI.Disk(serial: 1, megabytes: 96)
    private let other = FakeISCSI.Disk(serial: 2, megabytes: 64)
    private let web1 = VolumeName(unchecked: "web1")
    private let portals = ["10.0.0.1", "10.0.0.2"]
    static let owners: [MapOwner] = [.xenlvs, .multipathd]

    /// What was said to the operator.
    private final class Lines: Sendable {
        private let lines = Mutex<[String]>([])
        var all: [String] { lines.withLock { $0 } }
        func add(_ line: String) { lines.withLock { $0.append(line) } }
    }

    /// Attached by both portals.
    private func attached(_ owner: MapOwner) async throws -> ISCSIAttachmentHost {
        let host = try ISCSIAttachmentHost()
        if owner == .multipathd { host.network.startMultipathd() }
        for portal in portals { host.network.serve(one, at: portal) }
        let watch = try host.watchPaths()
        defer { withExtendedLifetime(watch) {} }
        #expect(try await host.attach(at: portals).attachment.isMultipath)
        #expect(try host.mapped.count == 2)
        return host
    }

    private func missingPaths(_ host: ISCSIAttachmentHost, _ lines: Lines = Lines()) -> MissingPaths {
        let context = host.host
        return MissingPaths(tree: context.tree, say: { lines.add($0) }, open: { context })
    }

    @Test("A disk that has grown while the host was off comes back, and its size is recorded", arguments: [1, 2])
    func grownBeforeBoot(paths: Int) async throws {
        let host = try ISCSIAttachmentHost()
        host.network.startMultipathd()
        func serve(_ disk: FakeISCSI.Disk) { for portal in portals { host.network.serve(disk, at: portal) } }
        serve(one)
        try await host.attach(at: Array(portals.prefix(paths)))
        try host.reboot()
        serve(larger)
        let absent = try #require(try await host.row())
        #expect(absent.target == .grown && absent.state == .absent, "\(absent)")
        #expect(absent.remedy?.contains("link repair") == true)
        let lost = await failure { _ = try await host.manager.revalidate(web1, limit: .seconds(1)) }
        #expect(lost?.remedy?.contains("link repair") == true)

        let row = try await host.repair()
        #expect(row.result == .made && row.why?.contains("has grown") == true, "\(row)")
        #expect(try host.link != nil && host.recorded?.size == .mebibytes(96))
        let back = try #require(try await host.row())
        #expect(back.state == .up && back.why == nil && back.size == .mebibytes(96), "\(back)")

        // A smaller one is as unwelcome as before.
        try host.reboot()
        serve(one)
        let refused = try await host.repair()
        #expect(refused.result == .failed && host.link == nil && host.network.mutations.isEmpty)
        #expect(try host.recorded?.size == .mebibytes(96))
    }

    @Test("A device that stands gets another size only when the operator says so")
    func grownInUse() async throws {
        let host = try ISCSIAttachmentHost()
        host.network.serve(one)
        try await host.attach()
        host.network.serve(larger)
        let row = try await host.repair()
        #expect(row.result == .failed && row.remedy?.contains("--revalidate") == true, "\(row)")
        #expect(try host.recorded?.size == .mebibytes(64))
    }

    @Test("A path that is down keeps no disk from growing, and is taken in again when it is back", arguments: owners)
    func grownWithPathDown(owner: MapOwner) async throws {
        let host = try await attached(owner)
        host.network.serve(nil, at: portals[1])
        try host.network.setSessions("FAILED", at: portals[1])
        host.network.serve(larger, at: portals[0])
        #expect(try await host.manager.revalidate(web1, limit: .seconds(1)).size == .mebibytes(96))
        let grown = try #require(try await host.row())
        #expect(grown.state == .degraded && grown.size == .mebibytes(96), "\(grown)")
        #expect(
            try host.mapped.count == 1 && grown.paths[1].isLeftOut && grown.paths[1].why?.contains("FAILED") == true)

        try host.network.setSessions("LOGGED_IN", at: portals[1])
        host.network.serve(larger, at: portals[1])
        let back = try #require(try await host.row())
        #expect(back.paths[1].why?.contains("67108864 bytes") == true, "\(back)")
        #expect(back.remedy?.contains("link repair") == true)
        if owner == .xenlvs {
            let map = try await MapManager(host: host.host).map(web1)
            let path = try #require(map.paths.last)
            #expect(path.group == 0 && !path.isUp && path.why?.contains("67108864") == true, "\(map)")
        }
        #expect(try await host.repair().result == .wasRight)
        #expect(try host.mapped.count == 2)
        #expect(try await host.row()?.state == .up)
    }

    @Test("Whoever cannot have a disk asked again gets its new size by a new session", arguments: owners)
    func blind(owner: MapOwner) async throws {
        let host = try await attached(owner)
        try host.network.setSessions("FAILED", at: portals[1])
        host.network.serve(nil, at: portals[1])
        host.network.serve(larger, at: portals[0])
        _ = try await host.manager.revalidate(web1, limit: .seconds(1))
        try host.network.setSessions("LOGGED_IN", at: portals[1])
        host.network.serve(larger, at: portals[1])
        host.network.ignoreRescans()
        let missing = missingPaths(host)
        await missing.round()
        #expect(ISCSISession.all(in: host.host.tree).count == 1)
        await missing.round()
        #expect(try host.mapped.count == 2)
        #expect(try await host.row()?.state == .up)
    }

    @Test("A path that was not there at boot is told, and brought back when it is there", arguments: owners)
    func missingAfterBoot(owner: MapOwner) async throws {
        let host = try await attached(owner)
        try host.reboot()
        host.network.serve(nil, at: portals[1])
        let row = try await host.repair()
        #expect(row.result == .made && row.why?.contains("without the path 10.0.0.2") == true, "\(row)")
        #expect(row.remedy?.contains("xenlvsd") == true)
        let listed = try #require(try await host.row())
        #expect(listed.state == .degraded && listed.paths[1].why?.contains("there is no session") == true, "\(listed)")
        #expect(listed.remedy?.contains("link repair") == true)
        let findings = AttachmentFindings(host: host.host.name).findings([.iscsi(listed)])
        #expect(findings.map(\.severity) == [.warning] && findings[0].what.contains("10.0.0.2:3260"), "\(findings)")

        let lines = Lines()
        let missing = missingPaths(host, lines)
        for _ in 0..<2 { await missing.round() }
        #expect(lines.all.count == 1 && lines.all.first?.contains("web1: the path 10.0.0.2:3260 is missing") == true)
        // Another disk behind it does not stay, and is not asked for all the time.
        host.network.serve(one, at: portals[1], kernel: other)
        let wary = missingPaths(host)
        await wary.round()
        #expect(ISCSISession.all(in: host.host.tree).count == 1)
        #expect(host.network.mutations.last?.contains("--logout") == true)
        let before = host.network.mutations
        await wary.round()
        #expect(try host.network.mutations == before && host.mapped.count == 1)

        host.network.serve(one, at: portals[1])
        await missing.round()
        #expect(lines.all.last?.contains("is back") == true, "\(lines.all)")
        #expect(try host.mapped.count == 2)
        #expect(try await host.row()?.state == .up)
        let after = host.network.mutations
        await missing.round()
        #expect(host.network.mutations == after && lines.all.count == 2)
    }

    @Test("What is not there at all is left to those who ask the target before")
    func nothingStands() async throws {
        let host = try await attached(.xenlvs)
        try host.reboot()
        await missingPaths(host).round()
        #expect(host.network.mutations.isEmpty)
    }

    @Test("A logical volume of this very host is not attached, active or not")
    func ownVolume() async throws {
        let host = try ISCSIAttachmentHost()
        let reference = LogicalVolumeReference(
            group: try VolumeGroupName("vg0"), name: try LogicalVolumeName("own"))
        let (group, volume) = (String(repeating: "g", count: 32), String(repeating: "v", count: 32))
        let device = MappedIdentity.ofLogicalVolume(reference, groupUUID: group, uuid: volume)
        let wwid = DeviceIdentity(groupUUID: group, volumeUUID: volume).wwid
        let digits = Array(wwid.dropFirst())
        let designator = stride(from: 0, to: digits.count, by: 2).compactMap {
            UInt8(String(digits[$0..<($0 + 2)]), radix: 16)
        }
        host.network.serve(.init(serial: 1, megabytes: 64, designator: designator))
        func expectRefusal(_ words: String) async {
            let found = await failure { try await host.attach() }
            #expect(found?.code == .refused && found?.why?.contains(words) == true, "\(String(describing: found))")
            #expect(host.network.mutations.isEmpty && host.link == nil)
        }

        let table = MappingTable(linearTo: BlockDeviceNumber(major: 8, minor: 200), sectors: 2048)
        try host.mapper.create(device, table)
        await expectRefusal("the logical volume /dev/mapper/vg0-own of this host itself")
        try host.host.put(
            Volume(
                name: VolumeName(unchecked: "own"),
                place: .logicalVolume(group: reference.group, name: reference.name), size: .mebibytes(64),
                logicalVolumeUUID: volume))
        await expectRefusal("the volume 'own' of this host itself")
        try host.mapper.remove(device)
        host.network.setVolumeGroups(
            """
            {"report": [{"vg": [{"vg_name": "vg0", "vg_uuid": "\(group)", "vg_size": "1073741824", "vg_free": "0",
            "vg_extent_size": "4194304", "vg_attr": "wz--n-", "vg_missing_pv_count": "0"}]}]}
            """)
        await expectRefusal("which is not active, of this host itself")
        // Another one's is none of its own.
        host.network.serve(one)
        #expect(try await host.attach().attachment.identity.wwid != wwid)
    }

    @Test("The record that is written has the old guide's values, and lets the target decide on digests")
    func record() async throws {
        let host = try ISCSIAttachmentHost()
        host.network.serve(one)
        try await host.attach()
        let text = try #require(
            host.text("/etc/iscsi/nodes/\(ISCSIAttachmentHost.target)/10.0.0.1,3260,1/default"))
        let lines = text.split(separator: "\n").map(String.init)
        for line in [
            "node.session.timeo.replacement_timeout = 120", "node.conn[0].timeo.noop_out_interval = 5",
            "node.conn[0].iscsi.MaxRecvDataSegmentLength = 65536", "node.conn[0].iscsi.HeaderDigest = None,CRC32C",
            "node.conn[0].iscsi.DataDigest = None,CRC32C", "node.startup = manual",
        ] {
            #expect(lines.contains(line), "\(line)")
        }
    }
}
