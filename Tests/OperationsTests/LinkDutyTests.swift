import HostModel
import Migration
import Storage
import Testing

@testable import Operations

@Suite("Where a link has to lead")
struct LinkDutyTests {
    @Test("An active volume's link leads to the volume")
    func active() throws {
        #expect(LinkDuty(try Sample.volume("web1"), []) == .volume)
    }

    @Test("The source of a migration that is not decided has its volume, or the replica over it")
    func undecidedSource() throws {
        let migration = try Sample.migration(.source, decided: false)
        let duty = LinkDuty(try Sample.volume("web1"), [migration])
        #expect(duty == .volumeOrReplica(migration, minor: 3))
        #expect(LinkVerdict(Sample.link("/dev/drbd3", 147, 3), duty, plain: Sample.lower) == .onReplica)
        #expect(LinkVerdict(Sample.link("/dev/drbd4", 147, 4), duty, plain: Sample.lower) == .replacedByHand)
        #expect(LinkVerdict(.absent, duty, plain: Sample.lower) == .missing)
    }

    @Test("A decided source never gets a link to its old copy again")
    func decidedSource() throws {
        let duty = LinkDuty(try Sample.volume("web1"), [try Sample.migration(.source, decided: true)])
        #expect(LinkVerdict(.absent, duty, plain: Sample.lower) == .rightlyAbsent)
        #expect(LinkVerdict(Sample.link("/dev/vg0/web1"), duty, plain: Sample.lower) == .mustNotBe)
        #expect(LinkVerdict(Sample.link("/dev/drbd3", 147, 3), duty, plain: Sample.lower) == .migration)
    }

    @Test("The target has its volume once the decision is recorded there")
    func decidedTarget() throws {
        let migration = try Sample.migration(.target, decided: true)
        let duty = LinkDuty(try Sample.volume("web1"), [migration])
        #expect(duty == .volumeOrReplica(migration, minor: 7))
        #expect(LinkVerdict(Sample.link("/dev/vg0/web1"), duty, plain: Sample.lower) == .right)
    }

    @Test("A copy that a migration fills is the migration's, whatever its link is")
    func incoming() throws {
        let migration = try Sample.migration(.target, decided: false)
        let duty = LinkDuty(try Sample.volume("web1", .incoming(migration: migration.id.text)), [migration])
        #expect(duty == .migration(migration))
        for state in [LinkState.absent, Sample.link("/dev/drbd7", 147, 7), Sample.link("/dev/vg0/web1")] {
            #expect(LinkVerdict(state, duty, plain: Sample.lower) == .migration)
        }
    }

    @Test("A copy whose migration is gone, and an old copy, must have no link")
    func leftOver() throws {
        for state in [VolumeState.incoming(migration: "gone"), .retired(migration: "gone")] {
            let duty = LinkDuty(try Sample.volume("web1", state), [])
            #expect(LinkVerdict(.absent, duty, plain: Sample.lower) == .rightlyAbsent)
            #expect(LinkVerdict(Sample.link("/dev/vg0/web1"), duty, plain: Sample.lower) == .mustNotBe)
        }
    }

    @Test("A migration of another domain does not concern a volume")
    func unrelated() throws {
        #expect(LinkDuty(try Sample.volume("web2"), [try Sample.migration(.source, decided: true)]) == .volume)
    }

    @Test("A link is judged by the device that it leads to")
    func byDevice() {
        #expect(LinkVerdict(Sample.link("/dev/mapper/vg0-web1"), .volume, plain: Sample.lower) == .right)
        #expect(LinkVerdict(Sample.link("/dev/sdb", 8, 16), .volume, plain: Sample.lower) == .replacedByHand)
        #expect(LinkVerdict(Sample.link("/dev/sdb", 8, 16), .volume, plain: nil) == .replacedByHand)
        let dangling = LinkState.link(target: "/dev/vg0/web1", leadsTo: .dangling)
        #expect(LinkVerdict(dangling, .volume, plain: nil) == .dangling)
        let file = LinkState.link(target: "/dev/shm/x", leadsTo: .notABlockDevice(kind: "a regular file"))
        #expect(LinkVerdict(file, .volume, plain: nil) == .replacedByHand)
        #expect(LinkVerdict(.notALink(kind: "a directory"), .volume, plain: nil) == .notALink)
    }
}
