import Domains
import FoundationEssentials
import HostModel
import Migration
import Storage
import Testing

@testable import Operations

@Suite("A cold migration")
struct ColdMigrationTests {
    private func configuration(
        name: String = "web1", uuid: String? = "U", device: String = "xvda", path: String = "/dev/xenlvs/web1",
        more: [DomainDisk] = []
    ) -> DomainDescription {
        DomainDescription(
            name: name, uuid: uuid, type: .pv, maximumMemory: .mebibytes(96), targetMemory: .mebibytes(96),
            virtualCPUs: 1, disks: [DomainDisk(device: device, path: path)] + more)
    }

    @Test("Only the migrated domain's own configuration starts it: the same UUID, and its links as its disks")
    func objections() throws {
        let spec = try OutlineTests.facts(method: .cold).spec
        func objection(_ description: DomainDescription) -> String? { HostWorker.objection(to: description, spec) }
        #expect(objection(configuration()) == nil)
        #expect(objection(configuration(more: [DomainDisk(device: "hdc", path: nil, isCDROM: true)])) == nil)
        #expect(objection(configuration(name: "web2"))?.contains("web2") == true)
        #expect(objection(configuration(uuid: nil))?.contains("a new one each time") == true)
        #expect(objection(configuration(uuid: "other"))?.contains("other") == true)
        #expect(objection(configuration(device: "xvdb"))?.contains("no disk xvda") == true)
        #expect(objection(configuration(path: "/dev/vg0/web1"))?.contains("/dev/vg0/web1") == true)
        let second = DomainDisk(device: "xvdb", path: "/dev/vg0/other")
        #expect(objection(configuration(more: [second]))?.contains("xvdb") == true)
    }

    @Test("The outline shuts it down, copies, and starts it there from its configuration; no image is made")
    func outline() throws {
        var facts = try OutlineTests.facts(method: .cold)
        facts.target.configuration = "/etc/xen/auto/web1.cfg"
        let outline = try OutlineBuilder(facts).outline()
        #expect(outline.steps.compactMap(\.step) == facts.spec.plan.steps)
        #expect(outline.steps.allSatisfy { !$0.actions.isEmpty })
        #expect(Set(outline.steps.compactMap(\.freeze)) == [1])
        func texts(_ step: Step) throws -> [String] {
            try #require(outline.steps.first { $0.step == step }).actions.map(\.text)
        }
        #expect(try texts(.shutDown).first == "xl shutdown 12")
        #expect(try texts(.startOnTarget).first == "xl create -p /etc/xen/auto/web1.cfg")
        #expect(!outline.text.contains("xl save") && !outline.text.contains("xl restore"))
    }

    @Test("It says what it does, and on shared disks it is refused")
    func choice() throws {
        let (domain, source) = (try DomainName("web1"), try HostName("nodea"))
        let cold = MethodChoice(.cold, settling: .late, switches: [], live: [])
        #expect(cold.method == .cold && cold.reason.contains("shut down"))
        #expect(cold.findings(domain, source).allSatisfy { $0.severity == .fine })
        let shared = MethodChoice(shared: .cold, live: [])
        #expect(shared.findings(domain, source).contains { $0.severity == .blocking })
    }
}
