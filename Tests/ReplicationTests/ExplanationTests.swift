import HostModel
import Replication
import Testing

struct ExplanationTests {
    private typealias Cause = StandAloneExplanation.Cause

    private func explain(_ log: String, web: Int = 1) throws -> StandAloneExplanation {
        StandAloneExplanation.explain(
            kernelLog: try fixture("dmesg-8.4.11-" + log), resource: "xenlvs-web\(web)", minor: 899 + web)
    }

    @Test("Each recorded refusal to connect is explained by its cause, on both hosts")
    func recorded() throws {
        let causes: [(String, Cause)] = [
            ("wrong-secret", .wrongSecret),
            ("auth-missing", .secretOnOneSide),
            ("auth-digest", .differentSecretDigest),
            ("protocol", .differentSetting("protocol")),
            ("two-primaries", .differentSetting("allow-two-primaries")),
            ("after-sb", .differentSetting("after-sb-0pri")),
            ("data-integrity", .differentSetting("data-integrity-alg")),
            ("verify-digest", .differentSetting("verify-alg")),
            ("split-brain", .splitBrain),
            ("unrelated-history", .splitBrain),
            ("network-cut", .pingTimeout),
        ]
        for (log, cause) in causes {
            #expect(try explain(log, web: 1).cause == cause, "\(log)")
            #expect(try explain(log, web: 2).cause == cause, "\(log)")
        }
    }

    @Test("A smaller disk is named with both sizes by the side that refused it")
    func smaller() throws {
        let explanation = try explain("peer-too-small")
        #expect(explanation.cause == .peerTooSmall(peer: .mebibytes(60), own: .mebibytes(64)))
        #expect(explanation.sentence == "the peer's disk is too small: it has 60 MiB, this one 64 MiB")
        #expect(try explain("peer-too-small", web: 2).cause == .peerClosed)
    }

    @Test("A port in use and an address of another host are told apart")
    func binding() throws {
        #expect(try explain("port-in-use", web: 2).cause == .portInUse)
        #expect(try explain("address-not-here", web: 1).cause == .addressNotHere)
    }

    @Test("Lines of other resources, also of such whose name only begins alike, explain nothing")
    func strangers() throws {
        let log = try fixture("dmesg-8.4.11-wrong-secret")
        for (resource, minor) in [("xenlvs-web", 90), ("xenlvs-web11", 9001), ("web1", 9), ("xenlvs-web1-b", 902)] {
            let cause = StandAloneExplanation.explain(kernelLog: log, resource: resource, minor: minor).cause
            #expect(cause == .unknown, "\(resource)")
        }
    }

    @Test("What happened before the last attempt to connect is over")
    func lastAttempt() throws {
        func cause(_ logs: String...) throws -> StandAloneExplanation.Cause {
            let log = try logs.map { try fixture("dmesg-8.4.11-" + $0) }.joined()
            return StandAloneExplanation.explain(kernelLog: log, resource: "xenlvs-web1", minor: 900).cause
        }
        #expect(try cause("wrong-secret", "split-brain") == .splitBrain)
        #expect(try cause("split-brain", "wrong-secret") == .wrongSecret)
        // Connected again: nothing is left to explain.
        #expect(try cause("network-cut", "network-back") == .unknown)
    }

    @Test("A disconnect on this host is no failure of the network")
    func disconnected() throws {
        let log = """
            [   29.88] drbd xenlvs-web1b: peer( Primary -> Unknown ) conn( Connected -> TearDown ) pdsk( UpToDate -> DUnknown )
            [   29.88] drbd xenlvs-web1: peer( Secondary -> Unknown ) conn( Connected -> Disconnecting ) pdsk( UpToDate -> DUnknown )
            [   29.90] drbd xenlvs-web1: conn( Disconnecting -> StandAlone )
            """
        func cause(_ resource: String) -> StandAloneExplanation.Cause {
            StandAloneExplanation.explain(kernelLog: log, resource: resource, minor: 900).cause
        }
        #expect(cause("xenlvs-web1") == .disconnectedHere)
        #expect(cause("xenlvs-web1b") == .peerClosed)
    }

    @Test("DRBD 9's lines, which name the peer, are understood")
    func version9() {
        let log = """
            drbd xenlvs-web1 nodeb: conn( StandAlone -> Unconnected )
            drbd xenlvs-web1/0 drbd900 nodeb: Unrelated data, aborting!
            drbd xenlvs-web1 nodeb: conn( Connecting -> Disconnecting )
            """
        #expect(
            StandAloneExplanation.explain(kernelLog: log, resource: "xenlvs-web1", minor: 900).cause == .unrelatedData)
    }

    @Test("An empty log gives an explanation that says so, with a remedy")
    func empty() {
        let explanation = StandAloneExplanation.explain(kernelLog: "", resource: "xenlvs-web1", minor: 900)
        #expect(explanation.cause == .unknown)
        #expect(
            explanation.description
                == "the kernel's log does not say why there is no connection (look at the kernel log of the other host: "
                + "dmesg | grep drbd)")
    }
}
