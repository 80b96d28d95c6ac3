import FoundationEssentials
import HostModel
import Migration
import Testing

@testable import Reporting

@Suite struct MigrationReportTests {
    @Test("A late migration has three freezes, each in its phase and of its length")
    func late() throws {
        let report = try Histories.late()
        #expect(report.outcome.state == .migrated)
        #expect(report.freezes.map(\.number) == [1, 2, 3])
        #expect(report.freezes.map(\.phase) == [.substitute, .handOver, .settle])
        #expect(report.freezes.map(\.milliseconds) == [5_100, 4_200, 5_300])
        #expect(report.frozenMilliseconds == 14_600)
        #expect(report.phases.map(\.phase) == [.prepare, .substitute, .synchronise, .handOver, .settle, .tidyUp])
        #expect(report.phases.allSatisfy { $0.state == .done })
        #expect(report.domainRunsOn?.text == "nodeb")
        #expect(report.totalMilliseconds == report.phases.reduce(0) { $0 + $1.milliseconds })
        #expect(report.endMilliseconds == report.beginMilliseconds + report.totalMilliseconds)
    }

    @Test("What was copied has its size, its time and its rate")
    func copies() throws {
        let report = try Histories.late()
        let volume = try #require(report.volumes.first)
        #expect(volume.sync?.copiedBytes == 268_435_456)
        #expect(volume.sync?.milliseconds == 30_200)
        #expect(volume.sync?.bytesPerSecond == 8_888_591)
        #expect(volume.verification == .init(comparedBytes: 268_435_456, differingBytes: 0))
        #expect(volume.sha256?.equal == true)
        #expect(volume.sourcePlace == "vg0/web1")
        let image = try #require(report.image)
        #expect(image.sentBytes == 17_301_504)
        #expect(abs((image.compressionRatio ?? 0) - 6.121) < 0.001)
        #expect(report.ownTime?.ownMilliseconds == 1_260)
    }

    @Test("What a run that was cut off had copied counts, and is said not to be timed")
    func cutOff() throws {
        var writer = Histories.Writer()
        writer.prepare()
        writer.substitute()
        writer.steps([.connectTarget, .connectSource], 1_400)
        writer.add(.stepBegan(.synchronise))
        writer.add(.runBegan(epoch: 2, resumed: true), after: 9_000)
        writer.synchronise([("web1", 0, 40)])
        let killed = MigrationReport(spec: try Histories.spec(), events: writer.events)
        let sync = try #require(killed.volumes.first?.sync)
        #expect(sync.copiedBytes == 268_435_456 && sync.unmeasuredBytes == 268_435_456)
        #expect(sync.bytesPerSecond == nil)
        let text = TextReport.render(killed, width: 100, color: false)
        #expect(text.contains("256 MiB before an interruption, not timed"), "\(text)")

        let stopped = try #require(try Histories.resumed().volumes.first?.sync)
        #expect(stopped.copiedBytes == 268_435_456 && stopped.unmeasuredBytes == 58_720_256)
        #expect(stopped.bytesPerSecond == 9_986_438)
        #expect(try Histories.late().volumes.first?.sync?.unmeasuredBytes == nil)
    }

    @Test("What was sent while the domain ran is told apart from what the freeze has sent")
    func ahead() throws {
        var image = try #require(try Histories.late().image)
        #expect(ReportSentences.image(image) == "16.5 MiB sent, 6.1 : 1")
        image.aheadBytes = 94 << 20
        #expect(ReportSentences.image(image) == "16.5 MiB sent, 94 MiB ahead")
    }

    @Test("A migration that was rolled back tells why, and that the domain runs on the source")
    func rolledBack() throws {
        let report = try Histories.rolledBack()
        #expect(report.outcome == .init(state: .rolledBack, reason: Histories.restoreFailed))
        #expect(report.domainRunsOn?.text == "nodea")
        #expect(report.isCommitted == false)
        #expect(report.phases.map(\.phase) == [.prepare, .substitute, .synchronise, .handOver, .rollBack])
        #expect(report.phases[3].state == .failed)
        #expect(report.failures.map(\.step) == [.transferImage])
        // The second freeze goes on through the way back.
        #expect(report.freezes[1].phase == .handOver)
        #expect(report.freezes[1].milliseconds == 7_298)
    }

