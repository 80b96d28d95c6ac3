import HostModel
import Testing

@testable import ISCSI

@Suite("The exact difference")
struct DifferenceTests {
    private func kernel(with exports: ResolvedExport...) throws -> SimulatedTarget {
        var kernel = SimulatedTarget()
        let state = ResolvedState(exports: exports)
        kernel.provide(state)
        for write in try kernel.difference(to: state, owned: state.ownership).writes { try kernel.perform(write) }
        return kernel
    }

    private func plan(_ kernel: SimulatedTarget, _ exports: ResolvedExport...) throws -> LIODifference {
        let state = ResolvedState(exports: exports)
        let known = ResolvedState(exports: [Sample.export("web1"), Sample.export("web2")])
        return try kernel.difference(to: state, owned: known.ownership.union(state.ownership))
    }

    @Test("A new export, write by write")
    func newExport() throws {
        let export = Sample.export("web1", thin: true, credentials: Sample.credentials("web1"))
        let serial = export.identity.serial
        let group = "/sys/kernel/config/target/iscsi/iqn.2026-11.invalid.xenlvs.nodea:web1/tpgt_1"
        let device = "/sys/kernel/config/target/core/iblock_3260/web1"
        let acl = "\(group)/acls/iqn.1993-08.org.debian:01:nodeb"
        let lines = try SimulatedTarget().difference(
            to: ResolvedState(exports: [export]), owned: LIOOwnership()
        ).writes.map(\.description)
        #expect(
            lines
                == [
                    "mkdir /sys/kernel/config/target/iscsi",
                    "mkdir /sys/kernel/config/target/core/iblock_3260",
                    "mkdir \(device)",
                    "echo -n udev_path=/dev/xenlvs/web1 >\(device)/control",
                    "echo -n readonly=0 >\(device)/control",
                    "echo -n /dev/xenlvs/web1 >\(device)/udev_path",
                    "echo -n 1 >\(device)/enable",
                    "echo -n \(serial) >\(device)/wwn/vpd_unit_serial",
                    "echo -n 1 >\(device)/attrib/emulate_tpu",
                    "mkdir /sys/kernel/config/target/iscsi/iqn.2026-11.invalid.xenlvs.nodea:web1",
                    "mkdir \(group)",
                    "echo -n 1 >\(group)/attrib/authentication",
                    "echo -n 0 >\(group)/attrib/generate_node_acls",
                    "echo -n 0 >\(group)/attrib/cache_dynamic_acls",
                    "echo -n 0 >\(group)/attrib/demo_mode_discovery",
                    "echo -n 1 >\(group)/attrib/demo_mode_write_protect",
                    "echo -n 1 >\(group)/attrib/prod_mode_write_protect",
                    "echo -n CRC32C,None >\(group)/param/HeaderDigest",
                    "echo -n CRC32C,None >\(group)/param/DataDigest",
                    "mkdir \(group)/lun/lun_1",
                    "ln -s \(device) \(group)/lun/lun_1/web1",
                    "mkdir \(acl)",
                    "echo -n user-web1 >\(acl)/auth/userid",
                    "echo -n [secret] >\(acl)/auth/password",
                    "mkdir \(acl)/lun_1",
                    "ln -s \(group)/lun/lun_1 \(acl)/lun_1/lun_1",
                    "echo -n 0 >\(acl)/lun_1/write_protect",
                    "mkdir \(group)/np/10.0.0.1:3260",
                    "echo -n 1 >\(group)/enable",
                ], "\(lines.joined(separator: "\n"))")
    }

    @Test("One more initiator and portal do not end a session")
    func liveChange() throws {
        var kernel = try kernel(with: Sample.export("web1"))
        kernel.login(Sample.initiator.text, to: Sample.target("web1").text)
        let more = Sample.export(
            "web1", portals: ["10.0.0.1", "10.1.0.1"],
            initiators: [AllowedInitiator(Sample.initiator), AllowedInitiator(Sample.otherInitiator, isReadOnly: true)])
        let plan = try plan(kernel, more)
        #expect(plan.changes.count == 1 && plan.changes[0].endedSessions.isEmpty)
        #expect(!plan.writes.contains { $0.path.hasSuffix("tpgt_1/enable") })
        // New and read-only: linked while everything new is write-protected, and said so after.
        #expect(plan.writes.contains { $0.description.hasPrefix("echo -n 1") && $0.path.hasSuffix("write_protect") })
    }

    @Test("What ends sessions says whose")
    func endedSessions() throws {
        var kernel = try kernel(with: Sample.export("web1"), Sample.export("web2"))
        kernel.login(Sample.initiator.text, to: Sample.target("web1").text)
        let session = TargetSession(initiator: Sample.initiator.text, addresses: ["10.0.0.2"])
        let others = [AllowedInitiator(Sample.otherInitiator)]
        for other in [
            Sample.export("web1", lun: 2), Sample.export("web1", generation: 1), Sample.export("web1", readOnly: true),
            Sample.export("web1", initiators: others),
        ] {
            let plan = try plan(kernel, other, Sample.export("web2"))
            #expect(plan.changes.flatMap(\.endedSessions) == [session], "\(plan.writes.map(\.description))")
            #expect(!plan.writes.contains { $0.path.contains("web2") })
        }
        #expect(try plan(kernel, Sample.export("web2")).changes.flatMap(\.endedSessions) == [session])
        #expect(try plan(kernel, Sample.export("web1")).changes.flatMap(\.endedSessions).isEmpty)
    }

    @Test("Another device under the same path is noticed")
    func deviceReplaced() throws {
        let kernel = try kernel(with: Sample.export("web1"))
        var other = Sample.export("web1")
        other.deviceNumber = "8:99"
        #expect(
            try plan(kernel, other).writes.contains(.write("0", to: "iscsi/\(Sample.target("web1"))/tpgt_1/enable")))
        #expect(try plan(kernel, Sample.export("web1")).isEmpty)
    }

    @Test("Each has an adapter of its own; what serves on a common one stays there until it is made anew")
    func adapters() throws {
        var kernel = try kernel(with: Sample.export("web1"), Sample.export("web2"))
        #expect(
            try LIOSnapshot(reading: kernel).devices.keys.sorted() == [
                "core/iblock_3260/web1", "core/iblock_3261/web2",
            ])
        // As earlier versions made it.
        try kernel.perform(.makeDirectory("core/iblock_3260/web3"))
        for write in LIODevice.writes(from: LIODevice(), to: Sample.export("web3"), at: "core/iblock_3260/web3") {
            if case .write("udev_path=/dev/xenlvs/web3", _) = write {
                kernel.provide(ResolvedState(exports: [Sample.export("web3")]))
            }
            try kernel.perform(write)
        }
        let all = [Sample.export("web1"), Sample.export("web2"), Sample.export("web3")]
        let owned = ResolvedState(exports: all).ownership
        func plan(_ exports: [ResolvedExport]) throws -> LIODifference {
            try kernel.difference(to: ResolvedState(exports: exports), owned: owned)
        }
        for write in try plan(all).writes { try kernel.perform(write) }
        #expect(try plan(all).isEmpty)
        #expect(try LIOSnapshot(reading: kernel).devices.keys.contains("core/iblock_3260/web3"))
        let anew = [all[0], all[1], Sample.export("web3", readOnly: true)]
        for write in try plan(anew).writes { try kernel.perform(write) }
        #expect(try plan(anew).isEmpty)
        #expect(try LIOSnapshot(reading: kernel).devices.keys.contains("core/iblock_3262/web3"))
        for write in try plan([]).writes { try kernel.perform(write) }
        #expect(try LIOSnapshot(reading: kernel).adapters.isEmpty)
    }

    @Test("What somebody has changed by hand is put right")
    func drift() throws {
        var kernel = try kernel(with: Sample.export("web1"))
        let group = "iscsi/\(Sample.target("web1"))/tpgt_1"
        let drift: [KernelWrite] = [
            .write("1", to: "\(group)/attrib/generate_node_acls"), .makeDirectory("\(group)/acls/iqn.stranger"),
            .makeDirectory("\(group)/np/10.9.0.1:3260"),
            .write("1", to: "\(group)/acls/\(Sample.initiator)/lun_1/write_protect"),
        ]
        for write in drift { try kernel.perform(write) }
        #expect(
            try plan(kernel, Sample.export("web1")).writes == [
                .removeDirectory("\(group)/acls/iqn.stranger"), .removeDirectory("\(group)/np/10.9.0.1:3260"),
                .write("0", to: "\(group)/attrib/generate_node_acls"),
                .write("0", to: "\(group)/acls/\(Sample.initiator)/lun_1/write_protect"),
            ])
    }

    @Test(
        "Foreign objects in the way are named, and nothing is planned",
        arguments: [
            ([.makeDirectory("iscsi"), .makeDirectory("iscsi/\(Sample.target("web1"))")], "there is a target"),
            ([.makeDirectory(LIO.adapter(3260)), .makeDirectory("\(LIO.adapter(3260))/web1")], "there is a backstore"),
            (
                [
                    .makeDirectory("core/iblock_0"), .makeDirectory("core/iblock_0/x"),
                    .write("udev_path=/dev/xenlvs/web1", to: "core/iblock_0/x/control"),
                    .write("1", to: "core/iblock_0/x/enable"),
                ], "has its device"
            ),
            (
                [
                    .makeDirectory("core/iblock_0"), .makeDirectory("core/iblock_0/x"),
                    .write(Sample.export("web1").identity.serial, to: "core/iblock_0/x/wwn/vpd_unit_serial"),
                ], "the same WWID"
            ),
            (
                [
                    .makeDirectory("iscsi"), .makeDirectory("iscsi/iqn.x"), .makeDirectory("iscsi/iqn.x/tpgt_1"),
                    .makeDirectory("iscsi/iqn.x/tpgt_1/np/0.0.0.0:3260"),
                ], "every address"
            ),
        ] as [([KernelWrite], String)])
    func foreignInTheWay(_ writes: [KernelWrite], _ words: String) throws {
        var kernel = SimulatedTarget()
        let state = ResolvedState(exports: [Sample.export("web1")])
        kernel.provide(state)
        for write in writes { try kernel.perform(write) }
        let failure = #expect(throws: Failure.self) { try kernel.difference(to: state, owned: LIOOwnership()) }
        #expect(failure?.description.contains(words) == true, "\(failure?.description ?? "")")
    }

    @Test("Two volumes with one WWID are not served side by side")
    func collision() throws {
        var second = Sample.export("web2")
        second.identity = Sample.export("web1").identity
        let failure = #expect(throws: Failure.self) { try plan(SimulatedTarget(), Sample.export("web1"), second) }
        #expect(failure?.code == .refused)
    }

    @Test("configfs's links")
    func links() {
        #expect(KernelWrite.resolved(link: "../../../../../../target/core/iblock_0/vol1") == "core/iblock_0/vol1")
        #expect(
            KernelWrite.resolved(link: "../../../../../../../target/iscsi/iqn.x/tpgt_1/lun/lun_1")
                == "iscsi/iqn.x/tpgt_1/lun/lun_1")
    }
}
