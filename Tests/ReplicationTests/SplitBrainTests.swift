import HostModel
import Replication
import Testing

@Suite("After a split brain")
struct SplitBrainTests {
    private let v84 = DRBDCommands(dialect: .v84)
    private let v9 = DRBDCommands(dialect: .v9)

    /// As the target has it.
    private func turned(_ connection: ReplicaConnection) -> ReplicaConnection {
        ReplicaConnection(local: connection.peer, peer: connection.local, secret: connection.secret)
    }

    private func handshake(_ logs: String..., web: Int = 1) throws -> HandshakeGenerations? {
        let log = try logs.map { try fixture("dmesg-8.4.11-" + $0) }.joined()
        return HandshakeGenerations(kernelLog: log, resource: "xenlvs-web\(web)", minor: 899 + web)
    }

    @Test("Each host's log has the generations of both copies")
    func generations() throws {
        let here = try #require(try handshake("split-brain", web: 1))
        #expect(DataGeneration.text(of: here.own) == "16E8A450C93E722D")
        #expect(DataGeneration.text(of: here.peer) == "CAD2A7272DFD0ED5")
        let there = try #require(try handshake("split-brain", web: 2))
        #expect(there.own == here.peer && there.peer == here.own)
        // Leading zeros stay, as DRBD writes them.
        #expect(DataGeneration.text(of: 4) == "0000000000000004")
    }

    @Test("Only the last attempt to connect counts, and only what the replica itself has said")
    func lastAttempt() throws {
        #expect(try handshake("split-brain", "wrong-secret") == nil)
        #expect(try handshake("wrong-secret") == nil)
        let newest = try #require(try handshake("split-brain", "unrelated-history"))
        #expect(DataGeneration.text(of: newest.own) == "CC04666D0BB71893")
        #expect(try handshake("split-brain", web: 3) == nil)
    }

    @Test("DRBD 9's lines, which name the peer, are understood; cut ones are not")
    func version9() {
        let log = """
            drbd xenlvs-web1 nodeb: conn( StandAlone -> Unconnected )
            drbd xenlvs-web1/0 drbd900 nodeb: self 16E8A450C93E722D:E80C8D1EFE7ABFDF:322EE5A9CB6BF460:0000000000000004 bits:1 flags:120
            drbd xenlvs-web1/0 drbd900 nodeb: peer CAD2A7272DFD0ED5:E80C8D1EFE7ABFDE:322EE5A9CB6BF460:0000000000000004 bits:1 flags:120
            """
        let found = HandshakeGenerations(kernelLog: log, resource: "xenlvs-web1", minor: 900)
        #expect(found?.own == 0x16E8_A450_C93E_722D && found?.peer == 0xCAD2_A727_2DFD_0ED5)
        let cut = log.replacing("CAD2A7272DFD0ED5:", with: "CAD2")
        #expect(HandshakeGenerations(kernelLog: cut, resource: "xenlvs-web1", minor: 900) == nil)
    }

    @Test("A copy that no peer has ever had is known by what its bitmap counts from")
    func neverCopied() {
        func generation(_ bitmap: String) -> DataGeneration? {
            DataGeneration("3EFD1ACEBD35C24D:\(bitmap):0000000000000000:0000000000000000:1:1:1:0:0:0:0")
        }
        for bitmap in ["0000000000000004", "0000000000000005", "0001000000000004", "0003000000000005"] {
            #expect(generation(bitmap)?.wasNeverCopied == true, "\(bitmap)")
        }
        for bitmap in ["0000000000000000", "E80C8D1EFE7ABFDF", "0000000100000004"] {
            #expect(generation(bitmap)?.wasNeverCopied == false, "\(bitmap)")
        }
    }

