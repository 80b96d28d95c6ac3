import HostModel
import Testing

@testable import Storage

@Suite("LVM's device filter")
struct LVMDeviceFilterTests {
    @Test("A device with several names is scanned when one of them is accepted, and not when one is rejected")
    func severalNames() throws {
        let names = ["/dev/sdb", "/dev/disk/by-path/ip-10.0.0.1:3260-iscsi-iqn.2026-11.com.example:a-lun-1"]
        for (output, isAccepted) in [
            (#"global_filter=["r|^/dev/disk/by-path/ip-.*-iscsi-|"]"#, false),
            (#"global_filter=["r|^/dev/drbd|"]"#, true),
            (#"global_filter=["r|^/dev/disk/by-path/ip-.*-iscsi-|","a|^/dev/sd|"]"#, true),
            (#"global_filter=["a|^/dev/vd|","r|.*|"]"#, false),
        ] {
            #expect(try LVMDeviceFilter(parsing: output).accepts(anyOf: names) == isAccepted, "\(output)")
        }
    }

    private func accepts(_ path: String, _ output: String) throws -> Bool {
        try LVMDeviceFilter(parsing: output).accepts(path)
    }

    @Test("LVM's default scans DRBD devices")
    func standard() throws {
        #expect(try accepts("/dev/drbd0", "filter=[\"a|.*|\"]\nglobal_filter=[\"a|.*|\"]\n"))
    }

    @Test("The lab's filter, as lvmconfig printed it, lets disks pass and nothing else")
    func lab() throws {
        let recorded = """
            filter=["a|.*|"]
            global_filter=["a|^/dev/sd|","a|^/dev/vd|","r|.*|"]

            """
        #expect(try accepts("/dev/sdb", recorded))
        #expect(try !accepts("/dev/drbd0", recorded))
    }

    @Test("The first rule that matches decides, and what none matches passes")
    func order() throws {
        #expect(try !accepts("/dev/drbd0", #"global_filter=["r|^/dev/drbd|"]"#))
        #expect(try accepts("/dev/sda", #"global_filter=["r|^/dev/drbd|"]"#))
        #expect(try accepts("/dev/drbd0", #"global_filter=["a|.*|","r|^/dev/drbd|"]"#))
        #expect(try !accepts("/dev/drbd0", #"filter="r/drbd[0-9]+$/""#))
        #expect(try !accepts("/dev/drbd0", #"filter=["r{drbd}"]"#))
        #expect(try accepts("/dev/drbd0", "filter=[]"))
    }

    @Test(
        "What is no filter is refused",
        arguments: ["", "filter", #"filter=["x|a|"]"#, #"filter=["a|b"]"#, #"filter=[""#])
    func malformed(_ output: String) {
        #expect(failure { _ = try LVMDeviceFilter(parsing: output) }?.code == .inconsistent)
    }

    @Test("A pattern that is no regular expression is not guessed at")
    func badPattern() {
        #expect(failure { _ = try accepts("/dev/drbd0", #"filter=["a|(|"]"#) }?.code == .inconsistent)
    }

    @Test("Whether LVM looks into volumes, as lvmconfig printed it")
    func volumeScan() throws {
        #expect(try !LVMDeviceFilter.scansVolumes(parsing: "scan_lvs=0\n"))
        #expect(try LVMDeviceFilter.scansVolumes(parsing: "scan_lvs=1\n"))
        for text in ["", "scan_lvs=2\n", "filter=[]\n"] {
            #expect(throws: Failure.self) { try LVMDeviceFilter.scansVolumes(parsing: text) }
        }
    }
}
