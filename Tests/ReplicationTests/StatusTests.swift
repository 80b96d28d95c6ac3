import FoundationEssentials
import HostModel
import Replication
import Testing

struct StatusTests {
    @Test("A running resync is read as the kernel reports it")
    func syncing() throws {
        let source = try status("8.4.11-syncing-source")
        #expect(source.resource == "xenlvs-rep-1")
        #expect(source.role == .primary)
        #expect(source.suspended == "no")
        #expect(source.volume?.minor == 900)
        #expect(source.volume?.disk == .upToDate)
        #expect(source.volume?.size == .mebibytes(64))
        #expect(source.volume?.written == .kibibytes(65536))
        #expect(source.volume?.hasQuorum == nil)
        #expect(source.connection?.state == .connected)
        #expect(source.connection?.peerRole == .secondary)
        #expect(source.peer?.replication == .syncSource)
        #expect(source.peer?.disk == .inconsistent)
        #expect(source.peer?.outOfSync == .kibibytes(65120))
        #expect(source.peer?.sent == .kibibytes(416))
        #expect(source.peer?.percentDone == nil)
        let target = try status("8.4.11-syncing-target")
        #expect(target.peer?.replication == .syncTarget)
        #expect(target.volume?.disk == .inconsistent)
        #expect(target.peer?.received == .kibibytes(832))
    }

    @Test(
        "Each state of a migration is read",
        arguments: [
            ("fresh-source", ReplicaRole.secondary, DiskState.inconsistent, ConnectionState.standAlone),
            ("forced-source", .primary, .upToDate, .standAlone),
            ("connecting-target", .secondary, .inconsistent, .connecting),
            ("synced-target", .secondary, .upToDate, .connected),
            ("both-secondary-source", .secondary, .upToDate, .connected),
            ("promoted-target", .primary, .upToDate, .connected),
            ("peer-down-target", .primary, .upToDate, .connecting),
            ("disconnected-target", .primary, .upToDate, .standAlone),
        ])
    func states(name: String, role: ReplicaRole, disk: DiskState, connection: ConnectionState) throws {
        let found = try status("8.4.11-" + name)
        #expect(found.role == role)
        #expect(found.volume?.disk == disk)
        #expect(found.connection?.state == connection)
    }

    @Test("A paused resync and a verification are told apart from a resync")
    func replicationStates() throws {
        let paused = try status("8.4.11-paused-source")
        #expect(paused.peer?.replication == .pausedSyncSource)
        #expect(paused.peer?.resyncSuspended == "user")
        #expect(try status("8.4.11-verifying-source").peer?.replication == .verifySource)
        #expect(try status("8.4.11-verifying-target").peer?.replication == .verifyTarget)
    }

