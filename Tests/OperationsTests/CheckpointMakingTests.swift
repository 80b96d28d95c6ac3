import Foundation
import HostModel
import Storage
import Testing

@testable import Operations

@Suite("A checkpoint while it is made", .enabled(if: canMakeDeviceNodes, "needs device nodes"))
struct CheckpointMakingTests {
    private func create(_ host: CheckpointHost) async -> Failure? {
        await failure { _ = try await host.manager.create(host.base.name, room: nil) }
    }

    @Test("The snapshots are taken while the domain is paused, and it runs on")
    func made() async throws {
        let host = try CheckpointHost()
        let made = try await host.manager.create(host.base.name, room: nil)
        #expect(made.stage == .whole && made.name == host.name)
        #expect(host.xen.mutations == ["save -p 5", "unpause 5"])
        #expect(host.lvm.mutations == ["lvcreate web1.cp1", "lvcreate data.cp1"])
    }

    @Test("The domain does not wait for an 'lvcreate' that does not end; what that makes yet is removed by 'recover'")
    func endless() async throws {
        let host = try CheckpointHost()
        host.lvm.go(.never)
        let failure = try #require(await create(host))
        #expect(failure.code == .needsRecovery && failure.remedy?.contains("xenlvs recover") == true)
        #expect(failure.why?.contains("the domain was stopped, and runs on") == true)
        #expect(!failure.detailedDescription.contains("migration resume"))
        #expect(host.xen.mutations == ["save -p 5", "unpause 5"])
        #expect(host.lvm.mutations == ["lvcreate web1.cp1"])
        // It is never taken for whole.
        #expect(try host.manager.store.find(host.name).stage == .making)
        await #expect(throws: Failure.self) { _ = try await host.manager.restore(host.name) }
        let early = try await host.manager.recover()
        #expect(early.map(\.needsOperator) == [true] && early.first?.words.contains("lvcreate") == true)
        host.lvm.end()
        #expect(host.lvm.snapshots == ["web1.cp1"])
        let repairs = try await host.manager.recover()
        #expect(repairs.map(\.words) == ["the checkpoint web1-1 was cut off and is removed"])
        #expect(host.xen.mutations == ["save -p 5", "unpause 5"])
        #expect(try host.isClean)
    }

    @Test("Of an 'lvcreate' that ends after its deadline nothing is left")
    func late() async throws {
        let host = try CheckpointHost(patience: .seconds(20))
        host.lvm.go(.late)
        let failure = try #require(await create(host))
        #expect(failure.code == .failed && failure.why?.contains("the domain was stopped, and runs on") == true)
        #expect(!failure.detailedDescription.contains("migration resume"))
        #expect(host.xen.mutations == ["save -p 5", "unpause 5"])
        #expect(host.lvm.mutations == ["lvcreate web1.cp1", "lvremove web1.cp1"])
        #expect(try host.isClean)
    }

    @Test("An 'xl' that ends after its deadline leaves a domain that runs", arguments: ["save", "unpause"])
    func overdue(_ verb: String) async throws {
        let host = try CheckpointHost()
        host.xen.overdue(verb)
        let failure = try #require(await create(host))
        #expect(failure.code == .failed && failure.causes.first?.what.contains("xl \(verb)") == true)
        #expect(!failure.detailedDescription.contains("migration resume"))
        #expect(host.xen.mutations == ["save -p 5", "unpause 5"])
        #expect(host.xen.guest?.state == "-b----")
        #expect(try host.isClean)
    }

    @Test("Where the domain does not run on after that, it is said, and 'recover' finds what was begun")
    func staysStopped() async throws {
        let host = try CheckpointHost()
        host.xen.overdue("save")
        host.xen.save(as: "---ss-")
        host.xen.resume(as: "---ss-")
        let failure = try #require(await create(host))
        #expect(failure.code == .needsRecovery && failure.remedy?.contains("xenlvs recover") == true)
        #expect(failure.why?.contains("the domain may stand still") == true)
        #expect(!failure.detailedDescription.contains("migration resume"))
        #expect(try host.manager.store.find(host.name).stage == .making)
        host.xen.resume(as: "-b----")
        let repairs = try await host.manager.recover()
        #expect(repairs.map(\.needsOperator) == [false])
        #expect(try host.isClean)
    }
}
