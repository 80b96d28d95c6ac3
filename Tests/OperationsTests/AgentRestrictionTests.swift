import Foundation
import HostModel
import Hosts
import Migration
import Storage
import Testing

@testable import Operations

@Suite("A restricted key")
struct AgentRestrictionTests {
    @Test("Only the lines that a coordinator sends are commands")
    func forcedCommand() throws {
        #expect(try ForcedCommand(line: "xenlvs agent") == .agent)
        #expect(try ForcedCommand(line: "xenlvs agent --receive") == .receiver)
        #expect(try ForcedCommand(line: "xenlvs --version") == .version)
        // What ssh makes of the words that are really sent.
        for command in [SSHCommand.agent(on: try HostName("nodeb")), SSHCommand.receiver(on: try HostName("nodeb"))] {
            let words = command.arguments.drop { $0 != "--" }.dropFirst(2)
            #expect(throws: Never.self) { try ForcedCommand(line: words.joined(separator: " ")) }
        }
        for line in [
            nil, "", " xenlvs agent", "xenlvs agent ", "xenlvs  agent", "xenlvs agent --receive --receive",
            "xenlvs agent; reboot", "xenlvs agent\nreboot", "/usr/bin/xenlvs agent", "xenlvs migration abort web1",
            "sh", "xenlvs agent --restrict --from evil --into vg9", "scp -t /", "XENLVS AGENT",
        ] {
            let failure = #expect(throws: Failure.self) { try ForcedCommand(line: line) }
            #expect(failure?.code == .refused)
            #expect(failure?.remedy != nil)
        }
    }

    @Test("A restriction must permit something, by names that can be")
    func construction() throws {
        for (sources, groups, directories) in [
            ([], ["vg0"], []), (["nodea"], [], []), (["-x"], ["vg0"], []), (["nodea"], ["a/b"], []),
            (["nodea"], [], ["pool"]), (["nodea"], [], ["/pool/../etc"]), (["nodea"], [], ["/pool/"]),
        ] as [([String], [String], [String])] {
            #expect(throws: Failure.self) {
                try AgentRestriction(sources: sources, groups: groups, directories: directories)
            }
        }
    }

    @Test("Only named hosts may greet")
    func host() async throws {
        let target = try TargetHost(restriction: TargetHost.restriction)
        var session = AgentSession(worker: target.worker)
        let hello = HostRequest.hello(protocolVersion: AgentProtocol.version, host: "nodec")
        let failure = await #expect(throws: Failure.self) { try await session.answer(hello) }
        #expect(failure?.code == .refused)
        #expect(failure?.what == "the key may not bring migrations from nodec")
        #expect(failure?.why == "it is restricted: it serves nodea")
        #expect(failure?.remedy?.contains("add '--from nodec' to 'xenlvs agent --restrict'") == true)
        await #expect(throws: Failure.self) { try await session.answer(.survey(SurveyQuery(domain: nil, volumes: []))) }
    }

    @Test("Only named groups and directories may be filled, whenever that is tried")
    func places() async throws {
        let restriction = try AgentRestriction(sources: ["nodea"], groups: ["vg0"], directories: ["/srv/pool"])
        let target = try TargetHost(restriction: restriction)
        var session = try await target.session()
        var spec = try TargetHost.spec(group: "vg1")
        var failure = await #expect(throws: Failure.self) {
            try await session.answer(TargetHost.order(.reserveTarget, spec))
        }
        #expect(failure?.why == "it is restricted: it may fill vg0")
        #expect(failure?.remedy?.contains("'--into vg1'") == true)
        spec.volumes[0].targetPlace = .file(pool: "/srv/other")
        failure = await #expect(throws: Failure.self) {
            try await session.answer(TargetHost.order(.reserveTarget, spec))
        }
        #expect(failure?.remedy?.contains("'--into-directory /srv/other'") == true)
        // One that was begun with another key is not gone on with by this one.
        let begun = try TargetHost.spec(
            domain: "web2", id: "web2-20261121-0002", volume: "web2", group: "vg1", number: 8)
        try target.begin(begun)
        for request in [.replicas(begun.id), TargetHost.order(.makeTargetVolumes, begun)] as [HostRequest] {
            failure = await #expect(throws: Failure.self) { try await session.answer(request) }
            #expect(failure?.code == .refused)
        }
        #expect(target.programs.mutations.isEmpty)
        spec.volumes[0].targetPlace = .file(pool: "/srv/pool")
        _ = try await session.answer(TargetHost.order(.reserveTarget, spec))
    }

    @Test("DRBD's numbers keep to what this host sets aside, and only what a receiver needs is answered")
    func limits() async throws {
        let target = try TargetHost(restriction: TargetHost.restriction)
        var session = try await target.session()
        let spec = try TargetHost.spec()
        for change in [{ $0.volumes[0].port = 22 }, { $0.volumes[0].targetMinor = 5000 }]
            as [(inout MigrationSpec) -> Void]
        {
            var other = spec
            change(&other)
            await #expect(throws: Failure.self) { try await session.answer(TargetHost.order(.reserveTarget, other)) }
        }
        try target.begin(spec)
        for request in [.verify(spec.id, spec.volumes[0].name, wholly: true), .explain(spec.id, spec.volumes[0].name)]
            as [HostRequest]
        {
            await #expect(throws: Failure.self) { try await session.answer(request) }
        }
    }

    @Test("A survey shows the groups that the key may fill, and no other guests")
    func survey() async throws {
        let restriction = try AgentRestriction(sources: ["nodea"], groups: ["vg7"], directories: [])
        let target = try TargetHost(restriction: restriction)
        var session = try await target.session()
        let query = SurveyQuery(domain: try DomainName("web1"), volumes: [try VolumeName("db")])
        guard case .survey(let survey) = try await session.answer(.survey(query)) else {
            Issue.record("no survey")
            return
        }
        #expect(survey.groups.isEmpty)
        #expect(survey.domains.isEmpty)
        #expect(survey.volumes.map(\.groups) == [[]])
        let many = SurveyQuery(domain: nil, volumes: try (0..<1000).map { try VolumeName("v\($0)") })
        await #expect(throws: Failure.self) { try await session.answer(.survey(many)) }
    }

    // MARK: As it is typed

    @Test("A line that is too long, and garbage, end the connection")
    func server() async throws {
        let target = try TargetHost()
        let long = String(repeating: "x", count: AgentProtocol.longestLine + 1)
        for (line, what) in [
            (long, "a line of more than"), ("{", "cannot read a request"), ("\u{0}", "cannot read a request"),
            ("[]", "cannot read a request"), (#"{"id":1,"request":{"hello":{}}}"#, "cannot read a request"),
        ] {
            let path = target.root + "/in"
            try Data((line + "\n").utf8).write(to: URL(fileURLWithPath: path))
            let (input, output) = (open(path, O_RDONLY), open("/dev/null", O_WRONLY))
            defer { for descriptor in [input, output] { close(descriptor) } }
            let failure = await #expect(throws: Failure.self) {
                try await AgentServer(worker: target.worker, input: input, output: output).run()
            }
            #expect(failure?.what.contains(what) == true)
        }
    }
}
