import HostModel
import Replication
import Testing

struct DialectTests {
    @Test("The dialect is read from the module's version file and from /proc/drbd alike")
    func versions() throws {
        #expect(try DRBDDialect(moduleVersion: "8.4.11\n") == .v84)
        #expect(try DRBDDialect(moduleVersion: fixture("proc-drbd-8.4.11-syncing")) == .v84)
        #expect(try DRBDDialect(moduleVersion: "9.2.8\n") == .v9)
        #expect(try DRBDDialect(moduleVersion: "version: 9.1.16 (api:2/proto:86-121)\nGIT-hash: 0\n") == .v9)
    }

    @Test("Any other version is refused", arguments: ["8.3.16", "8", "9", "10.0.0", "", "version:", "9.x", "none"])
    func otherVersions(text: String) {
        let failure = #expect(throws: Failure.self) { try DRBDDialect(moduleVersion: text) }
        #expect(failure?.code == .refused)
        #expect(failure?.remedy != nil)
    }

    @Test("A module loaded without disable_sendpage or with a helper program is found")
    func parameters() {
        #expect(DRBDModule.objections(disableSendpage: "Y\n", usermodeHelper: "/bin/true\n").isEmpty)
        #expect(DRBDModule.objections(disableSendpage: nil, usermodeHelper: "/bin/true\n").isEmpty)
        #expect(DRBDModule.objections(disableSendpage: "N\n", usermodeHelper: "/sbin/drbdadm\n").count == 2)
    }
}
