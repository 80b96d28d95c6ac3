import Foundation
import HostModel
import Hosts
import Storage
import Synchronization
import Testing

@testable import ISCSI
@testable import ISCSIHost

@Suite("A change of one export beside one that cannot be served")
final class ExporterTests {
    /// What is wrong with an export that was well when it was made.
    enum Trouble: String, CaseIterable, CustomTestStringConvertible {
        case noFile, noDevice, noAddress, refused

        var testDescription: String { rawValue }
    }

    private let root =
        FileManager.default.temporaryDirectory.path + "/xenlvs-exporter-\(UInt64.random(in: 0...UInt64.max))"
    private let backend = FakeBackend()
    private var store: ISCSIStore { ISCSIStore(path: root + "/state/iscsi.json") }

    init() throws {
        try FileManager.default.createDirectory(atPath: root + "/state", withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: root) }

    /// - Parameters:
    ///   - gone: the volume whose device is not there any more.
    ///   - refused: the one that somebody uses by now.
    private func exporter(gone: String? = nil, refused: String? = nil) -> ISCSIExporter {
        ISCSIExporter(
            paths: Paths(state: root + "/state", run: root + "/run"), backend: backend, runner: NoPrograms(),
            questions: ISCSIExporter.Questions(
                devicePath: { "/dev/xenlvs/\($0)" },
                scrutiny: { export, _ in
                    if export.volume.text == refused { throw Failure(.busy, "a domain uses it") }
                }),
            examine: { path, export in
                if export.volume.text == gone { throw Failure(.notFound, "there is no \(path)") }
                return ExportedDevice(
                    path: path, number: BlockDeviceNumber(major: 253, minor: 0),
                    identity: DeviceIdentity(groupUUID: "group", volumeUUID: export.volume.text))
            })
    }

    private func name(_ volume: String) -> ISCSIName { ISCSIName(unchecked: "iqn.2026-11.invalid.xenlvs.a:\(volume)") }

    private func export(_ volume: String, chapFile: String? = nil) throws -> ISCSIExport {
        ISCSIExport(
            volume: VolumeName(unchecked: volume), target: name(volume), portals: [try Portal("127.0.0.1")],
            initiators: [AllowedInitiator(ISCSIName(unchecked: "iqn.1993-08.org.debian:01:b"))], chapFile: chapFile)
    }

    private func add(
        _ exports: [ISCSIExport], by exporter: ISCSIExporter, strictly: Bool = false
    ) async throws -> ISCSIExporter.Outcome {
        var manner = ISCSIExporter.Manner()
        manner.leavesOthers = !strictly
        return try await exporter.apply(manner) { $0.exports += exports }
    }

    private func remove(_ volume: String, by exporter: ISCSIExporter) async throws -> ISCSIExporter.Outcome {
        var manner = ISCSIExporter.Manner()
        manner.leavesOthers = true
        return try await exporter.apply(manner) { $0.exports.removeAll { $0.volume.text == volume } }
    }

