import Domains
import HostModel
import Testing

@Suite("xl command lines")
struct CommandTests {
    let id = DomainID(7) ?? { preconditionFailure("7 is a guest's number") }()

    @Test("Each command is the line an operator would type")
    func lines() throws {
        let expected: [(Command, String)] = [
            (XLCommands.list(), "xl list"), (XLCommands.describe(), "xl list -l"),
            (XLCommands.describe(id), "xl list -l 7"), (XLCommands.info(), "xl info"),
            (XLCommands.identifier(of: try DomainName("web1")), "xl domid web1"),
            (XLCommands.name(of: id), "xl domname 7"),
            (XLCommands.create(configuration: "/etc/xen/web1.cfg", paused: false), "xl create /etc/xen/web1.cfg"),
            (XLCommands.create(configuration: "/a b.cfg", paused: true), "xl create -p '/a b.cfg'"),
            (XLCommands.save(id, to: .stream, then: .keepPaused, deadline: .seconds(9)), "xl save -p 7 /dev/stdout"),
            (XLCommands.save(id, to: .file("/x.img"), then: .destroy, deadline: .seconds(9)), "xl save 7 /x.img"),
            (XLCommands.restorePaused(from: .stream, deadline: .seconds(9)), "xl restore -p /dev/stdin"),
            (XLCommands.restorePaused(from: .file("/x.img"), deadline: .seconds(9)), "xl restore -p /x.img"),
            (XLCommands.unpause(id), "xl unpause 7"), (XLCommands.pause(id), "xl pause 7"),
            (XLCommands.destroy(id), "xl destroy 7"),
            (XLCommands.request(of: id), "xenstore-read /local/domain/7/control/shutdown"),
            (XLCommands.withdrawRequest(of: id), "xenstore-write /local/domain/7/control/shutdown ''"),
            (
                XLCommands.resumeSuspended(id, memory: .mebibytes(96)),
                "LIBXL_SAVE_HELPER=/bin/false xl save -c 7 /dev/null"
            ),
        ]
        for (command, line) in expected { #expect(command.description == line) }
    }

    @Test("Commands that change something are marked so, queries are not")
    func effects() throws {
        for query in [
            XLCommands.list(), XLCommands.describe(id), XLCommands.info(), XLCommands.name(of: id),
            XLCommands.identifier(of: try DomainName("web1")), XLCommands.request(of: id),
        ] { #expect(query.effect == .query) }
        for mutation in [
            XLCommands.save(id, to: .stream, then: .destroy, deadline: .seconds(9)),
            XLCommands.restorePaused(from: .stream, deadline: .seconds(9)), XLCommands.unpause(id),
            XLCommands.pause(id), XLCommands.destroy(id), XLCommands.create(configuration: "/x", paused: true),
            XLCommands.resumeSuspended(id, memory: .mebibytes(1)), XLCommands.withdrawRequest(of: id),
        ] { #expect(mutation.effect == .mutation) }
    }

    @Test("Of what a domain can be asked to do, only to suspend itself is a suspend request")
    func requests() {
        #expect(XLCommands.isSuspendRequest("suspend\n"))
        for output in ["", "\n", "poweroff\n", "reboot\n"] { #expect(!XLCommands.isSuspendRequest(output)) }
    }

    @Test("A deadline grows with the memory and covers the guest's own two minutes")
    func deadlines() {
        #expect(XLCommands.deadline(memory: .mebibytes(0)) == .seconds(120))
        #expect(XLCommands.deadline(memory: .gibibytes(4)) == .seconds(120 + 1024))
        #expect(XLCommands.deadline(memory: .gibibytes(1), slowest: ByteCount(0)) > .seconds(120))
        #expect(XLCommands.save(id, to: .stream, then: .destroy, deadline: .seconds(77)).deadline == .seconds(77))
    }
}