    @Test("A freeze that a dead coordinator left open is one freeze over two runs")
    func freezeOverRuns() throws {
        let report = try Histories.resumed()
        #expect(report.freezes.map(\.number) == [1, 2, 3])
        #expect(report.freezes.map(\.runs) == [1, 2, 1])
        #expect(report.freezes[1].milliseconds > 12_000)
        #expect(report.runs.map(\.ending) == [.suspended, .lost, .finished])
        #expect(report.runs[0].reason == Histories.connectionLost)
        // A lost run ends with its last event, not with the run that follows it.
        #expect(report.runs[1].endMilliseconds == report.runs[2].beginMilliseconds - 12_000)
        let handOvers = report.phases.filter { $0.phase == .handOver }
        #expect(handOvers.map(\.state) == [.interrupted, .done])
        #expect(handOvers.first?.endMilliseconds == report.runs[1].endMilliseconds)
    }

    @Test("A suspended migration is one that can be resumed, and its domain runs where it was")
    func suspended() throws {
        let events = Histories.resumedEvents()
        let stop = try #require(events.firstIndex { if case .suspended = $0.kind { true } else { false } })
        let report = MigrationReport(spec: try Histories.spec(), events: Array(events[...stop]))
        #expect(report.outcome == .init(state: .suspended, reason: Histories.connectionLost))
        #expect(report.endMilliseconds == nil)
        #expect(report.domainRunsOn?.text == "nodea")
        #expect(report.phases.last?.state == .failed)
    }

    @Test("A freeze under way is open and counted up to now")
    func openFreeze() throws {
        let events = Histories.resumedEvents()
        let note = try #require(events.firstIndex { if case .note = $0.kind { true } else { false } })
        let now = events[note].time + 3_000
        let report = MigrationReport(spec: try Histories.spec(), events: Array(events[...note]), now: now)
        #expect(report.outcome.state == .running)
        #expect(report.domainRunsOn == nil)
        #expect(report.freezes.last?.isOpen == true)
        #expect(report.freezes.last?.milliseconds == 4_200)
        #expect(report.frozenMilliseconds == 5_100)
        #expect(report.phases.last?.state == .running)
        #expect(report.untilMilliseconds == now)
    }

    @Test("Every beginning of a history makes a report whose lengths are not negative")
    func everyPrefix() throws {
        let spec = try Histories.spec()
        let events = Histories.resumedEvents()
        for count in 0...events.count {
            let report = MigrationReport(spec: spec, events: Array(events.prefix(count)))
            #expect(report.totalMilliseconds >= 0)
            #expect(report.phases.allSatisfy { $0.milliseconds >= 0 })
            #expect(report.phases.dropLast().allSatisfy { $0.endMilliseconds != nil })
            #expect(report.freezes.allSatisfy { $0.milliseconds >= 0 })
            #expect(!TextReport.render(report, width: 80, color: true).isEmpty)
            #expect(HTMLReport.render(report).hasSuffix("</html>\n"))
        }
    }

    @Test("Attempts that were broken off are counted, and disks that are shared are listed")
    func attempts() throws {
        var spec = try Histories.spec(compares: false)
        spec.volumes = []
        let disk = DiskSpec(name: VolumeName(unchecked: "web1"), device: "xvda", size: .mebibytes(64))
        spec.sharedDisks = [disk]
        spec.plan = MigrationPlan(method: .live, storage: .shared, settlement: .late, comparesCopies: false)
        let kinds: [MigrationEvent.Kind] = [
            .runBegan(epoch: 1, resumed: false), .stepBegan(.moveLive), .freezeBegan(.handOver),
            .freezeEnded(.handOver), .stepBegan(.moveLive), .freezeBegan(.handOver),
            .runBegan(epoch: 2, resumed: true), .freezeBegan(.handOver), .freezeEnded(.handOver),
        ]
        let events = kinds.enumerated().map {
            MigrationEvent(sequence: $0.offset + 1, time: Int64($0.offset) * 1000, kind: $0.element)
        }
        let report = MigrationReport(spec: spec, events: events)
        #expect(report.freezes.map(\.number) == [1, 2] && report.freezes.map(\.runs) == [1, 2])
        #expect(report.sharedDisks?.map(\.sizeBytes) == [64 << 20])
        #expect(TextReport.render(report, width: 80, color: false).contains("web1  xvda  64 MiB"))
        #expect(try Histories.late().sharedDisks == nil)
    }

