import HostModel
import Replication
import Testing

struct VerificationTests {
    private static let tail = VerifyRange.tail(of: Sample.size)
    private static let whole = VerifyRange.whole(of: Sample.size)

    @Test("The tail is verified after every sync, and everything after a dirty re-attach on DRBD 8.4")
    func requirement() {
        let size = ByteCount.gibibytes(10)
        let odd = size + .kibibytes(4)
        #expect(TrustRequirement(dialect: .v84, size: size, wasReattached: false) == .verifyTail)
        #expect(TrustRequirement(dialect: .v84, size: size, wasReattached: true) == .verifyWhole)
        #expect(TrustRequirement(dialect: .v84, size: odd, wasReattached: true) == .verifyTail)
        #expect(TrustRequirement(dialect: .v9, size: size, wasReattached: true) == .verifyTail)
        #expect(
            TrustRequirement(dialect: .v9, size: size, wasReattached: false, wholeIsWanted: true) == .verifyWhole)
        #expect(TrustRequirement.verifyTail.range(of: Sample.size) == Self.tail)
        #expect(TrustRequirement.verifyWhole.range(of: Sample.size) == Self.whole)
    }

    @Test("A verification that both hosts have read through without a difference is trusted")
    func equal() throws {
        let run = try VerifyRun(
            Self.tail, source: status("8.4.11-synced-source"), target: status("8.4.11-synced-target"))
        let outcome = try run.judge(
            source: status("8.4.11-tail-verified-source"), target: status("8.4.11-tail-verified-target"))
        #expect(outcome == .equal)
        #expect(TrustDecision(after: outcome, round: 1, resource: "r") == .trusted)
    }

    @Test("A verification that runs, or has run on one side only, is waited for")
    func running() throws {
        let run = try VerifyRun(
            Self.whole, source: status("8.4.11-tail-verified-source"), target: status("8.4.11-tail-verified-target"))
        for (source, target) in [
            ("verifying-source", "verifying-target"), ("verifying-late-source", "both-secondary-target"),
        ] {
            let outcome = try run.judge(source: status("8.4.11-" + source), target: status("8.4.11-" + target))
            #expect(outcome == .running)
            #expect(TrustDecision(after: outcome, round: 1, resource: "r") == .wait)
        }
        let done = try run.judge(
            source: status("8.4.11-both-secondary-source"), target: status("8.4.11-both-secondary-target"))
        #expect(done == .equal)
    }

    @Test("A verification of everything is not taken for done when only the tail was read")
    func shortRead() throws {
        let run = try VerifyRun(
            Self.whole, source: status("8.4.11-synced-source"), target: status("8.4.11-synced-target"))
        let outcome = try run.judge(
            source: status("8.4.11-tail-verified-source"), target: status("8.4.11-tail-verified-target"))
        #expect(outcome == .interrupted("not all of the 64 MiB were read on both sides"))
        #expect(
            TrustDecision(after: outcome, round: 1, resource: "r") == .resyncAndVerifyAgain(round: 2))
    }

    @Test("Copies that DRBD 8.4 falsely calls UpToDate are not trusted: the tail's verification finds the difference")
    func forgottenTail() throws {
        let source = try status("8.4.11-falsely-uptodate-source")
        let target = try status("8.4.11-falsely-uptodate-target")
        // The defect itself: 16 KiB were out of sync, and the re-attach has forgotten them.
        #expect(try status("8.4.11-dirty-source").peer?.outOfSync == .kibibytes(16))
        #expect(try status("8.4.11-dirty-reattached-source").peer?.outOfSync == ByteCount(0))
        #expect(source.peer?.disk == .upToDate && target.volume?.disk == .upToDate)
        let run = try VerifyRun(Self.tail, source: source, target: target)
        let outcome = try run.judge(
            source: status("8.4.11-tail-differs-source"), target: status("8.4.11-tail-differs-target"))
        #expect(outcome == .different(.kibibytes(16)))
        #expect(
            TrustDecision(after: outcome, round: 1, resource: "r") == .resyncAndVerifyAgain(round: 2))
    }

    @Test("A connection that was lost leaves the verification undecided")
    func interrupted() throws {
        let run = try VerifyRun(
            Self.tail, source: status("8.4.11-synced-source"), target: status("8.4.11-synced-target"))
        let outcome = try run.judge(
            source: status("8.4.11-tail-verified-source"), target: status("8.4.11-peer-down-target"))
        #expect(outcome == .interrupted("the connection is Connecting"))
    }

    @Test("A verification cannot begin while the copies are not at rest")
    func beginning() throws {
        let syncing = (try status("8.4.11-syncing-source"), try status("8.4.11-syncing-target"))
        #expect(throws: Failure.self) { try VerifyRun(Self.tail, source: syncing.0, target: syncing.1) }
    }

    @Test("Copies that still differ after the last round are given up")
    func rounds() {
        for round in 1..<TrustDecision.rounds {
            let decision = TrustDecision(after: .different(.kibibytes(4)), round: round, resource: "xenlvs-rep-1")
            #expect(decision == .resyncAndVerifyAgain(round: round + 1))
        }
        let last = TrustDecision(
            after: .different(.kibibytes(4)), round: TrustDecision.rounds, resource: "xenlvs-rep-1")
        guard case .giveUp(let failure) = last else {
            Issue.record("\(last)")
            return
        }
        #expect(failure.why == "after 3 verifications 4 KiB differ")
        #expect(failure.remedy != nil)
    }
}