    @Test("On DRBD 8.4 the lines have all that DRBD has forgotten, in either direction")
    func lines84() {
        let settings =
            "--protocol=C --verify-alg=sha1 --max-buffers=8000 --max-epoch-size=8000 --timeout=40 --connect-int=5 "
            + "--ping-int=5 --ping-timeout=30"
        #expect(
            v84.reconnectAfterSplitBrain(Sample.volume, minor: 901, turned(Sample.connection), givesUpOwn: true)
                == "drbdsetup disconnect ipv4:192.0.2.2:7990 ipv4:192.0.2.1:7990 2>/dev/null; "
                + "drbdsetup secondary 901 && "
                + "drbdsetup connect xenlvs-rep-1 ipv4:192.0.2.2:7990 ipv4:192.0.2.1:7990 \(settings) "
                + "--discard-my-data=yes")
        #expect(
            v84.reconnectAfterSplitBrain(Sample.volume, minor: 900, Sample.connection, givesUpOwn: false)
                == "drbdsetup disconnect ipv4:192.0.2.1:7990 ipv4:192.0.2.2:7990 2>/dev/null; "
                + "drbdsetup connect xenlvs-rep-1 ipv4:192.0.2.1:7990 ipv4:192.0.2.2:7990 \(settings)")
    }

    @Test("On DRBD 9 the connection keeps its settings")
    func lines9() {
        #expect(
            v9.reconnectAfterSplitBrain(Sample.volume, minor: 901, turned(Sample.connection), givesUpOwn: true)
                == "drbdsetup disconnect xenlvs-rep-1 0 2>/dev/null; drbdsetup secondary xenlvs-rep-1 && "
                + "drbdsetup connect xenlvs-rep-1 0 --discard-my-data=yes")
        #expect(
            v9.reconnectAfterSplitBrain(Sample.volume, minor: 900, Sample.connection, givesUpOwn: false)
                == "drbdsetup disconnect xenlvs-rep-1 1 2>/dev/null; drbdsetup connect xenlvs-rep-1 1")
    }

    @Test("An IPv6 address is safe from the shell")
    func ipv6() throws {
        let connection = try Sample.connection(source: "2001:db8::1", target: "2001:db8::2")
        let line = v84.reconnectAfterSplitBrain(Sample.volume, minor: 900, connection, givesUpOwn: false)
        #expect(
            line.hasPrefix("drbdsetup disconnect 'ipv6:[2001:db8::1]:7990' 'ipv6:[2001:db8::2]:7990' 2>/dev/null; "))
    }

    @Test("The settings are those that xenlvs connects with, but for the secret and what is DRBD's own default")
    func settings() {
        let line = v84.reconnectAfterSplitBrain(Sample.volume, minor: 900, Sample.connection, givesUpOwn: false)
        let typed = line.split(separator: " ").filter { $0.hasPrefix("--") }.map(String.init)
        let own = v84.connect(Sample.source, Sample.connection).arguments.filter { $0.hasPrefix("--") }
        #expect(typed.allSatisfy { own.contains($0) })
        let missing = own.filter { !typed.contains($0) }.map { $0.prefix { $0 != "=" } }
        #expect(
            missing == [
                "--cram-hmac-alg", "--shared-secret", "--after-sb-0pri", "--after-sb-1pri", "--after-sb-2pri",
                "--rr-conflict",
            ])
    }

    @Test("The secret is in no line", arguments: DRBDDialect.allCases, [true, false])
    func secrecy(dialect: DRBDDialect, givesUpOwn: Bool) {
        let line = DRBDCommands(dialect: dialect).reconnectAfterSplitBrain(
            Sample.volume, minor: 900, Sample.connection, givesUpOwn: givesUpOwn)
        #expect(!line.contains(Sample.secretText) && !line.contains("secret"))
    }

    @Test("Both copies changed, or both Primary, is a split brain; a lost network or a wrong secret is none")
    func causes() {
        let causes: [(StandAloneExplanation.Cause, Bool)] = [
            (.splitBrain, true), (.bothPrimary, true), (.wrongSecret, false), (.networkFailure, false),
            (.disconnectedHere, false), (.unrelatedData, false), (.unknown, false),
        ]
        for (cause, isSplitBrain) in causes { #expect(cause.isSplitBrain == isSplitBrain, "\(cause)") }
    }
}