    /// Two that are served, of which the first cannot be served any more.
    private func prepared(_ trouble: Trouble) async throws -> ISCSIExporter {
        let file = root + "/web1.chap"
        try Data("user = web1\nsecret = twelve-bytes-long\n".utf8).write(to: URL(fileURLWithPath: file))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file)
        let (first, second) = (try export("web1", chapFile: file), try export("web2"))
        #expect(try await add([first, second], by: exporter()).failures.isEmpty)
        switch trouble {
        case .noFile: try FileManager.default.removeItem(atPath: file)
        case .noDevice: return exporter(gone: "web1")
        case .noAddress:
            var record = try store.load()
            record.state.exports[0].portals = [try Portal("192.0.2.77")]
            try store.save(record)
        case .refused: return exporter(refused: "web1")
        }
        return exporter()
    }

    @Test("It is left as it is and told, in the kernel and in the record", arguments: Trouble.allCases)
    func left(trouble: Trouble) async throws {
        let exporter = try await prepared(trouble)
        let before = try store.load()
        let ended = try await remove("web2", by: exporter)
        #expect(ended.failures.count == 1 && ended.failures[0].what.contains("'web1'"), "\(ended.failures)")
        #expect(ended.failures[0].causes.count == 1)
        #expect(backend.targets == [name("web1").text])
        let after = try store.load()
        #expect(after.state.exports == [before.state.exports[0]] && after.ledger == before.ledger)
        #expect(after.owned.items.map(\.volume.text) == ["web1"])

        let made = try await add([try export("web3")], by: exporter)
        #expect(made.failures.count == 1 && made.orders.count == 1)
        #expect(backend.targets == [name("web1").text, name("web3").text])
        #expect(try store.load().ledger.entries.count == 3)

        // It itself can be ended, and nothing is told then.
        #expect(try await remove("web1", by: exporter).failures.isEmpty)
        #expect(backend.targets == [name("web3").text])
        #expect(try store.load().owned.items.map(\.volume.text) == ["web3"])
    }

    @Test("What the change touches has to be right, and of a whole file everything", arguments: Trouble.allCases)
    func strict(trouble: Trouble) async throws {
        let exporter = try await prepared(trouble)
        let before = try store.load()
        let another = try export("web3")
        #expect(await failure { _ = try await add([another], by: exporter, strictly: true) } != nil)
        var manner = ISCSIExporter.Manner()
        manner.leavesOthers = true
        #expect(await failure { _ = try await exporter.apply(manner) { $0.exports[0].isThin = true } } != nil)
        #expect(try store.load() == before)
        #expect(backend.targets == [name("web1").text, name("web2").text])
    }

    @Test("What cannot be served at boot keeps what belongs to it, and nothing else")
    func boot() async throws {
        let exporter = try await prepared(.noDevice)
        var record = try store.load()
        // Changes that were cut off: another target of the volume, another volume on its target, and something else.
        for (target, volume) in [("former", "web1"), ("web1", "other"), ("gone", "gone")] {
            record.owned.items.insert(
                LIOOwnership.Item(target: name(target), volume: VolumeName(unchecked: volume)))
        }
        try store.save(record)
        backend.put([name("former").text, name("gone").text])
        var manner = ISCSIExporter.Manner()
        manner.isTolerant = true
        #expect(try await exporter.apply(manner).failures.count == 1)
        #expect(backend.targets == ["former", "web1", "web2"].map { name($0).text })
        #expect(try store.load().owned.items.count == 4)
    }
}

private func failure(_ body: () async throws -> Void) async -> Failure? {
    do { try await body() } catch { return Failure(error, doing: "test") }
    return nil
}

private struct NoPrograms: CommandRunner {
    func run(_ command: Command) async throws -> CommandResult { throw Failure(.failed, "there is no program here") }
}

/// What serves targets, and knows no more of them than their names.
private final class FakeBackend: TargetBackend {
    private let served = Mutex<Set<String>>([])

    var targets: [String] { served.withLock { $0.sorted() } }
    func put(_ names: [String]) { served.withLock { $0.formUnion(names) } }

    func prepare(_ runner: any CommandRunner) async throws {}
    func checkIsFree() async throws {}
    func look() async throws -> any TargetView { FakeView(targets: Set(targets)) }

    func perform(_ orders: [TargetOrder], limit: Duration) async throws {
        for case .kernel(let write) in orders {
            served.withLock { served in
                if case .makeDirectory(let name) = write {
                    _ = served.insert(name)
                } else {
                    _ = served.remove(write.path)
                }
            }
        }
    }
}

private struct FakeView: TargetView {
    var targets: Set<String>

    func served(
        _ exports: [ISCSIExport], at path: (VolumeName) -> String, _ owned: LIOOwnership
    ) -> Set<VolumeName> { [] }

    func difference(to wanted: ResolvedState, _ owned: LIOOwnership) throws -> TargetDifference {
        let names = Set(wanted.exports.map(\.export.target.text))
        var difference = TargetDifference()
        for name in targets.subtracting(names).sorted() where owned.owns(target: name) {
            difference.changes.append(
                .init(subject: name, orders: [.kernel(.removeDirectory(name))], endedSessions: []))
        }
        for name in names.subtracting(targets).sorted() {
            difference.changes.append(.init(subject: name, orders: [.kernel(.makeDirectory(name))], endedSessions: []))
        }
        return difference
    }

    func sessions(of target: ISCSIName) -> [TargetSession]? { targets.contains(target.text) ? [] : nil }
    func alone(with target: ISCSIName, _ owned: LIOOwnership) -> any TargetView { self }
    func foreign(_ owned: LIOOwnership) -> [ForeignTarget] { [] }
    func foreignBackstores(_ owned: LIOOwnership) -> [ForeignBackstore] { [] }
}
