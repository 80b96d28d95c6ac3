import HostModel
import Testing

@testable import Storage

@Suite("What is written for LVM, and LVM's list of devices")
struct LVMLocalFileTests {
    private let patterns = ["r|^/dev/drbd|", "r|^/dev/etherd/|"]

    @Test(
        "The filter goes behind what is there, once, and can be taken out again",
        arguments: ["", "local {\n}\n", "a = 1"])
    func roundTrip(_ text: String) throws {
        let set = try LVMLocalFile(text).setting(patterns)
        #expect(try set.text.hasPrefix(text) && set.hasPart)
        #expect(set.text.contains(#"    global_filter = [ "r|^/dev/drbd|", "r|^/dev/etherd/|" ]"#))
        #expect(try set.setting(patterns) == set)
        let lines = text.isEmpty || text.hasSuffix("\n") ? text : text + "\n"
        #expect(try set.removing() == LVMLocalFile(lines))
        #expect(try LVMLocalFile(text).removing() == LVMLocalFile(text))
    }

    @Test("Another filter takes the place of the former, and what was written behind it stays")
    func replaced() throws {
        let set = LVMLocalFile(try LVMLocalFile("x = 1\n").setting(["r|old|"]).text + "y = 2\n")
        let again = try set.setting(patterns)
        #expect(!again.text.contains("old") && again.text.hasPrefix("x = 1\n") && again.text.hasSuffix("\ny = 2\n"))
        #expect(try again.removing().text == "x = 1\ny = 2\n")
    }

    @Test("A mark that is alone, doubled or the wrong way round is not guessed at")
    func brokenMarks() throws {
        let lines = try LVMLocalFile("").setting(patterns).text.split(separator: "\n")
        let (begin, end) = (String(lines[0]), String(lines[lines.count - 1]))
        for text in [begin, end, "\(end)\n\(begin)", "\(begin)\n\(begin)\n\(end)", "\(begin)\n\(end)\n\(end)"] {
            #expect(failure { _ = try LVMLocalFile(text).hasPart }?.code == .inconsistent, "\(text)")
            #expect(failure { _ = try LVMLocalFile(text).setting(patterns) }?.code == .inconsistent)
            #expect(failure { _ = try LVMLocalFile(text).removing() }?.code == .inconsistent)
        }
    }

    @Test("What somebody has set comes back as it stands")
    func patternsAsTheyStand() throws {
        let output = #"global_filter=["a|^/dev/vda|","r{.*}"]"#
        #expect(try LVMDeviceFilter(parsing: output).patterns == ["a|^/dev/vda|", "r{.*}"])
        #expect(LVMDeviceFilter.line(["r|x|"]) == #"global_filter = [ "r|x|" ]"#)
    }

    @Test("Whether LVM has a list of devices, as lvmconfig printed it")
    func usesList() throws {
        func name(_ use: String, _ name: String = "\ndevicesfile=\"system.devices\"\n") throws -> String? {
            try LVMDeviceFilter.devicesFile(parsing: "use_devicesfile=\(use)\(name)")
        }
        #expect(try name("0") == nil)
        #expect(try name("1") == "system.devices")
        #expect(failure { _ = try name("2") }?.code == .inconsistent)
        #expect(failure { _ = try name("1", "") }?.code == .inconsistent)
        #expect(failure { _ = try name("1", "\ndevicesfile=\"../x\"") }?.code == .inconsistent)
        #expect(failure { _ = try LVMDeviceFilter.devicesFile(parsing: "") }?.code == .inconsistent)
    }

    /// As `lvmdevices --adddev` writes it (2.03.16).
    private let list = """
        # LVM uses devices listed in this file.
        # Created by LVM command vgcreate pid 812 at Tue Nov 24 09:14:22 2026
        VERSION=1.1.2
        IDTYPE=devname IDNAME=/dev/vdb DEVNAME=/dev/vdb PVID=PZ6EnYvdd8R3SCnkdQUMY0yMpIXnHqrt
        IDTYPE=sys_wwid IDNAME=naa.60014050123456789abcdef012345678 DEVNAME=/dev/sdc PVID=FW0b2ZsnuF2r5dmkVWzOSYmcxXzFWHXJ
        IDTYPE=mpath_uuid IDNAME=mpath-360014050123456789abcdef000000000 DEVNAME=/dev/mapper/web2 PVID=. PART=1
        """

    @Test("A device of the list is found by a name or by its identity, and no other")
    func listed() {
        let file = LVMDevicesFile(parsing: list, path: "/etc/lvm/devices/system.devices")
        #expect(file.entries.map(\.name) == ["/dev/vdb", "/dev/sdc", "/dev/mapper/web2"])
        #expect(file.entry(of: ["/dev/vdb"], wwid: nil) != nil)
        #expect(file.entry(of: ["/dev/sdx"], wwid: "360014050123456789abcdef012345678")?.name == "/dev/sdc")
        #expect(file.entry(of: [], wwid: "360014050123456789abcdef000000000")?.name == "/dev/mapper/web2")
        #expect(file.entry(of: ["/dev/sdx"], wwid: "360014050123456789abcdef0fffffff0") == nil)
        #expect(file.entry(of: ["/dev/sdx"], wwid: nil) == nil)
    }

    @Test("Physical volumes, as pvs prints them; missing ones are left out")
    func physicalVolumes() throws {
        let output = """
              {"report": [{"pv": [{"pv_name":"/dev/vdb", "vg_name":"vg0"}, {"pv_name":"[unknown]", "vg_name":"vg0"},
              {"pv_name":"/dev/sdc", "vg_name":""}]}]}
            """
        let volumes = try LVMReport.physicalVolumes(output)
        #expect(volumes == [.init(path: "/dev/vdb", group: "vg0"), .init(path: "/dev/sdc", group: "")])
        #expect(failure { _ = try LVMReport.physicalVolumes("nothing") }?.code == .inconsistent)
    }
}
