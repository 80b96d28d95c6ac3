import HostModel
import Hosts
import ISCSI
import Storage
import Testing

@testable import Operations

@Suite("Which attached disks LVM looks into", .enabled(if: canMakeDeviceNodes, "needs device nodes"))
struct LVMReachTests {
    private static let maps = #""r|^/dev/mapper/xenlvs-|""#
    private static let disks = #""r|^/dev/disk/by-path/ip-.*-iscsi-|""#

    @Test("Below xenlvs's own map it sees the disks, below multipathd's it does not")
    func belowMaps() async throws {
        let host = try ISCSIAttachmentHost()
        let portals = ["10.0.0.1", "10.0.0.2"]
        for portal in portals { host.network.serve(.init(serial: 1, megabytes: 64), at: portal) }
        let watch = try host.watchPaths()
        defer { withExtendedLifetime(watch) {} }
        var attachment = try await host.attach(at: portals).attachment
        let checks = ISCSIChecks(host: host.host)
        for (patterns, isSeen) in [
            (#""a|.*|""#, true), (Self.maps, true), (Self.disks, true), ("\(Self.maps),\(Self.disks)", false),
            (#""a|^/dev/vd|","r|.*|""#, false),
        ] {
            host.network.setLVMFilter("global_filter=[\(patterns)]")
            #expect(try await checks.lvmFindings().isEmpty != isSeen, "\(patterns)")
        }

        let names = LVMReach.names(of: attachment, host.host)
        #expect(names.count == 3 && names[0][0] == "/dev/mapper/xenlvs-mpath-web1")
        #expect(names.dropFirst().allSatisfy { $0.count == 2 && $0[0].hasPrefix("/dev/sd") }, "\(names)")
        #expect(names[1][1].contains("ip-10.0.0.1:3260-iscsi-") && names[2][1].contains("ip-10.0.0.2:3260-iscsi-"))
        attachment.mapOwner = .multipathd
        #expect(LVMReach.names(of: attachment, host.host).map(\.first) == ["/dev/mapper/web1"])
    }

    @Test("What LVM's list has is told for any of the devices")
    func list() throws {
        let text = "IDTYPE=devname IDNAME=/dev/sdc DEVNAME=/dev/sdc PVID=x\n"
        let list = LVMDevicesFile(parsing: text, path: "/etc/lvm/devices/system.devices")
        let reach = LVMReach(list: list, filter: try LVMDeviceFilter(parsing: "filter=[]"))
        let devices = [["/dev/mapper/xenlvs-mpath-x"], ["/dev/sdb"], ["/dev/sdc"]]
        #expect(try reach.looks(into: devices, wwid: nil))
        #expect(list.entry(of: devices, wwid: nil)?.name == "/dev/sdc")
        #expect(try !reach.looks(into: Array(devices.dropLast()), wwid: nil))
    }
}
