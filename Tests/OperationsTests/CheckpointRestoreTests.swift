import Foundation
import HostModel
import Storage
import Testing

@testable import Operations

@Suite("A checkpoint whose restore is repeated", .enabled(if: canMakeDeviceNodes, "needs device nodes"))
struct CheckpointRestoreTests {
    @Test("What an earlier run has restored, and recorded, is let run")
    func recorded() async throws {
        let cases: [(String, [String])] = [("--p---", ["unpause 6"]), ("-b----", [])]
        for (state, expected) in cases {
            let host = try CheckpointHost()
            try host.leave(.starting, try host.revival(6))
            host.xen.put(FakeXen.Guest(id: 6, state: state))
            let restored = try await host.manager.restore(host.name)
            #expect(restored.stage == .whole && restored.revival == nil)
            #expect(try host.manager.store.find(host.name) == restored)
            #expect(host.xen.mutations == expected)
        }
    }

    @Test("A domain that is not known to be the restored one is refused, and left to itself")
    func another() async throws {
        let half = FakeXen.Guest(id: 6, state: "--p---", isComplete: false)
        let cases: [(guest: FakeXen.Guest, recorded: UInt32?, machine: String?)] = [
            // Started by hand, or by xendomains, after a kill or a power cut.
            (FakeXen.Guest(id: 6), nil, nil), (FakeXen.Guest(id: 6), 6, "another boot"), (half, nil, "another boot"),
            // Restarted since.
            (FakeXen.Guest(id: 7), 6, nil),
            // No `xl restore` is there that would have restored it.
            (FakeXen.Guest(id: 6, state: "--p---"), nil, nil),
        ]
        for (guest, recorded, machine) in cases {
            let host = try CheckpointHost()
            try host.leave(.starting, try host.revival(recorded, machine: machine))
            host.xen.put(guest)
            let before = try host.manager.store.find(host.name)
            let failure = await #expect(throws: Failure.self) { try await host.manager.restore(host.name) }
            #expect(failure?.code == .busy && failure?.why?.contains("not known") == true)
            #expect(failure?.remedy?.contains("xl shutdown web1") == true)
            #expect(failure?.remedy?.contains("checkpoint remove web1-1") == true)
            #expect(host.xen.mutations.isEmpty)
            #expect(try host.manager.store.find(host.name) == before)
        }
    }

    @Test("An 'xl restore' that has outlived its run is waited for, and what it restores is let run")
    func survived() async throws {
        let host = try CheckpointHost()
        try host.leave(.starting, try host.revival(nil))
        host.xen.put(FakeXen.Guest(id: 6, state: "--p---", isComplete: false))
        let process = try await host.beginRestore()
        defer { process.terminate() }
        let xen = host.xen
        let completion = Task {
            try await Task.sleep(for: .milliseconds(500))
            xen.put(FakeXen.Guest(id: 6, state: "--p---"))
        }
        let restored = try await host.manager.restore(host.name)
        try await completion.value
        #expect(restored.stage == .whole)
        #expect(xen.mutations == ["unpause 6"])
    }

    @Test("What a killed 'xl restore' has left half made is destroyed, and the disks are put back anew")
    func halfMade() async throws {
        let host = try CheckpointHost()
        try host.leave(.starting, try host.revival(nil))
        host.xen.put(FakeXen.Guest(id: 6, state: "--p---", isComplete: false))
        // It ends at the first disk: there is no snapshot here.
        let failure = await #expect(throws: Failure.self) { try await host.manager.restore(host.name) }
        #expect(failure?.code == .refused && failure?.why?.contains("web1.cp1") == true)
        #expect(host.xen.mutations == ["destroy 6"])
    }

    @Test("The restored domain's number is recorded before it is let run, and only what has it counts as restored")
    func number() async throws {
        let host = try CheckpointHost()
        try host.leave(.whole, hasDisks: false)
        host.xen.put(nil)
        host.xen.overdue("unpause")
        let failure = await #expect(throws: Failure.self) { try await host.manager.restore(host.name) }
        #expect(failure?.code == .outcomeUnknown)
        #expect(failure?.remedy?.contains("checkpoint restore web1-1") == true)
        #expect(host.xen.mutations == ["restore -p", "unpause 6"])
        let left = try host.manager.store.find(host.name)
        #expect(try left.stage == .starting && left.revival == host.revival(6))
        host.xen.put(FakeXen.Guest(id: 7))
        let refused = await #expect(throws: Failure.self) { try await host.manager.restore(host.name) }
        #expect(refused?.code == .busy)
        host.xen.put(FakeXen.Guest(id: 6))
        #expect(try await host.manager.restore(host.name).stage == .whole)
        // The next time it is another one.
        host.xen.put(nil)
        _ = try await host.manager.restore(host.name)
        #expect(host.xen.mutations.suffix(2) == ["restore -p", "unpause 7"])
    }

    @Test("Records of the version before, without a number, are read, and no domain counts as restored for them")
    func earlierVersion() async throws {
        let host = try CheckpointHost()
        try host.leave(.starting)
        let path = host.manager.store.directory + "/web1-1.json"
        #expect(try !String(contentsOfFile: path, encoding: .utf8).contains("revival"))
        let failure = await #expect(throws: Failure.self) { try await host.manager.restore(host.name) }
        #expect(failure?.code == .busy)
        #expect(host.xen.mutations.isEmpty)
    }
}
