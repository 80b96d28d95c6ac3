import Foundation
import Testing

@Suite("iSCSI exports, where nothing is exported")
struct ISCSIExportTests {
    private static let good = ["--portal", "127.0.0.1", "--initiator", "iqn.1993-08.org.debian:01:b"]

    @Test(
        "What is asked for wrongly is refused, and nothing is written down",
        arguments: [
            (["web1"], 64, "0 portals"),
            (["web1", "--portal", "127.0.0.1"], 64, "0 initiators"),
            (["web1", "--portal", "0.0.0.0", "--initiator", "iqn.1993-08.org.debian:01:b"], 64, "every address"),
            (["web1", "--portal", "localhost", "--initiator", "iqn.1993-08.org.debian:01:b"], 64, "is no IP address"),
            (["web1", "--portal", "127.0.0.1", "--initiator", "notaniqn"], 64, "iSCSI name"),
            (["../web1"] + good, 64, "volume name"),
            (["web1", "--target-name", "iqn.2026-11.com.example:web_1"] + good, 64, "iSCSI name"),
            (["web1", "--lun", "0"] + good, 64, "0 is no LUN"),
            (["web1", "--chap-file", "/nowhere/chap"] + good, 1, "cannot be loaded"),
        ])
    func refused(_ arguments: [String], _ status: Int32, _ words: String) throws {
        let root = try Root()
        let run = try Product.run(["export", "iscsi"] + arguments, root: root)
        // A machine whose kernel has the target comes further, to the file that is missing.
        let isPast = status == 1 && run.status == 6 && run.errors.contains("/nowhere/chap")
        #expect(isPast || run.status == status && run.errors.contains(words), "\(run.status) \(run.errors)")
        #expect(!root.exists("/var/lib/xenlvs/iscsi.json"))
    }

    @Test("There is nothing to plan, to apply or to end")
    func nothing() throws {
        let root = try Root()
        let plan = try root.xenlvs("plan")
        #expect(plan.status == 0 && plan.output.isEmpty && plan.errors.contains("nothing to do"))
        let apply = try root.xenlvs("apply", "--recorded")
        #expect(apply.status == 0 && apply.output == "nothing to do\n", "\(apply.errors)")
        #expect(try root.xenlvs("apply").status == 64)
        #expect(try root.xenlvs("apply", "--recorded", "--file", "/x").status == 64)
        #expect(try root.xenlvs("apply", "--file", "/nowhere").status == 6)
        #expect(try root.xenlvs("unexport", "iscsi", "web1").status == 6)
        #expect(!root.exists("/var/lib/xenlvs/iscsi.json"))
    }

    @Test("A file's mistake is told with its line")
    func mistakes() throws {
        let root = try Root()
        try "iscsi:\n  exports:\n    - volume: web1\n      portal: x\n".write(
            toFile: root.path + "/exports.yaml", atomically: true, encoding: .utf8)
        for command in ["plan", "apply"] {
            let run = try root.xenlvs(command, "-f", root.path + "/exports.yaml")
            #expect(run.status == 64 && run.errors.contains("line 4") && run.errors.contains("'portal'"))
        }
    }

    @Test("Files for other programs are written for none, and what is theirs is read as far as it can be")
    func otherPrograms() throws {
        let root = try Root()
        let directory = root.path + "/pool"
        for (form, file) in [("saveconfig", "saveconfig.json"), ("tgt", "targets.conf"), ("ietd", "ietd.conf")] {
            let run = try root.xenlvs("iscsi", "write", directory, "--as", form)
            #expect(run.status == 0 && run.output.contains("\(directory)/\(file)"), "\(run.errors)")
            let attributes = try FileManager.default.attributesOfItem(atPath: "\(directory)/\(file)")
            #expect(attributes[.posixPermissions] as? Int == 0o600)
        }
        let read = try root.xenlvs("iscsi", "read", directory + "/saveconfig.json", "--as", "saveconfig")
        #expect(read.status == 0 && read.output == "iscsi:\n  exports: []\n", "\(read)")

        try "Target iqn.2008-05.com.example:a\n  IncomingUser u a-secret-of-many\n  Lun 0 Path=/dev/nowhere\n".write(
            toFile: directory + "/ietd.conf", atomically: true, encoding: .utf8)
        let other = try root.xenlvs("iscsi", "read", directory, "--as", "ietd")
        #expect(other.status == 1 && other.errors.contains("left out: iqn.2008-05.com.example:a"), "\(other)")
        #expect(!(other.output + other.errors).contains("a-secret-of-many"))
        for address in ["0.0.0.0", "10.0.0.1:3261", "nodea"] {
            #expect(try root.xenlvs("iscsi", "read", directory, "--as", "ietd", "--portal", address).status == 64)
        }
        #expect(try root.xenlvs("iscsi", "read", directory + "/none", "--as", "saveconfig").status == 6)
        #expect(try root.xenlvs("iscsi", "read", directory + "/ietd.conf", "--as", "saveconfig").status == 64)
    }

    @Test("With tgt nothing is asked of the kernel, and a target program that there is not is refused")
    func tgt() throws {
        let root = try Root()
        func configure(_ text: String) throws {
            try text.write(toFile: root.path + "/etc/xenlvs/xenlvs.yaml", atomically: true, encoding: .utf8)
        }
        try configure("iscsi_target: tgt\n")
        let run = try Product.run(["export", "iscsi", "web1"] + Self.good, root: root)
        // A machine on which tgtd runs comes further, to the volume that is missing.
        #expect(run.status == 1 && run.errors.contains("tgtd does not run") || run.status == 6, "\(run.errors)")
        try configure("iscsi_target: iet\n")
        let wrong = try root.xenlvs("plan")
        #expect(wrong.status == 64 && wrong.errors.contains("it must be lio or tgt"), "\(wrong.errors)")
    }

    @Test("A record that cannot be read stops every command, and is left as it is")
    func damagedRecord() throws {
        let root = try Root()
        _ = try root.xenlvs("plan")
        let path = root.path + "/var/lib/xenlvs/iscsi.json"
        try "{}".write(toFile: path, atomically: true, encoding: .utf8)
        for arguments in [["plan"], ["apply", "--recorded"], ["exports"], ["export", "iscsi", "web1"] + Self.good] {
            let run = try Product.run(arguments, root: root)
            #expect(run.status == 4 && run.errors.contains("iscsi.json"), "\(arguments) \(run.errors)")
        }
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "{}")
    }
}