    @Test("A resource that DRBD does not know has no status")
    func missing() throws {
        #expect(try ReplicaStatus.parse(events2: fixture("events2-8.4.11-missing")).isEmpty)
        #expect(
            try ReplicaStatus.parse(events2: fixture("events2-8.4.11-missing"), resource: "xenlvs-rep-1") == nil)
    }

    @Test("Several resources are read from one text, each with its own devices and peers")
    func several() throws {
        let text = try ["dirty-source", "syncing-source"].map { try fixture("events2-8.4.11-" + $0) }.joined()
        let statuses = try ReplicaStatus.parse(events2: text)
        #expect(statuses.map(\.resource) == ["xenlvs-rep-1", "xenlvs-web1"])
        #expect(statuses.map { $0.peer?.outOfSync } == [.kibibytes(65120), .kibibytes(16)])
    }

    @Test("DRBD 9's lines are read, with its percentage and quorum, and its paths are passed over")
    func version9() throws {
        let found = try status("9-from-format-syncing-source")
        #expect(found.volume?.hasQuorum == true)
        #expect(found.connection?.peerNodeID == 1)
        #expect(found.peer?.percentDone == 5.4)
        #expect(found.peer?.outOfSync == .kibibytes(62000))
    }

    @Test("A text that is cut short is not taken for a status")
    func truncated() throws {
        let whole = try fixture("events2-8.4.11-synced-source")
        for length in stride(from: 0, to: whole.count - 1, by: 7) {
            #expect(throws: Failure.self) { try ReplicaStatus.parse(events2: String(whole.prefix(length))) }
        }
    }

    @Test(
        "A line that is not in DRBD's form is refused",
        arguments: [
            "hello", "exists resource role:Primary", "exists device name:nobody volume:0 minor:1 disk:UpToDate",
            "exists resource name:a role:Primary suspended", "change resource name:a role:Primary",
        ])
    func nonsense(line: String) {
        #expect(throws: Failure.self) { try ReplicaStatus.parse(events2: line + "\nexists -\n") }
    }

    @Test("A word that DRBD has added since is kept, and is none of the good ones")
    func unknownWords() throws {
        let text = try fixture("events2-8.4.11-synced-source")
            .replacing("disk:UpToDate size", with: "disk:Splendid size").replacing("Established", with: "Better")
        let found = try #require(try ReplicaStatus.parse(events2: text).first)
        #expect(found.volume?.disk == .other("Splendid"))
        #expect(found.peer?.replication == .other("Better"))
        #expect(found.volume?.disk.description == "Splendid")
    }

    @Test("Amounts that the kernel does not know are not numbers")
    func unknownAmounts() throws {
        let text = try fixture("events2-8.4.11-synced-source").replacing(
            "out-of-sync:0", with: "out-of-sync:9223372036854775807"
        )
        .replacing("size:65536", with: "size:-1")
        let found = try #require(try ReplicaStatus.parse(events2: text).first)
        #expect(found.peer?.outOfSync == nil)
        #expect(found.volume?.size == nil)
    }

    @Test("A status crosses the wire unchanged, unknown words included")
    func coding() throws {
        var original = try status("8.4.11-syncing-source")
        original.volumes[0].disk = .other("Splendid")
        let data = try JSONEncoder().encode(original)
        #expect(String(decoding: data, as: UTF8.self).contains("\"Splendid\""))
        #expect(try JSONDecoder().decode(ReplicaStatus.self, from: data) == original)
    }

    @Test("Every known word is read as itself")
    func words() {
        func check<Word: KernelWord>(_ words: [Word]) {
            for word in words { #expect(Word(word: word.word) == word) }
        }
        check(ReplicaRole.known)
        check(ConnectionState.known)
        check(DiskState.known)
        check(ReplicationState.known)
    }

    @Test("The progress of a resync and of a verification is read from /proc/drbd")
    func procDRBD() throws {
        let syncing = ResyncReport.parse(procDRBD: try fixture("proc-drbd-8.4.11-syncing"))
        #expect(syncing.map(\.minor) == [900])
        #expect(syncing.first?.operation == .resync)
        #expect(syncing.first?.left == .kibibytes(64288))
        #expect(syncing.first?.total == .kibibytes(65536))
        let verifying = ResyncReport.parse(procDRBD: try fixture("proc-drbd-8.4.11-verifying"))
        #expect(verifying.first?.operation == .verification)
        #expect(verifying.first?.left == .kibibytes(59320))
    }

    @Test("Large amounts in /proc/drbd are MiB, and a device at rest has no progress")
    func procDRBDLarge() {
        let text = """
            version: 8.4.11 (api:1/proto:86-101)
             0: cs:SyncSource ro:Primary/Secondary ds:UpToDate/Inconsistent C r-----
                ns:1 nr:0 dw:1 dr:1 al:1 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:f oos:1
            \t[>....................] sync'ed:  0.1% (102300/102400)M
            \tfinish: 1:00:46 speed: 29,212 (29,212) K/sec
             1: cs:Connected ro:Primary/Secondary ds:UpToDate/UpToDate C r-----
                ns:200812 nr:0 dw:244736 dr:39004 al:20 bm:0 lo:2 pe:0 ua:0 ap:1 ep:1 wo:f oos:0
            """
        let reports = ResyncReport.parse(procDRBD: text)
        #expect(reports.map(\.minor) == [0])
        #expect(reports.first?.left == .mebibytes(102300))
    }
}
