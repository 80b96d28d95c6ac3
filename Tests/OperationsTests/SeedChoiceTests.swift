import HostModel
import Testing

@testable import Operations

@Suite("How the bulk of the volumes is copied")
struct SeedChoiceTests {
    private static let web1 = VolumeName(unchecked: "web1")

    @Test("By itself past DRBD for thin volumes and slow links, and only there")
    func chosen() {
        #expect(!SeedChoice(.auto, .init(megabits: 1000)).seeds)
        #expect(!SeedChoice(.auto, .init()).seeds)
        #expect(SeedChoice(.auto, .init(thin: [Self.web1])).why == "web1 is thin")
        let slow = SeedChoice(.auto, .init(megabits: 100))
        #expect(slow.seeds && slow.why == "the link has 100 Mbit/s")
        let limited = SeedChoice(.auto, .init(megabits: 1000, bandwidth: .mebibytes(10)))
        #expect(limited.seeds && limited.why == "at most 10 MiB may be copied in a second")
        #expect(!SeedChoice(.auto, .init(megabits: 1000, bandwidth: .mebibytes(12))).seeds)
        #expect(!SeedChoice(.replica, .init(thin: [Self.web1], megabits: 10)).seeds)
        #expect(SeedChoice(.stream, .init(megabits: 10_000)).seeds)
    }

    @Test("Where it cannot be done the wish is refused, and the choice falls on DRBD")
    func impossible() throws {
        let host = HostName(unchecked: "nodea")
        for facts in [
            SeedChoice.Facts(noVolumes: [Self.web1], megabits: 10), SeedChoice.Facts(megabits: 10, isOldDRBD: false),
        ] {
            let wished = SeedChoice(.stream, facts)
            #expect(!wished.seeds)
            #expect(wished.findings("web1", host).first?.severity == .blocking)
            let chosen = SeedChoice(.auto, facts)
            #expect(!chosen.seeds && chosen.findings("web1", host).isEmpty)
        }
    }
}