    @Test("A clock that was set back makes no negative length")
    func clockSetBack() throws {
        var writer = Histories.Writer()
        writer.prepare()
        writer.time -= 60_000
        writer.substitute()
        let report = MigrationReport(spec: try Histories.spec(), events: writer.events)
        #expect(report.freezes.allSatisfy { $0.milliseconds >= 0 })
        #expect(report.totalMilliseconds == 3_200)
    }

    @Test("The JSON form keeps its field names and comes back as it was")
    func json() throws {
        let report = try Histories.resumed()
        let text = try PrettyJSON.encode(report)
        #expect(try JSONDecoder().decode(MigrationReport.self, from: Data(text.utf8)) == report)
        for field in [
            "beginMilliseconds", "bytesPerSecond", "copiedBytes", "compressionRatio", "domainRunsOn", "freezes",
            "frozenMilliseconds", "memoryBytes", "outcome", "ownTime", "phases", "runs", "sentBytes", "settlement",
            "sha256", "sizeBytes", "totalMilliseconds", "verification",
        ] {
            #expect(text.contains("\"\(field)\""), "\(field)")
        }
        #expect(text.contains("\"sourcePlace\" : \"vg0/web1\""))
        #expect(text.contains("\"settlement\" : \"late\""))
    }
}

@Suite("A migration whose source was restarted")
struct LostMemoryReportTests {
    @Test("A guest that a restart took along is not said to run, though the migration was rolled back")
    func lostWithItsHost() throws {
        var writer = Histories.Writer()
        writer.prepare()
        writer.add(.runBegan(epoch: 2, resumed: true))
        writer.add(.domainLost(HostName(unchecked: "nodea")))
        writer.add(.finished(.rolledBack(because: Histories.restoreFailed)))
        let report = MigrationReport(spec: try Histories.spec(), events: writer.events)
        #expect(report.outcome.state == .rolledBack && report.domainRunsOn == nil)
        #expect(report.memoryLostOn?.text == "nodea")
        let text = TextReport.render(report, width: 80, color: false)
        #expect(text.contains("web1 was lost when nodea was restarted") && !text.contains("runs on nodea"))
    }
}

@Suite("A migration whose other host was declared dead")
struct LostHostReportTests {
    private static let dead = HostName(unchecked: "nodeb")

    private func report(_ kinds: [MigrationEvent.Kind]) throws -> MigrationReport {
        var writer = Histories.Writer()
        writer.prepare()
        writer.steps([.finishRestore, .decide], 100)
        writer.add(.freezeBegan(.handOver))
        writer.add(.runBegan(epoch: 2, resumed: true))
        writer.add(.declaredDead(Self.dead))
        for kind in kinds { writer.add(kind, after: 10) }
        return MigrationReport(spec: try Histories.spec(), events: writer.events)
    }

    @Test("A guest that was lost runs nowhere, and nothing is left to type")
    func lost() throws {
        let report = try report([.stepEnded(.reclaimSource), .finished(.lost(because: Histories.restoreFailed))])
        #expect(report.outcome.state == .lost)
        #expect(report.domainRunsOn == nil && !report.isCommitted && report.endMilliseconds != nil)
        #expect(report.freezes.allSatisfy { !$0.isOpen })
        let text = TextReport.render(report, width: 80, color: false)
        #expect(text.contains("web1 runs on no host any more"))
        #expect(text.contains("nodeb was declared dead by the operator"))
        #expect(!text.contains("next:"))
    }

    @Test("One that has stopped on the way is gone on with in the same way")
    func stopped() throws {
        let report = try report([.suspended(Histories.restoreFailed, needsRecovery: true)])
        let text = TextReport.render(report, width: 80, color: false)
        #expect(text.contains("next: xenlvs migration resolve \(report.id) --fenced nodeb"))
        #expect(!text.contains("abort"))
    }

    @Test("A source that was told of the target's decision says where the guest is")
    func takenOver() throws {
        var writer = Histories.Writer()
        writer.prepare()
        writer.add(.suspended(Failure(.takenOver, "the domain belongs to nodeb for good"), needsRecovery: true))
        let report = MigrationReport(spec: try Histories.spec(), events: writer.events)
        #expect(report.isCommitted && report.domainRunsOn == Self.dead)
        #expect(!TextReport.render(report, width: 80, color: false).contains("abort"))
    }
}
