import HostModel
import Testing

@testable import ISCSI

@Suite("tgt's daemon, as it is told and read")
struct TGTTests {
    /// As tgtadm 1.0.85 sent it, seen with strace(1).
    @Test("An order has the bytes that tgtadm sends")
    func bytes() throws {
        let export = Sample.export("web1", lun: 7)
        let order = TGTOrder.newUnit(export, on: 3)
        let parameters = "path=/dev/xenlvs/web1,bstype=rdwr"
        var expected: [UInt8] = [2, 0, 0, 0, 0, 0, 0, 0] + Array("iscsi".utf8) + [UInt8](repeating: 0, count: 59)
        expected += [UInt8(120 + parameters.utf8.count + 1), 0, 0, 0, 3, 0, 0, 0] + [UInt8](repeating: 0, count: 8)
        expected += [7] + [UInt8](repeating: 0, count: 31) + Array(parameters.utf8) + [0]
        #expect(order.request == expected)
        #expect(
            order.description == "tgtadm --lld iscsi --mode logicalunit --op new --tid 3 --lun 7 --backing-store "
                + "/dev/xenlvs/web1 --bstype rdwr")
        var shared = export
        shared.export.domain = DomainName(unchecked: "web1")
        #expect(TGTOrder.newUnit(shared, on: 3).description.hasSuffix("--bstype rdwr --bsoflags direct"))
        // A number that is not given is -1, and an order without parameters is the header alone.
        let unbind = TGTOrder.account(.init(name: "t", isOutgoing: true), .unbind, on: 3).request
        #expect(Array(unbind[88..<96]) == [UInt8](repeating: 255, count: 8) && unbind[108] == 1)
        #expect(TGTOrder.show(.target).request.count == 120)
    }

    @Test("A secret goes to the daemon and is shown nowhere")
    func secrets() throws {
        let order = TGTOrder.newAccount(Sample.credentials("web1").initiator)
        #expect(String(decoding: order.request, as: UTF8.self).hasSuffix("password=the-secret-of-web1\0"))
        for text in [order.description, "\(order)", String(reflecting: order), "\(TargetOrder.tgt(order))"] {
            #expect(!text.contains("the-secret") && text.contains("--user user-web1 --password [secret]"), "\(text)")
        }
        var dumped = ""
        dump(order, to: &dumped)
        #expect(!dumped.contains("the-secret"))
    }

    /// As tgt 1.0.85 prints it.
    private static let listing = """
        Target 3: iqn.2026-11.invalid:a
            System information:
                Driver: iscsi
                State: ready
            I_T nexus information:
                I_T nexus: 5
                    Initiator: iqn.1993-08.org.debian:01:nodeb alias: nodeb
                    Connection: 0
                        IP Address: 10.0.0.2
            LUN information:
                LUN: 0
                    Type: controller
                    SCSI ID: IET     00030000
                    SCSI SN: beaf30
                    Backing store path: None
                LUN: 7
                    Type: disk
                    SCSI ID: 60014050123456789abcdef012345678
                    SCSI SN: 0123456789abcdef0123456789abcdef
                    Size: 8 MB, Block size: 512
                    Readonly: Yes
                    Thin-provisioning: No
                    Backing store type: rdwr
                    Backing store path: /dev/xenlvs/web1
                    Backing store flags: direct
            Account information:
                web
                tg (outgoing)
            ACL information:
                10.0.0.0/24
                iqn.1993-08.org.debian:01:nodeb

        """

    @Test("What it answers is read")
    func parsing() throws {
        let found = try TGTSnapshot(
            targets: Self.listing, accounts: "Account list:\n    tg\n    web\n",
            portals: "Portal: 127.0.0.1:3260,1\nPortal: [::]:3260,1\n")
        let target = try #require(found.targets.first)
        #expect(found.targets.count == 1 && target.number == 3 && target.name == "iqn.2026-11.invalid:a")
        #expect(
            target.sessions == [
                .init(
                    number: 5, initiator: "iqn.1993-08.org.debian:01:nodeb", connections: [0], addresses: ["10.0.0.2"])
            ])
        #expect(target.disks.count == 1 && target.disks[0].lun == 7)
        #expect(target.disks[0].values["Backing store path"] == "/dev/xenlvs/web1")
        #expect(target.users == [.init(name: "web", isOutgoing: false), .init(name: "tg", isOutgoing: true)])
        #expect(target.rules == ["10.0.0.0/24", "iqn.1993-08.org.debian:01:nodeb"])
        #expect(found.accounts == ["tg", "web"] && found.portals == ["127.0.0.1:3260", "[::]:3260"])
        #expect(throws: Failure.self) { try TGTSnapshot(targets: "no such thing", accounts: "", portals: "") }
    }

    private func found(_ names: [String] = []) throws -> TGTSnapshot {
        try TGTSnapshot(targets: Self.listing, accounts: "Account list:\n    tg\n    web\n", portals: "")
    }

    @Test("What others have made is left alone, and refuses what it is in the way of")
    func foreign() throws {
        let nothing = try TargetDifference(from: found(), to: ResolvedState(exports: []), owned: LIOOwnership())
        #expect(nothing.isEmpty)
        let state = ResolvedState(exports: [Sample.export("web1")])
        let device = #expect(throws: Failure.self) {
            try TargetDifference(from: found(), to: state, owned: state.ownership)
        }
        #expect(device?.code == .busy && device?.why?.contains("serves its device") == true)
        var other = Sample.export("web2", credentials: Sample.credentials("x"))
        other.credentials = [
            Sample.initiator: try CHAPCredentials(
                initiator: CHAPAccount(user: "web", secret: CHAPSecret("a-secret-of-many")), target: nil)
        ]
        let user = #expect(throws: Failure.self) {
            try TargetDifference(from: found(), to: ResolvedState(exports: [other]), owned: LIOOwnership())
        }
        #expect(user?.code == .busy && user?.what.contains("'web'") == true)
        // With somebody else's target there, its portals stay.
        let fine = try TargetDifference(
            from: found(), to: ResolvedState(exports: [Sample.export("web2")]), owned: LIOOwnership())
        #expect(
            fine.orders.map(\.description).contains(
                "tgtadm --lld iscsi --mode portal --op new --param portal=10.0.0.1:3260"))
        #expect(!fine.orders.contains { $0.description.contains("--op delete") })
        #expect(fine.orders.map(\.description).contains { $0.contains("--op new --tid 1 ") })
    }

    @Test("A target that goes has its rules taken first, and tells whose sessions end")
    func removal() throws {
        let owned = LIOOwnership(items: [
            .init(target: try ISCSIName("iqn.2026-11.invalid:a"), volume: Sample.volume("web1"))
        ])
        let plan = try TargetDifference(from: found(), to: ResolvedState(exports: []), owned: owned)
        #expect(plan.changes.flatMap(\.endedSessions).map(\.initiator) == ["iqn.1993-08.org.debian:01:nodeb"])
        #expect(
            plan.orders.map { $0.description.replacing("tgtadm --lld iscsi --mode ", with: "") } == [
                "target --op unbind --tid 3 --initiator-address 10.0.0.0/24",
                "target --op unbind --tid 3 --initiator-name iqn.1993-08.org.debian:01:nodeb",
                "conn --op delete --tid 3 --sid 5 --cid 0", "account --op unbind --tid 3 --user web",
                "account --op unbind --tid 3 --user tg --outgoing", "logicalunit --op delete --tid 3 --lun 7",
                "target --op delete --tid 3", "account --op delete --user tg", "account --op delete --user web",
            ])
    }

    @Test("One user with two secrets is refused, and so is what tgt cannot do")
    func cannotDo() throws {
        let first = Sample.export("web1", credentials: Sample.credentials("a"))
        var second = Sample.export("web2", credentials: Sample.credentials("b"))
        second.credentials = [
            Sample.initiator: try CHAPCredentials(
                initiator: CHAPAccount(user: "user-a", secret: CHAPSecret("another-secret")), target: nil)
        ]
        for (state, word) in [
            (ResolvedState(exports: [first, second]), "user-a"),
            (ResolvedState(exports: [Sample.export("web1", digest: .crc32c)]), "digests"),
            (
                ResolvedState(exports: [
                    Sample.export("web1", portals: ["10.0.0.1"]), Sample.export("web2", portals: ["10.1.0.1"]),
                ]), "portals"
            ),
            (ResolvedState(exports: [], discovery: Sample.credentials("d")), "discovery"),
        ] {
            let failure = #expect(throws: Failure.self) {
                try TargetDifference(from: TGTSnapshot(), to: state, owned: LIOOwnership())
            }
            #expect(failure?.code == .refused && failure?.description.contains(word) == true, "\(word)")
        }
    }
}
