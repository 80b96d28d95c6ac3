import Domains
import HostModel
import Testing

@Suite("xl info and CPU features")
struct HostTests {
    @Test("The recorded host is read")
    func recorded() throws {
        let host = try HostCapabilities(parsing: Recorded.info)
        #expect(host.xenVersion == "4.17.7" && host.xenMajor == 4 && host.xenMinor == 17)
        #expect(host.totalMemory == .mebibytes(1599) && host.freeMemory == .mebibytes(783) && host.cpus == 1)
        #expect(host.virtualization == ["pv", "hvm", "hap", "gnttab-v1", "gnttab-v2"])
        #expect(host.guestKinds.count == 4 && host.kernelRelease == "6.1.0-56-amd64")
        #expect(host.cpuFeatures.words.count == 8 && host.cpuFeatures.words[0] == 0x078B_F3FD)
        #expect(host.canRun(.pv) && host.canRun(.pvh) && !host.balloonsControlDomain)
    }

    @Test("A host without HVM runs no PVH guest, and one without dom0_mem balloons")
    func variants() throws {
        let text = Recorded.info.replacing(": pv hvm hap", with: ": pv").replacing(
            "dom0_mem=700M,max:700M", with: "dom0_max_vcpus=1")
        let host = try HostCapabilities(parsing: text)
        #expect(host.canRun(.pv) && !host.canRun(.pvh) && host.balloonsControlDomain)
    }

    @Test("HVM alone is not enough for a guest with page tables of its own")
    func paging() throws {
        for (words, canRun) in [
            ("pv hvm hap", true), ("pv hvm shadow", true), ("pv hvm hap shadow", true), ("pv hvm", false),
            ("pv hap", false),
        ] {
            let host = try HostCapabilities(parsing: Recorded.info.replacing("pv hvm hap", with: words))
            #expect(host.canRun(.pvh) == canRun && host.canRun(.hvm) == canRun && host.canRun(.pv), "\(words)")
        }
    }

    @Test("An output that lacks a field is refused and the field is named")
    func incomplete() {
        for key in ["xen_version", "hw_caps", "free_memory", "virt_caps", "xen_commandline"] {
            let error = #expect(throws: Failure.self) {
                try HostCapabilities(parsing: Recorded.info.replacing(key, with: "other"))
            }
            #expect(error?.why?.contains(key) == true)
        }
        #expect(throws: Failure.self) {
            try HostCapabilities(parsing: Recorded.info.replacing(": 783", with: ": -783"))
        }
        #expect(throws: Failure.self) { try HostCapabilities(parsing: Recorded.info.replacing(":8000", with: ":zzzz")) }
    }

    @Test("Features that the target lacks are named, and only those a guest may use matter")
    func features() throws {
        let source = try #require(
            CPUFeatureSet(
                parsing: "ffffffff:ffffffff:ffffffff:ffffffff:f:ffffffff:ffffffff:ffffffff"
                    .replacing(":f:", with: ":0000000f:")))
        let target = try #require(
            CPUFeatureSet(parsing: "078bf3fd:80002001:20100800:00000005:00000000:00000000:00000000"))
        let names = source.missing(in: target).map(\.name)
        for name in ["ssse3", "avx", "avx2", "xsaves", "3dnow", "vmx", "smep", "itsc", "word0.bit10"] {
            #expect(names.contains(name))
        }
        for name in ["fpu", "sse2", "sse3", "cx16", "nx", "lm", "hypervisor"] { #expect(!names.contains(name)) }
        let forPV = source.missing(in: target, mattersTo: .pv).map(\.name)
        let forPVH = source.missing(in: target, mattersTo: .pvh).map(\.name)
        #expect(forPV.contains("avx2") && !forPV.contains("smep") && !forPV.contains("vmx"))
        #expect(forPVH.contains("avx2") && forPVH.contains("smep") && !forPVH.contains("vmx"))
        #expect(source.missing(in: source).isEmpty)
    }

    @Test(
        "Words that are not words are refused",
        arguments: ["", "1", "078bf3fd:", "078bf3fg", "+78bf3fd", "078bf3fd:80002001 "])
    func words(text: String) {
        #expect(CPUFeatureSet(parsing: text) == nil)
    }

    @Test("The flags of /proc/cpuinfo are compared as sets")
    func cpuinfo() {
        let text = "processor\t: 0\nflags\t\t: fpu de tsc nopl sse2\nbugs\t\t: x\nflags\t\t: other\n"
        #expect(CPUInfoFlags.parse(text) == ["fpu", "de", "tsc", "nopl", "sse2"])
        #expect(CPUInfoFlags.missing(source: text, target: "flags : de sse2 avx") == ["fpu", "nopl", "tsc"])
        #expect(CPUInfoFlags.parse("").isEmpty)
    }
}
