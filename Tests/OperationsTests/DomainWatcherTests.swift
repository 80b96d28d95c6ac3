import Domains
import Testing

@testable import Operations

@Suite("Who watches over a domain")
struct DomainWatcherTests {
    private static let log = """
        Waiting for domain web1 (domid 3) to die [pid 463]
        Domain 3 has shut down, reason code 1 0x1
        Action for shutdown reason code 1 is restart
        Domain 3 needs to be cleaned up: destroying the domain
        Done. Rebooting now
        Waiting for domain web1 (domid 5) to die [pid 463]
        """

    @Test("The domain is the one of its last line, also after a reboot")
    func last() { #expect(DomainWatcher.domain(in: Self.log, watchedBy: 463) == DomainID(5)) }

    @Test("A name may hold what a line holds")
    func hostileName() {
        let log = "Waiting for domain a (domid 7) to die [pid 9] (domid 12) to die [pid 463]\n"
        #expect(DomainWatcher.domain(in: log, watchedBy: 463) == DomainID(12))
    }

    @Test("Another process's log, and other words, say nothing", arguments: ["", "Waiting for domain web1\n", log])
    func none(log: String) { #expect(DomainWatcher.domain(in: log, watchedBy: 46) == nil) }
}
