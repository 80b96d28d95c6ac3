import Domains
import HostModel
import Testing

@Suite("Guest configurations")
struct ConfigurationTests {
    func configuration(name: String = "web1") throws -> DomainConfiguration {
        DomainConfiguration(
            name: try DomainName(name), type: .pvh, kernel: "/boot/vmlinuz", ramdisk: "/boot/initrd",
            commandLine: "console=hvc0 quiet", memory: .mebibytes(96), virtualCPUs: 2,
            disks: [
                .init(volume: try VolumeName("web1"), device: "xvda"),
                .init(volume: try VolumeName("web1-log"), device: "xvdb", writable: false),
            ],
            interfaces: [
                DomainInterface(mac: "00:16:3e:00:00:02", bridge: "xenbr0"), DomainInterface(mac: nil, bridge: "br1"),
            ])
    }

    @Test("A configuration is rendered as xl reads it")
    func rendered() throws {
        let expected = """
            name = "web1"
            type = "pvh"
            kernel = "/boot/vmlinuz"
            ramdisk = "/boot/initrd"
            cmdline = "console=hvc0 quiet"
            memory = 96
            vcpus = 2
            disk = [ "format=raw,vdev=xvda,access=rw,backendtype=phy,target=/dev/xenlvs/web1", \
            "format=raw,vdev=xvdb,access=ro,backendtype=phy,target=/dev/xenlvs/web1-log" ]
            vif = [ "mac=00:16:3e:00:00:02,bridge=xenbr0", "bridge=br1" ]

            """
        #expect(try configuration().rendered() == expected)
    }

    @Test("A value cannot end its string or add a line")
    func quoting() throws {
        var guest = try configuration()
        guest.commandLine = #"a="b" 'c' \ #d ; memory = 1"#
        #expect(try guest.rendered().contains(#"cmdline = "a=\"b\" 'c' \\ #d ; memory = 1""# + "\n"))
        for text in ["a\nb", "a\rb", "a\0b", "a\u{7F}", "a\tb"] {
            guest.commandLine = text
            #expect(throws: Failure.self) { try guest.rendered() }
        }
    }

    @Test("Values that xl would misread are refused")
    func refused() throws {
        let alterations: [(inout DomainConfiguration) -> Void] = [
            { $0.memory = ByteCount(5) }, { $0.memory = ByteCount(0) }, { $0.virtualCPUs = 0 },
            { $0.disks[0].device = "vda" }, { $0.disks[0].device = "xvda,access=ro" }, { $0.disks[1].device = "xvda" },
            { $0.interfaces[0].mac = "00:16:3e:00:00" }, { $0.interfaces[0].mac = "00:16:3e:00:00:zz" },
            { $0.interfaces[0].bridge = "xenbr0,script=/tmp/x" },
            { $0.interfaces[0].bridge = "a-name-that-is-too-long" },
            { $0.kernel = "/boot/\n" },
        ]
        for alteration in alterations {
            var guest = try configuration()
            alteration(&guest)
            #expect(throws: Failure.self) { try guest.rendered() }
        }
    }

    func domain(_ disks: DomainDisk...) -> DomainDescription {
        DomainDescription(
            name: "web1", type: .pv, maximumMemory: .mebibytes(96), targetMemory: .mebibytes(96), virtualCPUs: 1,
            disks: disks)
    }

    @Test("Disks on links are their volumes, in order, and empty drives are none")
    func assigned() throws {
        let assignment = DiskCheck.assign(
            domain(
                DomainDisk(device: "xvda", path: "/dev/xenlvs/web1"),
                DomainDisk(device: "xvdb", path: "/dev/xenlvs/web1-log", format: nil, writable: false),
                DomainDisk(device: "hdc", path: nil, isCDROM: true)))
        #expect(assignment.findings.isEmpty)
        #expect(assignment.volumes.map(\.device) == ["xvda", "xvdb"])
        #expect(assignment.volumes.map(\.volume) == [try VolumeName("web1"), try VolumeName("web1-log")])
    }

    @Test("Each disk that is not on a link of its own is found, with its reason")
    func findings() {
        let cases: [(DomainDisk, DiskFinding.Kind)] = [
            (DomainDisk(device: "xvda", path: "/dev/vg0/web1"), .notOnALink),
            (DomainDisk(device: "xvda", path: "/dev/xenlvsx/web1"), .notOnALink),
            (DomainDisk(device: "xvda", path: "vg0/web1"), .notOnALink),
            (DomainDisk(device: "xvda", path: "/dev/xenlvs/../vg0/web1"), .noVolumeName),
            (DomainDisk(device: "xvda", path: "/dev/xenlvs/"), .noVolumeName),
            (DomainDisk(device: "xvda", path: "/dev/xenlvs/.."), .noVolumeName),
            (DomainDisk(device: "xvda", path: "/dev/xenlvs/a b"), .noVolumeName),
            (DomainDisk(device: "xvda", path: "/dev/xenlvs/web1", format: "qcow2"), .formatted),
            (DomainDisk(device: "xvda", path: "/dev/xenlvs/web1", script: "block-nbd"), .servedElsewhere),
            (DomainDisk(device: "xvda", path: "/dev/xenlvs/web1", backendDomain: "4"), .servedElsewhere),
            (DomainDisk(device: "hdc", path: "/srv/x.iso", isCDROM: true), .medium),
        ]
        for (disk, kind) in cases {
            let assignment = DiskCheck.assign(domain(disk))
            #expect(assignment.findings.map(\.kind) == [kind], "\(disk.path ?? "")")
            #expect(assignment.volumes.isEmpty)
        }
        let twice = DiskCheck.assign(
            domain(
                DomainDisk(device: "xvda", path: "/dev/xenlvs/web1"),
                DomainDisk(device: "xvdb", path: "/dev/xenlvs/web1")))
        #expect(twice.findings.map(\.device) == ["xvdb"] && twice.findings.map(\.kind) == [.sharedWithin])
        #expect(twice.volumes.map(\.device) == ["xvda"])
    }

    @Test("The remedy names the line, the path that is there and the path to write")
    func remedy() throws {
        let finding = try #require(
            DiskCheck.assign(domain(DomainDisk(device: "xvda", path: "/dev/vg0/web1"))).findings.first)
        #expect(finding.remedy.contains("'disk = …' of xvda, change /dev/vg0/web1 to /dev/xenlvs/web1, "))
        let nameless = try #require(
            DiskCheck.assign(domain(DomainDisk(device: "xvda", path: "/dev/a b"))).findings.first)
        #expect(nameless.remedy.contains("/dev/xenlvs/NAME where NAME is the volume"))
    }
}
