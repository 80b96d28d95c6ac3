import BlockServer
import DiskKit
import Glibc
import HostModel
import Testing

@testable import AoE

@Suite("A server's interfaces", .enabled(if: geteuid() == 0, "network namespaces need root"))
struct PortTests {
    private func limits(targets: Int, interfaces: Int, requests: Int) -> AoEServer.Limits {
        .init(
            targets: targets, interfaces: interfaces, requests: requests, waitingFrames: 128,
            rememberedWrites: ReplayWindow.perTarget)
    }

    // On a disk a request ends in a later round than the one that has begun it, in memory in the same.
    @Test("Who keeps one interface busy does not keep others waiting", arguments: ["/dev/shm", diskDirectory])
    func fairness(_ directory: String) throws {
        let host = try DaemonHost(interfaces: 2, starts: false)
        let file = try TestFile(sectors: 2048, in: directory)
        let limits = limits(targets: 1, interfaces: 2, requests: 2)
        let counters = try host.onTargetSide {
            var server = try AoEServer(limits, report: { _ in })
            let id = try server.add(file.path, queueDepth: 2, stateDirectory: host.root + "/state")
            for name in ["target0", "target1"] { try server.serve(id, on: name) }
            for tag in 1...64 as ClosedRange<UInt32> {
                host.initiators[0].send(.write(Int(tag) * 8, sectors(1), tag: tag))
            }
            host.initiators[1].send(.read(0, 1, tag: 100))
            usleep(100_000)
            for _ in 0..<5000 where server.exports[id.number].pointee.counters.reads == 0 {
                if !server.round() { usleep(200) }
            }
            return server.exports[id.number].pointee.counters
        }
        #expect(counters.reads == 1)
        // Those before the second interface had its turn.
        #expect((1...8).contains(counters.writes), "\(counters.writes)")
    }

    @Test("An interface goes once nothing is owed there, whatever other targets have under way")
    func unused() throws {
        let host = try DaemonHost(interfaces: 2, starts: false)
        let files = [try host.file(), try host.file()]
        let limits = limits(targets: 2, interfaces: 1, requests: 16)
        let seen = try host.onTargetSide {
            var server = try AoEServer(limits, report: { _ in })
            let state = host.root + "/state"
            let id = try server.add(files[0].path, slot: 0, stateDirectory: state)
            let other = try server.add(files[1].path, slot: 1, stateDirectory: state)
            _ = server.occupy(other)
            var seen: [[String]] = []
            try server.serve(id, on: "target0")
            server.withdraw(id, from: "target0")
            seen.append(server.portStatus.map(\.interface))
            try server.serve(id, on: "target0")
            let slot = server.occupy(id)
            server.withdraw(id, from: "target0")
            _ = server.round()
            seen.append(server.portStatus.map(\.interface))
            if let slot { server.exports[id.number].pointee.engine.release(slot) }
            _ = server.round()
            // There is room for one only.
            try server.serve(id, on: "target1")
            seen.append(server.portStatus.map(\.interface))
            return seen
        }
        #expect(seen == [[], ["target0"], ["target1"]])
    }

    @Test(
        "One that was down and is up again when it is looked at is silent, also where what was sent has met the error",
        arguments: [false, true])
    func unseenDown(sends: Bool) throws {
        let host = try DaemonHost(starts: false)
        let file = try host.file()
        let limits = limits(targets: 1, interfaces: 1, requests: 16)
        let (seen, announced, later) = try host.onTargetSide {
            var server = try AoEServer(limits, report: { _ in })
            let id = try server.add(file.path, stateDirectory: host.root + "/state")
            try server.serve(id, on: "target0")
            var seen = server.portStatus
            for state in ["down", "up"] { try host.ip("link", "set", "target0", state) }
            if sends {
                server.advertise(id.number, on: 0)
                server.transmit(0)
            }
            server.interfacesChanged()
            seen += server.portStatus
            server.advertise(id.number, on: 0)
            let announced = server.ports[0].pointee.queue.count
            // It has been down once more since others were asked.
            for state in ["down", "up"] { try host.ip("link", "set", "target0", state) }
            try server.speak(on: "target0", after: seen[1].silence ?? 0)
            seen += server.portStatus
            try server.speak(on: "target0", after: seen[2].silence ?? 0)
            return (seen, announced, server.portStatus)
        }
        #expect(seen.map(\.isUp) == [true, true, true])
        #expect(seen[0].silence == nil && seen[1].silence != nil && seen[2].silence != nil)
        #expect(seen[1].silence != seen[2].silence)
        #expect(announced == 0, "a silent one announces nothing")
        #expect(later.map(\.silence) == [nil])
    }

    @Test("That the kernel cannot say how an interface is changes nothing; that there is none does")
    func failedLook() throws {
        let host = try DaemonHost(starts: false)
        let (failed, gone) = try host.onTargetSide {
            var port = try Port(on: "target0", shard: .whole, frames: 16, answers: 16)
            let first = port.refresh(.failure(Failure(.failed, "no room")))
            let failed = (first.isFailure, port.status)
            let second = port.refresh(.failure(Failure(.notFound, "none")))
            return (failed, (second.isFailure, port.status))
        }
        #expect(failed.0 && failed.1.isPresent && failed.1.silence == nil)
        #expect(!gone.0 && !gone.1.isPresent && gone.1.silence != nil)
    }
}

extension Port.Change {
    fileprivate var isFailure: Bool { if case .failed = self { true } else { false } }
}
