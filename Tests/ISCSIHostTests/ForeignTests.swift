import HostModel
import Testing

@testable import ISCSI
@testable import ISCSIHost

@Suite("What somebody else has made")
struct ForeignTests {
    private let ours = ISCSIName(unchecked: "iqn.2026-11.invalid.xenlvs.nodea:web1")
    private let theirs = "iqn.2026-11.com.example:theirs"

    private func target(_ devices: [String]) -> LIOTarget {
        var (target, group) = (LIOTarget(), LIOPortalGroup())
        for (number, device) in devices.enumerated() { group.luns["lun_\(number)"] = ["link": device] }
        target.groups["tpgt_1"] = group
        return target
    }

    @Test("A backstore that no target of theirs has is listed beside the targets")
    func backstores() {
        var found = LIOSnapshot()
        for name in ["used", "alone", "ours", "none"] {
            var device = LIODevice()
            if name != "none" { device.devicePath = "/dev/vg0/\(name)" }
            found.devices["core/iblock_0/\(name)"] = device
        }
        found.devices["core/iblock_3260/web1"] = LIODevice()
        found.targets[theirs] = target(["core/iblock_0/used"])
        // Somebody has put another LUN into xenlvs's target.
        found.targets[ours.text] = target(["core/iblock_3260/web1", "core/iblock_0/ours"])

        let owned = LIOOwnership(items: [.init(target: ours, volume: VolumeName(unchecked: "web1"))])
        #expect(found.foreign(owned).map(\.name) == [theirs])
        #expect(
            found.foreignBackstores(owned) == [
                ForeignBackstore(path: "core/iblock_0/alone", devicePath: "/dev/vg0/alone"),
                ForeignBackstore(path: "core/iblock_0/none"),
                ForeignBackstore(path: "core/iblock_0/ours", devicePath: "/dev/vg0/ours"),
            ])
        #expect(TGTSnapshot().foreignBackstores(owned).isEmpty)
    }

    private func export() throws -> ResolvedExport {
        let volume = VolumeName(unchecked: "web1")
        return ResolvedExport(
            ISCSIExport(
                volume: volume, target: ours, portals: [try Portal("10.0.0.1")],
                initiators: [AllowedInitiator(ISCSIName(unchecked: "iqn.1993-08.org.debian:01:nodeb"))]),
            lun: 1, identity: DeviceIdentity(groupUUID: "group", volumeUUID: "web1"), devicePath: "/dev/xenlvs/web1",
            deviceNumber: "253:0")
    }

    /// The kernel with an export as it has to be.
    private func serving(_ export: ResolvedExport) -> LIOSnapshot {
        var (found, device, group) = (LIOSnapshot(), LIODevice(), LIOPortalGroup())
        let place = "core/iblock_3260/web1"
        (device.isEnabled, device.devicePath, device.serial) = (true, export.devicePath, export.identity.serial)
        (device.isReadOnly, device.deviceNumber) = (false, export.deviceNumber)
        group.isEnabled = true
        for setting in LIO.settings(of: export) { group.settings[setting.path] = setting.value }
        group.portals = Set(export.export.portals.map(\.description))
        group.luns = ["lun_1": ["web1": place]]
        var (initiator, mapped) = (LIOInitiator(), LIOMappedLUN())
        mapped.links = ["lun_1": "iscsi/\(ours)/tpgt_1/lun/lun_1"]
        initiator.luns = ["lun_1": mapped]
        for allowed in export.export.initiators { group.initiators[allowed.name.text] = initiator }
        var target = LIOTarget()
        target.groups = ["tpgt_1": group]
        found.hasFabric = true
        found.adapters = ["core/iblock_3260"]
        (found.devices, found.targets) = ([place: device], [ours.text: target])
        return found
    }

    @Test("An adapter that a change has left, which was cut off, is no export's")
    func idleAdapter() throws {
        let export = try export()
        let state = ResolvedState(exports: [export])
        let owned = LIOOwnership(items: [.init(target: ours, volume: export.export.volume)])
        var found = serving(export)
        #expect(try found.difference(to: state, owned).isEmpty)
        found.adapters.insert("core/iblock_3261")
        #expect(try found.difference(to: state, owned).changes.map(\.subject) == ["core/iblock_3261"])
        #expect(try found.alone(with: ours, owned).difference(to: state, owned).isEmpty)
        // What the export itself lacks is seen beside it.
        found.targets[ours.text]?.groups["tpgt_1"]?.portals = []
        #expect(try found.alone(with: ours, owned).difference(to: state, owned).changes.map(\.subject) == [ours.text])
        found.targets = [:]
        #expect(try !found.alone(with: ours, owned).difference(to: state, owned).isEmpty)
    }
}
