import HostModel
import ISCSI
import Testing

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
}
