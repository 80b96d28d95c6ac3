import Domains
import HostModel
import Testing

@Suite("Domain configurations as libxl writes them")
struct DescriptionTests {
    @Test("The recorded listing gives name, kind, memory, disks and interfaces")
    func recorded() throws {
        let domains = try DomainDescription.parse(
            listing: Recorded.listing(Recorded.configuration(), Recorded.configuration(type: "pvh", name: "dom-pvh")))
        #expect(domains.map(\.name) == ["Domain-0", "dom-pv", "dom-pvh"])
        #expect(domains.map(\.id) == [nil, DomainID(3), DomainID(4)])
        #expect(domains.map(\.type) == [.pv, .pv, .pvh])
        let guest = domains[1]
        #expect(guest.uuid == "4a3e907b-f9a3-4c66-89f7-449cc6af31c5")
        #expect(guest.maximumMemory == .mebibytes(96) && guest.targetMemory == .mebibytes(96))
        #expect(guest.virtualCPUs == 1 && guest.pagingMemory == nil && guest.usesHardwarePaging)
        #expect(guest.bootFiles == ["/lab/guest/vmlinuz", "/lab/guest/initrd"])
        #expect(guest.disks == [DomainDisk(device: "xvda", path: "/dev/xenlvs/dom-pv")])
        #expect(guest.interfaces == [DomainInterface(mac: "00:16:3e:00:00:02", bridge: "xenbr0")])
        #expect(guest.obstacles.isEmpty)
        #expect(domains[0].disks.isEmpty && domains[0].uuid == nil)
    }

    @Test("Fields that libxl leaves out have their defaults, and those it writes are taken")
    func fields() throws {
        let disks = """
            { "vdev": "xvdb", "pdev_path": "/a", "format": "qcow2", "backend": "qdisk", "removable": 1, "is_cdrom": 1,
              "script": "block-x", "backend_domid": 4 },
            { "vdev": "hdc", "pdev_path": "", "is_cdrom": 1 },
            { "vdev": "xvdc", "pdev_path": "/c", "readwrite": 1, "backend_domid": 0, "backend_domname": "store" }
            """
        let json = Recorded.configuration(build: " \"shadow_memkb\": 2048, ", disks: disks)
        let domain = try DomainDescription.parse(configuration: Array(json.utf8))
        #expect(domain.id == nil && domain.pagingMemory == .kibibytes(2048))
        #expect(
            domain.disks == [
                DomainDisk(
                    device: "xvdb", path: "/a", format: "qcow2", backend: "qdisk", writable: false, removable: true,
                    isCDROM: true, script: "block-x", backendDomain: "4"),
                DomainDisk(device: "hdc", path: nil, format: nil, writable: false, isCDROM: true),
                DomainDisk(device: "xvdc", path: "/c", format: nil, backendDomain: "store"),
            ])
    }

    @Test("What keeps a guest from being saved is named")
    func obstacles() throws {
        func obstacles(_ type: String = "pv", build: String = "", more: String = "") throws -> Int {
            let json = Recorded.configuration(type: type, build: build, more: more)
            return try DomainDescription.parse(configuration: Array(json.utf8)).obstacles.count
        }
        #expect(try obstacles() == 0)
        #expect(try obstacles("pvh") == 0)
        #expect(try obstacles("hvm") == 1)
        #expect(try obstacles(more: "\"pcidevs\": [ { \"func\": 0 } ],") == 1)
        #expect(try obstacles(more: "\"usbdevs\": [ {} ], \"dtdevs\": [ {} ],") == 1)
        #expect(try obstacles(build: "\"disable_migrate\": \"True\", \"vnuma_nodes\": [ {} ],") == 2)
        #expect(try obstacles(build: "\"disable_migrate\": \"False\", \"vnuma_nodes\": [ ],") == 0)
    }

    @Test(
        "A listing that is not libxl's is refused",
        arguments: [
            "", "{}", "[{}]", "[{\"domid\": -1, \"config\": {}}]",
            Recorded.listing(Recorded.configuration(type: "vax")),
            Recorded.listing(Recorded.configuration().replacing("98304", with: "-5")),
            Recorded.listing(Recorded.configuration().replacing("98304", with: "9223372036854775807")),
            Recorded.listing(Recorded.configuration().replacing("target_memkb", with: "other")),
        ])
    func refused(text: String) {
        #expect(throws: Failure.self) { try DomainDescription.parse(listing: text) }
    }

    @Test("An empty listing is no domains", arguments: ["[]", "[\n\n]\n"])
    func empty(text: String) throws {
        #expect(try DomainDescription.parse(listing: text).isEmpty)
    }

    @Test("The memory a restore needs is more than Xen took, and grows with memory and CPUs")
    func memory() {
        func guest(_ type: DomainType, _ memory: ByteCount, cpus: Int = 1) -> DomainDescription {
            DomainDescription(name: "g", type: type, maximumMemory: memory, targetMemory: memory, virtualCPUs: cpus)
        }
        #expect(MemoryRequirement.restore(of: guest(.pv, .mebibytes(96))) == .mebibytes(104))
        #expect(MemoryRequirement.restore(of: guest(.pvh, .mebibytes(96))) == .mebibytes(104))
        #expect(MemoryRequirement.restore(of: guest(.pv, .gibibytes(4), cpus: 4)) == .mebibytes(4096 + 38 + 4))
        #expect(MemoryRequirement.restore(of: guest(.pvh, .gibibytes(4), cpus: 4)) == .mebibytes(4096 + 22 + 4))
        var ballooned = guest(.pvh, .gibibytes(1))
        ballooned.targetMemory = .mebibytes(256)
        #expect(MemoryRequirement.restore(of: ballooned) > .gibibytes(1))
        ballooned.pagingMemory = .mebibytes(64)
        #expect(MemoryRequirement.restore(of: ballooned) == .mebibytes(1024 + 64 + 2 + 4))
    }

    @Test("The recorded images are within the size that is reserved for them")
    func imageSize() throws {
        for (type, size) in [("pv", 100_872_715), ("pvh", 109_106_295)] {
            let json = Recorded.configuration(type: type)
            let reserved = MemoryRequirement.savedImage(of: try .parse(configuration: Array(json.utf8)))
            #expect(reserved.bytes >= size && reserved.bytes < Int64(size) + 5 << 20)
        }
    }
}
