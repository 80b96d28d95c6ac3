import Domains
import HostModel
import Testing

@Suite("xl list")
struct ListingTests {
    @Test("The recorded listing is read with numbers, memory and states")
    func recorded() throws {
        let listing = try DomainListing(parsing: Recorded.list)
        #expect(listing.entries.map(\.name) == ["Domain-0", "dom-pv", "dom-pvh"])
        #expect(listing.entries.map(\.id) == [nil, DomainID(5), DomainID(11)])
        #expect(listing.entries.map(\.state) == [.active, .suspended, .paused])
        let paused = try #require(listing.domain(named: DomainName("dom-pvh")))
        #expect(paused.memory == .mebibytes(96) && paused.virtualCPUs == 0)
        #expect(try listing.domain(named: DomainName("Domain-0")) == nil, "Domain-0 is no guest")
    }

    @Test(
        "Each combination of state letters has one meaning",
        arguments: [
            ("r-----", DomainState.active), ("-b----", .active), ("------", .active), ("--p---", .paused),
            ("-bp---", .paused), ("---ss-", .suspended), ("--pss-", .suspended), ("---s--", .poweredOff),
            ("---sr-", .rebooting), ("---sS-", .rebooting), ("---sc-", .crashed), ("---sw-", .crashed),
            ("---s?-", .crashed), ("-----d", .dying), ("--ps-d", .dying), ("---scd", .dying),
        ])
    func letters(text: String, state: DomainState) {
        #expect(DomainState(letters: text) == state)
    }

    @Test(
        "What is not a state column is not taken for one",
        arguments: ["", "r----", "r------", "b-----", "----s-", "---sx-"])
    func notLetters(text: String) {
        #expect(DomainState(letters: text) == nil)
    }

    @Test("A name with spaces or longer than its column, and a zombie without a name, are read")
    func oddNames() throws {
        let header = "Name                                        ID   Mem VCPUs\tState\tTime(s)\n"
        let long = String(repeating: "n", count: 60)
        let listing = try DomainListing(
            parsing: header + "two words --incoming                         7    96     1     --p---       0.0\n"
                + "\(long)     8    96     1     ------      12.5\n"
                + "(null)                                       9     0     1     --ps-d     136.0\n")
        #expect(listing.entries.map(\.name) == ["two words --incoming", long, nil])
        #expect(listing.entries.map(\.handover) == [.incoming, nil, nil])
        #expect(listing.entries.map(\.state) == [.paused, .active, .dying])
        #expect(listing.domain(try #require(DomainID(8)))?.name == long)
    }

    @Test(
        "A listing that cannot be read is an error, not an empty host",
        arguments: [
            "", "libxl: error\n", "Name ID\n", "Name   ID   Mem VCPUs\tState\tTime(s)\nweb1 5 96 1\n",
            "Name   ID   Mem VCPUs\tState\tTime(s)\nweb1 x 96 1 ------ 1.0\n",
            "Name   ID   Mem VCPUs\tState\tTime(s)\n 5 96 1 ------ 1.0\n",
            "Name   ID   Mem VCPUs\tState\tTime(s)\nweb1 5 96 1 zzzzzz 1.0\n",
            "Name   ID   Mem VCPUs\tState\tTime(s)\nweb1 5 99999999999999 1 ------ 1.0\n",
        ])
    func unreadable(text: String) {
        #expect(throws: Failure.self) { try DomainListing(parsing: text) }
    }

    @Test("Only a guest's number is a domain number")
    func numbers() {
        #expect(DomainID(0) == nil && DomainID(0x7FF0) == nil && DomainID(0x7FEF) != nil)
        #expect(DomainID(parsing: "12")?.number == 12)
        for text in ["", "0", "-1", "+1", "1 ", "1x", "99999999999", "٣"] { #expect(DomainID(parsing: text) == nil) }
    }
}
