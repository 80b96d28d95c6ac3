import HostModel
import Hosts
import Migration
import Testing

@testable import Operations

@Suite("A migration whose other host is lost for good")
struct ResolutionTests {
    private static let late = MigrationPlan(settlement: .late, comparesCopies: false)
    private static let early = MigrationPlan(settlement: .early, comparesCopies: false)

    private func resolve(
        _ isDecided: Bool, _ guest: TargetFacts.Guest, _ copies: TargetFacts.Copies, _ plan: MigrationPlan = late
    ) -> TargetResolution {
        TargetResolution(TargetFacts(isDecided: isDecided, guest: guest, copies: copies), plan)
    }

    private static let settle: [Step] = [
        .saveForVolume, .takeDownTargetReplica, .linkTargetToVolume, .restoreOnVolume, .continueOnVolume, .cleanTarget,
    ]

    @Test("A target with the decision finishes from wherever the guest is")
    func decided() {
        #expect(resolve(true, .paused, .upToDate) == .finish([.startOnTarget] + Self.settle))
        #expect(resolve(true, .received, .upToDate) == .finish([.startOnTarget] + Self.settle))
        #expect(resolve(true, .running, .upToDate) == .finish(Self.settle))
        #expect(resolve(true, .saved, .upToDate) == .finish(Self.settle))
        #expect(resolve(true, .pausedInSettlement, .unknown) == .finish([.continueAsLinked] + Self.settle))
        #expect(resolve(true, .paused, .upToDate, Self.early) == .finish([.startOnTarget, .cleanTarget]))
    }

    @Test("Without the decision the operator's word stands for it, where the guest is whole on complete data")
    func undecided() {
        #expect(
            resolve(false, .paused, .upToDate) == .finish([.acknowledgeDecision, .startOnTarget] + Self.settle))
        #expect(resolve(false, .paused, .incomplete) == .incomplete([.retireTargetCopies]))
        #expect(resolve(false, .absent, .unknown) == .incomplete([.retireTargetCopies]))
    }

    @Test("A guest that was lost leaves its disk, and no image of it is restored")
    func diskAlone() {
        let claim: [Step] = [.claimTarget, .takeDownTargetReplica, .linkTargetToVolume, .cleanTarget]
        #expect(resolve(false, .absent, .upToDate) == .diskAlone(claim))
        // What has come of it need not be all, and the source may have let it run on.
        #expect(resolve(false, .received, .upToDate) == .diskAlone(claim))
        #expect(resolve(true, .absent, .upToDate) == .diskAlone(claim))
        #expect(resolve(true, .absent, .unknown) == .diskAlone(claim))
    }

    @Test("A guest never runs on from data that are not complete", arguments: TargetFacts.Guest.allCases)
    func incomplete(_ guest: TargetFacts.Guest) {
        for isDecided in [true, false] {
            switch resolve(isDecided, guest, .incomplete) {
            case .finish, .diskAlone: Issue.record("\(guest), decided: \(isDecided)")
            case .incomplete(let steps): #expect(steps == [.retireTargetCopies])
            case .refuse: break
            }
        }
    }

    @Test("Only a decision lets a guest be settled or run that was not paused here")
    func contradictions() {
        for guest in [TargetFacts.Guest.saved, .pausedInSettlement] {
            guard case .refuse(let failure) = resolve(false, guest, .upToDate) else {
                Issue.record("\(guest) is accepted")
                continue
            }
            #expect(failure.code == .inconsistent)
        }
    }

    @Test("A source's runs never get to the epoch of a target's operator")
    func epochs() {
        let first = ResolutionEpoch.next(after: 7)
        #expect(ResolutionEpoch.isOne(first))
        #expect(!ResolutionEpoch.isOne(8))
        #expect(ResolutionEpoch.next(after: first) == first + 1)
    }

    @Test("The data are as old as the moment from which on one host wrote alone")
    func moments() {
        let host = HostName(unchecked: "nodeb")
        func event(_ sequence: Int, _ kind: MigrationEvent.Kind) -> MigrationEvent {
            MigrationEvent(sequence: sequence, time: Int64(sequence) * 1000, kind: kind)
        }
        let running = [event(1, .stepBegan(.startOnTarget)), event(2, .stepEnded(.startOnTarget))]
        #expect(DataMoment(ofSource: running, target: host) == .connectionLost(host))
        let settled = running + [event(3, .stepBegan(.takeDownTargetReplica)), event(4, .stepBegan(.cleanSource))]
        #expect(DataMoment(ofSource: settled, target: host) == .replicaTakenDown(host, at: 3000))
        #expect(DataMoment(ofSource: settled, target: host).words.contains("1970-01-01 00:00:03 UTC"))
        let back = running + [event(3, .stepBegan(.takeDownSourceReplica))]
        #expect(DataMoment(ofTarget: back, source: host) == .replicaTakenDown(host, at: 3000))
    }

    @Test("A copy that was attached again is doubted until it was compared without a difference")
    func uncompared() {
        func isUncompared(_ kinds: [MigrationEvent.Kind]) -> Bool {
            DataMoment.isUncompared(
                kinds.enumerated().map { MigrationEvent(sequence: $0.offset + 1, time: 1, kind: $0.element) })
        }
        func compared(_ differing: Int64) -> MigrationEvent.Kind {
            .verified(
                volume: VolumeName(unchecked: "web1"), compared: .mebibytes(64), differing: ByteCount(differing))
        }
        #expect(!isUncompared([]))
        #expect(!isUncompared([compared(0)]))
        #expect(isUncompared([compared(0), .attachedAgain]))
        #expect(isUncompared([.attachedAgain, compared(4096)]))
        #expect(!isUncompared([.attachedAgain, compared(4096), compared(0)]))
    }

    @Test("Only the other host of a migration can be called dead")
    func peer() throws {
        let spec = try OutlineTests.facts().spec
        try FencedHost.requirePeer(try HostName("nodeb"), of: spec, .source)
        try FencedHost.requirePeer(try HostName("nodea"), of: spec, .target)
        for (name, role) in [("nodea", Role.source), ("nodeb", .target), ("nodec", .source)] {
            #expect(throws: Failure.self) { try FencedHost.requirePeer(try HostName(name), of: spec, role) }
        }
    }

    @Test("A host that lets nobody in is not dead; one that nothing is heard of may be")
    func signs() {
        func sign(_ code: Failure.Code, _ why: String) -> String? {
            FencedHost.sign(of: Failure(code, "the connection is lost", why: why))
        }
        #expect(sign(.unreachable, "ssh: connect to host nodeb port 22: Connection timed out") == nil)
        #expect(sign(.unreachable, "ssh: connect to host nodeb port 22: No route to host") == nil)
        #expect(sign(.outcomeUnknown, "it took longer than 20.0 seconds") == nil)
        #expect(sign(.unreachable, "root@nodeb: Permission denied (publickey).") != nil)
        #expect(sign(.unreachable, "bash: line 1: xenlvs: command not found") != nil)
        #expect(sign(.unreachable, "ssh: connect to host nodeb port 22: Connection refused") != nil)
        #expect(sign(.unreachable, "kex_exchange_identification: read: Connection reset by peer") != nil)
        #expect(sign(.refused, "") != nil)
    }
}
