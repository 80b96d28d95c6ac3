import HostModel
import Testing

@testable import Operations

@Suite("What is listed of a share")
struct ShareRowTests {
    private let web1 = VolumeName(unchecked: "web1")

    private func host(_ name: String) -> HostName { HostName(unchecked: name) }

    private func view(
        _ name: String, _ kind: SharedDisk.Kind = .attached, runs: Bool = false, why: String? = nil
    ) -> Result<SharedDisks, Failure> {
        let disk = SharedDisk(
            name: web1, kind: kind, identities: [.wwid("36001405a")], size: .mebibytes(64), why: why)
        return .success(SharedDisks(host: host(name), disks: [disk], hasDomain: runs))
    }

    private let silent = Result<SharedDisks, Failure>.failure(
        Failure(.unreachable, "cannot reach it", why: "Connection refused", remedy: "see the network"))

    private func row(_ answers: Result<SharedDisks, Failure>..., cluster: Bool? = nil) -> ShareRow {
        let hosts = ["a", "b", "c"].prefix(answers.count).map(host)
        let record = ShareRecord(
            domain: DomainName(unchecked: "web1"), way: .iscsi, hosts: Array(hosts.dropFirst()), volumes: [web1],
            hasClusterFileSystem: cluster)
        return ShareRow(record, hosts: Array(hosts), answers)
    }

    @Test("All hosts see the same, and the domain is where it is")
    func whole() {
        let all = row(view("a", .exported), view("b", runs: true), view("c"))
        #expect(all.isShared && all.runsOn == [host("b")] && all.why == nil && all.unanswered.isEmpty && !all.isUnknown)
        let broken = row(view("a", .exported), view("b", why: "no path is left"), view("c", runs: true))
        #expect(!broken.isShared && broken.why?.hasPrefix("b: ") == true && broken.runsOn == [host("c")])
    }

    @Test("A host that does not answer keeps nobody from knowing where the domain runs")
    func oneSilent() {
        let found = self.row(view("a", .exported), silent, view("c", runs: true))
        #expect(found.runsOn == [host("c")] && found.unanswered == [host("b")])
        #expect(!found.isShared && found.isUnknown, "nobody knows what b sees")
        #expect(found.why == "b could not be asked: Connection refused" && found.remedy == "see the network")
        // What is wrong with another one is told before.
        let broken = self.row(view("a", .exported), silent, view("c", why: "no path is left"))
        #expect(broken.why?.hasPrefix("c: ") == true && broken.why?.contains("b could not be asked") == true)
        #expect(!broken.isUnknown && !broken.isShared)
    }

    @Test("Two that run are an emergency, also while a third does not answer, and not for a cluster file system")
    func emergency() {
        for answers in [[view("a", .exported, runs: true), silent], [silent, view("b", runs: true)]] {
            let found = self.row(answers[0], answers[1], view("c", runs: true))
            #expect(found.runsOn.count == 2 && found.unanswered.count == 1 && !found.isShared && !found.isUnknown)
            #expect(found.why?.contains("two guests on one disk destroy it; ") == true, "\(found.why ?? "")")
            #expect(
                found.why?.contains("could not be asked") == true && found.remedy?.contains("xl destroy web1") == true)
        }
        let cluster = row(view("a", .exported, runs: true), view("b", runs: true), cluster: true)
        #expect(cluster.isShared && cluster.runsOn.count == 2 && cluster.why == nil)
    }

    @Test("Of the disks nothing is said where this host, or only this one, can be looked at")
    func nothingToCompare() {
        for answers in [[view("a", .exported, runs: true), silent], [silent, view("b", runs: true)]] {
            let found = self.row(answers[0], answers[1])
            #expect(found.isUnknown && !found.isShared && found.runsOn.count == 1 && found.unanswered.count == 1)
        }
        let none = row(silent, silent)
        #expect(none.runsOn.isEmpty && none.unanswered == [host("a"), host("b")] && none.isUnknown)
    }
}
