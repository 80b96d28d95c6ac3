import Foundation
import LabKit
import ScenarioKit

/// How fast a disk is below the guest, which stands still meanwhile: fio in dom0, behind the guest's file system.
extension LiveBench {
    private struct Transfer {
        var name: String
        var arguments: String
    }

    private static let transfers = [
        Transfer(name: "write32", arguments: "--rw=randwrite --iodepth=32"),
        Transfer(name: "read32", arguments: "--rw=randread --iodepth=32"),
        Transfer(name: "write1", arguments: "--rw=randwrite --iodepth=1"),
    ]

    /// The switch beside the LV below it, then switch and connected replica beside an LV of the same group.
    func transfers(rounds: Int) async throws {
        let device = "/dev/mapper/xenlvs-switch-\(name)"
        try await hosts.a.run("lvcreate -qq -y -Wn -L 64M -n bare-\(name) vg0")
        try await paused {
            for _ in 1...rounds {
                try await measure(["bare": "/dev/vg0/\(name)", "switch": device])
            }
        }
        let run = try await hosts.stop(
            "xenlvs migrate \(name) --to \(hosts.b.name) --method live", at: "verifyCopies:after", on: hosts.a)
        try await paused {
            for _ in 1...rounds {
                try await measure(["bare_beside": "/dev/vg0/bare-\(name)", "replica": device])
            }
        }
        try await run.letGo()
        try await run.signal("INT")
        let ended = try await run.wait(timeout: Hosts.limit)
        guard ended.exit == 130 || ended.exit == 2 else {
            throw ScenarioError("the migration was not taken back: \(ended)")
        }
        try await hosts.a.run("lvremove -qq -y vg0/bare-\(name)")
        try await goOn(for: 5)
    }

    private func paused(_ body: () async throws -> Void) async throws {
        try await hosts.a.run("xl pause \(name)")
        try await body()
        try await hosts.a.run("xl unpause \(name)")
    }

    private struct Fio: Decodable {
        struct Latency: Decodable { var mean: Double }
        struct Side: Decodable {
            var iops: Double
            var latency: Latency

            enum CodingKeys: String, CodingKey {
                case iops
                case latency = "clat_ns"
            }
        }
        struct Job: Decodable { var read: Side, write: Side }
        var jobs: [Job]
    }

    private func measure(_ devices: [String: String]) async throws {
        for transfer in Self.transfers {
            for (place, device) in devices.sorted(by: { $0.key < $1.key }) {
                let text = try await hosts.a.run(
                    "fio --name=bench --filename=\(device) --offset=32M --size=32M --bs=4k --ioengine=libaio --direct=1 "
                        + "--time_based --runtime=3 --output-format=json \(transfer.arguments)", timeout: .seconds(90)
                ).stdout
                let job = try JSONDecoder().decode(Fio.self, from: Data(text.utf8)).jobs[0]
                let side = transfer.name.hasPrefix("read") ? job.read : job.write
                note("\(place)_\(transfer.name)_iops", side.iops)
                note("\(place)_\(transfer.name)_us", side.latency.mean / 1000)
            }
        }
    }
}
