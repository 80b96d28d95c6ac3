import HostModel
import SeedKit
import Testing

@testable import ISCSI

@Suite("The initiator's files")
struct InitiatorTests {
    @Test("A name is made once and read back")
    func name() throws {
        var numbers = SeededNumbers(seed: 1)
        let names = (0..<100).map { _ in InitiatorNameFile.newName(using: &numbers) }
        #expect(Set(names).count == 100)
        for name in names {
            #expect(ISCSIName.objection(to: name.text) == nil)
            #expect(try InitiatorNameFile.name(in: InitiatorNameFile.text(of: name)) == name)
        }
        #expect(try InitiatorNameFile.name(in: "GenerateName=yes\n") == nil)
        #expect(try InitiatorNameFile.name(in: "# InitiatorName=iqn.x\n") == nil)
        for text in [
            "InitiatorName=bad name\n", "InitiatorName=\n", "InitiatorName=iqn.2026-11.a\nInitiatorName=eui.x\n",
        ] {
            let failure = #expect(throws: Failure.self) { try InitiatorNameFile.name(in: text) }
            #expect(failure?.code == .inconsistent)
        }
    }

    @Test("A node record")
    func record() throws {
        let record = NodeRecord(
            target: Sample.target("web1"), portal: try Portal("[fd00::1]:3261"), interface: "eth1",
            credentials: Sample.credentials("web1", mutual: true))
        #expect(record.path == "/etc/iscsi/nodes/iqn.2026-11.invalid.xenlvs.nodea:web1/fd00::1,3261,1/xenlvs.eth1")
        let lines = record.text.split(separator: "\n").map(String.init)
        #expect(lines.first == "# BEGIN RECORD 2.1.8" && lines.last == "# END RECORD")
        for line in [
            "node.name = iqn.2026-11.invalid.xenlvs.nodea:web1", "node.startup = manual",
            "iface.net_ifacename = eth1", "node.conn[0].address = fd00::1", "node.conn[0].port = 3261",
            "node.session.auth.authmethod = CHAP", "node.session.auth.username = user-web1",
            "node.session.auth.password = the-secret-of-web1", "node.session.auth.username_in = target",
            "node.session.auth.password_in = the-mutual-of-web1", "node.session.timeo.replacement_timeout = 10",
        ] {
            #expect(lines.contains(line), "\(line)")
        }
        let keys = lines.compactMap { $0.contains(" = ") ? $0.prefix { $0 != " " } : nil }
        #expect(Set(keys).count == keys.count && keys.count > 25)
        #expect(record.binding?.path == "/etc/iscsi/ifaces/xenlvs.eth1")
        var shown = ""
        dump(record, to: &shown)
        #expect(!shown.contains("the-secret-of") && !"\(record)".contains("the-secret-of"))
    }

    @Test("The times and lengths of the old guide are kept")
    func oldGuide() {
        let values = Dictionary(uniqueKeysWithValues: SessionProfile.singlePath.values.map { ($0.key, $0.value) })
        for (key, value) in [
            ("node.session.timeo.replacement_timeout", "120"), ("node.session.err_timeo.abort_timeout", "10"),
            ("node.session.err_timeo.lu_reset_timeout", "30"), ("node.session.iscsi.InitialR2T", "No"),
            ("node.session.iscsi.ImmediateData", "Yes"), ("node.session.iscsi.FirstBurstLength", "262144"),
            ("node.session.iscsi.MaxBurstLength", "16776192"),
            ("node.conn[0].iscsi.MaxRecvDataSegmentLength", "65536"),
            // It had "None" for both: by that a target that requires one could not be used.
            ("node.conn[0].iscsi.HeaderDigest", "None,CRC32C"), ("node.conn[0].iscsi.DataDigest", "None,CRC32C"),
        ] {
            #expect(values[key] == value, "\(key)")
        }
    }

    @Test("What multipathd is told")
    func multipath() {
        let map = MultipathConfiguration.Map(volume: Sample.volume("web1"), wwid: Sample.identity("a").wwid)
        let other = Sample.identity("b").wwid
        let wwid = map.wwid
        #expect(
            MultipathConfiguration(maps: [map], keptAway: [other]).text == """
                # Written by xenlvs; changes are lost.
                defaults {
                    recheck_wwid yes
                }
                overrides {
                    protocol {
                        type "scsi:iscsi"
                        fast_io_fail_tmo 10
                    }
                }
                blacklist {
                    wwid "^\(other)$"
                }
                blacklist_exceptions {
                    wwid "^\(wwid)$"
                }
                multipaths {
                    multipath {
                        wwid \(wwid)
                        alias web1
                        path_grouping_policy multibus
                        path_selector "service-time 0"
                        failback immediate
                        no_path_retry 12
                    }
                }

                """)
        #expect(MultipathConfiguration(maps: []).text == "# Written by xenlvs; changes are lost.\n")
        // Disks that are only kept away from it are none of its affair.
        let without = MultipathConfiguration(maps: [], keptAway: [other]).text
        #expect(!without.contains("recheck_wwid") && !without.contains("overrides"))
    }
}
