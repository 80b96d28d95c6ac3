import Domains
import HostModel
import Migration
import Replication
import Testing

@testable import Operations

@Suite("What a guest with page tables of its own needs of its hosts")
struct PagingFindingTests {
    private func survey(_ name: String, _ capabilities: String) throws -> HostSurvey {
        let xen = try HostCapabilities(
            parsing: """
                release                : 6.1.0-56-amd64
                nr_cpus                : 1
                hw_caps                : 078bf3fd:80002001:20100800:00000005:00000000:00000000:00000000:00000000
                virt_caps              : \(capabilities) gnttab-v1 gnttab-v2
                total_memory           : 1599
                free_memory            : 783
                xen_major              : 4
                xen_minor              : 17
                xen_version            : 4.17.7
                xen_caps               : xen-3.0-x86_64 hvm-3.0-x86_64
                xen_commandline        : dom0_mem=700M,max:700M
                """)
        return HostSurvey(
            host: try HostName(name), version: "1", xen: xen,
            drbd: DRBDFacts(version: "8.4.11", isAvailable: true, objections: []), cpuFlags: [], clock: 0, groups: [],
            freeForImages: .gibibytes(1), numbers: NumbersInUse(), domains: [], volumes: [], lvmAcceptsDRBD: false,
            obstacles: [])
    }

    static let plans =
        MigrationPlan.Method.allCases.map { MigrationPlan(method: $0, settlement: .late, comparesCopies: false) } + [
            MigrationPlan(method: .live, storage: .shared, settlement: .late, comparesCopies: false),
            MigrationPlan(method: .oneFreeze, storage: .shared, settlement: .late, comparesCopies: false),
        ]

    /// What blocks a guest's way to a target, of what is said about running it at all.
    private func blocking(_ type: DomainType, to capabilities: String, _ plan: MigrationPlan) throws -> [Finding] {
        let description = DomainDescription(
            name: "web1", type: type, maximumMemory: .mebibytes(96), targetMemory: .mebibytes(96), virtualCPUs: 1)
        return Preflight(
            source: try survey("nodea", "pv hvm hap"), target: try survey("nodeb", capabilities),
            subject: Preflight.Subject(description: description, volumes: [], targetPlaces: [], plan: plan)
        ).findings().filter { $0.severity == .blocking && $0.what.contains("cannot run") }
    }

    @Test("A target that has no paging for it blocks its way, by whatever method", arguments: plans)
    func target(_ plan: MigrationPlan) throws {
        for type in [DomainType.pvh, .hvm] {
            let findings = try blocking(type, to: "pv hvm", plan)
            #expect(findings.map(\.host) == ["nodeb"])
            #expect(findings.first?.why?.contains("neither hap nor shadow paging") == true)
            #expect(findings.first?.remedy?.contains("nested paging") == true)
            #expect(try blocking(type, to: "pv", plan).first?.why?.contains("does not offer it") == true)
            for capabilities in ["pv hvm hap", "pv hvm shadow"] {
                #expect(try blocking(type, to: capabilities, plan).isEmpty)
            }
        }
        #expect(try blocking(.pv, to: "pv", plan).isEmpty)
    }

    @Test("Only what the source lacks speaks for a method that stops the guest")
    func source() throws {
        func objections(_ type: DomainType, _ capabilities: String) throws -> [String] {
            MigrationStarter.objectionsToLive(type, source: try survey("nodea", capabilities)).map(\.why)
        }
        #expect(try objections(.pvh, "pv hvm hap").isEmpty)
        #expect(try objections(.pv, "pv hvm hap shadow").isEmpty)
        #expect(try objections(.pvh, "pv hvm").first?.contains("nodea has no hap or shadow paging") == true)
        #expect(try objections(.pv, "pv hvm hap").first?.contains("nodea has no shadow paging") == true)
    }
}
