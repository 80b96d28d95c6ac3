import HostModel
import Replication
import Testing

struct CommandTests {
    private let v84 = DRBDCommands(dialect: .v84)
    private let v9 = DRBDCommands(dialect: .v9)
    private let device = Sample.source
    private let connection = Sample.connection

    @Test("DRBD 8.4 is addressed by minor, and a connection by its addresses")
    func addressing84() throws {
        let permit = try PromotionPermit([Sample.pair("both-secondary-source", "both-secondary-target")])
        #expect(try v84.primary(device, permit).description == "drbdsetup primary 900")
        #expect(v84.secondary(device).description == "drbdsetup secondary 900")
        #expect(v84.newResource(device, connection).description == "drbdsetup new-resource xenlvs-rep-1")
        #expect(
            v84.disconnect(device, connection).description
                == "drbdsetup disconnect ipv4:192.0.2.1:7990 ipv4:192.0.2.2:7990")
        #expect(
            v84.tune(device, connection, ResyncTuning(bandwidth: .mebibytes(8))).description
                == "drbdsetup disk-options 900 --c-plan-ahead=0 --resync-rate=8192k --c-min-rate=0")
        #expect(
            v84.allowTwoPrimaries(device, connection, true).description
                == "drbdsetup net-options ipv4:192.0.2.1:7990 ipv4:192.0.2.2:7990 --allow-two-primaries=yes")
        #expect(v84.definePeer(device, connection, Sample.tuning).isEmpty)
        #expect(v84.forgetPeer(device, connection).isEmpty)
    }

    @Test("DRBD 9 is addressed by resource, node number and volume, and never promotes by itself")
    func addressing9() throws {
        let permit = try PromotionPermit([Sample.pair("both-secondary-source", "both-secondary-target")])
        #expect(try v9.primary(device, permit).description == "drbdsetup primary xenlvs-rep-1")
        #expect(v9.secondary(device).description == "drbdsetup secondary xenlvs-rep-1")
        #expect(
            v9.newResource(device, connection).description
                == "drbdsetup new-resource xenlvs-rep-1 0 --auto-promote=no --quorum=off")
        #expect(v9.disconnect(device, connection).description == "drbdsetup disconnect xenlvs-rep-1 1")
        #expect(
            v9.tune(device, connection, ResyncTuning(bandwidth: .mebibytes(8))).description
                == "drbdsetup peer-device-options xenlvs-rep-1 1 0 --c-plan-ahead=0 --resync-rate=8192k --c-min-rate=0")
        #expect(
            v9.allowTwoPrimaries(device, connection, false).description
                == "drbdsetup net-options xenlvs-rep-1 1 --allow-two-primaries=no")
        #expect(v9.dataGeneration(device, connection).description == "drbdsetup get-gi xenlvs-rep-1 1 0")
        #expect(
            v9.forgetPeer(device, connection).map(\.description)
                == ["drbdsetup del-peer xenlvs-rep-1 1", "drbdsetup forget-peer xenlvs-rep-1 1"])
    }

    @Test("Every attach gives the exact size", arguments: DRBDDialect.allCases)
    func attachSize(dialect: DRBDDialect) {
        #expect(DRBDCommands(dialect: dialect).attach(device, Sample.tuning).arguments.contains("--size=131072s"))
    }

    @Test("A verification always says where it starts: the last 256 KiB, or the very beginning")
    func verification() {
        let size = device.size
        #expect(v84.verify(device, connection, .tail(of: size)).description == "drbdsetup verify 900 --start=130560s")
        #expect(v84.verify(device, connection, .whole(of: size)).description == "drbdsetup verify 900 --start=0s")
        #expect(
            v9.verify(device, connection, .tail(of: size)).description
                == "drbdsetup verify xenlvs-rep-1 1 0 --start=130560s")
        #expect(VerifyRange.tail(of: .kibibytes(128)).start == ByteCount(0))
        #expect(VerifyRange.tail(of: .kibibytes(128)).length == .kibibytes(128))
    }

    @Test("Nothing is forced but what a proof speaks of", arguments: DRBDDialect.allCases)
    func force(dialect: DRBDDialect) throws {
        let commands = DRBDCommands(dialect: dialect)
        let permit = try PromotionPermit([Sample.pair("both-secondary-source", "both-secondary-target")])
        let unforced =
            [
                commands.createMetadata(device), commands.applyActivityLog(device),
                commands.newResource(device, connection), commands.newMinor(device),
                commands.attach(device, Sample.tuning), commands.connect(device, connection),
                commands.disconnect(device, connection), commands.secondary(device), commands.detach(device),
                commands.down(device), commands.deleteMinor(device), commands.deleteResource(device),
                try commands.primary(device, permit),
            ] + commands.definePeer(device, connection, Sample.tuning)
        for command in unforced { #expect(!command.arguments.contains("--force"), "\(command)") }
        let mark = OwnershipMark(value: 7)
        let owned = try OwnedMetadata(of: device, found: mark, expected: mark, generation: nil)
        #expect(commands.wipeMetadata(owned).arguments.first == "--force")
        #expect(commands.recreateMetadata(owned).arguments.first == "--force")
        let fresh = try FreshMetadata(
            of: device, generation: DataGeneration(MetadataTests.justCreated), status: status("8.4.11-fresh-source"))
        #expect(commands.primaryForcedOnce(fresh).arguments.last == "--force")
    }

    @Test("New metadata let requests of 1 MiB through before a peer was seen")
    func requestSize() {
        #expect(
            v84.createMetadata(device).description
                == "drbdmeta --peer-max-bio-size 1048576 900 v08 /dev/vg0/rep-1.drbdmd flex-external create-md")
        #expect(
            v9.createMetadata(device).description
                == "drbdmeta --peer-max-bio-size 1048576 900 v09 /dev/vg0/rep-1.drbdmd flex-external create-md 1")
    }

    @Test("The shared secret is in no description", arguments: DRBDDialect.allCases)
    func secrecy(dialect: DRBDDialect) {
        let commands = DRBDCommands(dialect: dialect)
        let all = [commands.connect(device, connection)] + commands.definePeer(device, connection, Sample.tuning)
        #expect(all.contains { $0.arguments.contains { $0.contains(Sample.secretText) } })
        for command in all { #expect(!command.description.contains(Sample.secretText)) }
        var dumped = ""
        dump(connection, to: &dumped)
        #expect(!dumped.contains(Sample.secretText))
        #expect(!"\(connection)\(String(reflecting: connection))".contains(Sample.secretText))
    }

    @Test("A secret longer than DRBD's 63 bytes, too short or with quotes is refused; a new one is legal and new")
    func secrets() throws {
        #expect(throws: Failure.self) { try SharedSecret(String(repeating: "a", count: 64)) }
        #expect(throws: Failure.self) { try SharedSecret("short") }
        #expect(throws: Failure.self) { try SharedSecret("0123456789abcdef\"") }
        _ = try SharedSecret(String(repeating: "a", count: 63))
        #expect(SharedSecret.random() != SharedSecret.random())
    }

    @Test("An address is numeric and has a port", arguments: ["nodea", "fe80::1%eth0", "192.0.2", "", "[::1]"])
    func addresses(text: String) throws {
        #expect(throws: Failure.self) { try ReplicaAddress(host: text, port: 7800) }
        #expect(throws: Failure.self) { try ReplicaAddress(host: "192.0.2.1", port: 0) }
        #expect(throws: Failure.self) { try ReplicaAddress(host: "192.0.2.1", port: 65536) }
    }

    @Test("A limit is divided among the replicas that share it and stays within what DRBD takes")
    func tuning() {
        #expect(ResyncTuning(bandwidth: nil).rate == .mebibytes(200))
        #expect(ResyncTuning.shared(bandwidth: .mebibytes(30), among: 3).rate == .mebibytes(10))
        #expect(ResyncTuning.shared(bandwidth: nil, among: 3).rate == .mebibytes(200))
        #expect(ResyncTuning(bandwidth: ByteCount(1)).rate == .kibibytes(1))
        #expect(ResyncTuning(bandwidth: .gibibytes(9)).rate == .gibibytes(4))
        #expect(ResyncTuning(bandwidth: ByteCount(1500)).rate == .kibibytes(1))
    }

    @Test("A resource belongs to a volume only where xenlvs named it")
    func resourceNames() {
        #expect(ReplicaDevice.volume(ofResource: "xenlvs-rep-1") == Sample.volume)
        #expect(ReplicaDevice.volume(ofResource: "r0") == nil)
        #expect(ReplicaDevice.volume(ofResource: "xenlvs-") == nil)
    }
}
