import Foundation
import LabKit
import ScenarioKit

extension LiveBench {
    private struct SwapRow: Decodable { var stallMilliseconds: Double? }
    private struct Plan: Decodable {
        struct Freeze: Decodable { var number: Int, milliseconds: Double }
        var freezes: [Freeze]
    }

    /// A swap to a replica and back by xenlvs, and by three calls of dmsetup.
    func swaps(_ prefix: String = "") async throws {
        try await calm()
        for place in ["replica", "volume"] {
            try await window(prefix + "swap") {
                let text = try await hosts.a.run(
                    "xenlvs swap \(name) --to \(place) --format json", timeout: .seconds(120)
                ).stdout
                let rows = try JSONDecoder().decode([SwapRow].self, from: Data(text.utf8))
                for row in rows { note(prefix + "exchange_ms", row.stallMilliseconds ?? 0) }
            }
        }
        for way in ["there", "back"] {
            try await window(prefix + "dmsetup") {
                let words = try await hosts.a.run("/tmp/dmsetup.sh \(name) \(way)", timeout: .seconds(120)).text
                guard let stood = words.split(separator: " ").last.flatMap({ Double($0) }) else {
                    throw ScenarioError("dmsetup.sh prints no time: \(words)")
                }
                note(prefix + "dmsetup_stood_ms", stood)
            }
        }
    }

    /// All that is done to a guest whose disk is copied.
    func migrations(_ round: Int) async throws {
        try await swaps()
        try await thereAndBack("three-freeze", "three_freeze")
        try await prepare()
        try await thereAndBack("live", "live")
    }

    /// A PV guest, which cannot be handed over live.
    func bothMethods() async throws {
        try await calm()
        try await thereAndBack("three-freeze", "three_freeze_pv")
        try await prepare()
        try await thereAndBack("one-freeze", "one_freeze_pv")
    }

    /// A migration by three freezes leaves no switch.
    private func prepare() async throws {
        try await hosts.a.run("xenlvs domain prepare \(name) --now", timeout: .seconds(180))
        try await goOn(for: 5)
    }

    /// What the dry run predicts is held against what is then measured.
    private func thereAndBack(_ method: String, _ figure: String) async throws {
        for source in [hosts.a, hosts.b] {
            let target = hosts.peer(of: source)
            let text = try await source.run(
                "xenlvs migrate \(name) --to \(target.name) --method \(method) --dry-run --format json",
                timeout: .seconds(120)
            ).stdout
            let plan = try JSONDecoder().decode(Plan.self, from: Data(text.utf8))
            try await window(figure, endsOn: target) {
                let moved = try await hosts.migrate(name, from: source, "--method", method)
                for freeze in moved.report.freezes {
                    let measured = Double(freeze.milliseconds)
                    note("\(figure)_measured\(freeze.number)_ms", measured)
                    if let predicted = plan.freezes.first(where: { $0.number == freeze.number })?.milliseconds {
                        note("\(figure)_predicted\(freeze.number)_ms", predicted)
                        note("prediction_error", abs(predicted - measured) / measured)
                    }
                }
            }
        }
    }

    // MARK: A shared disk

    func share() async throws {
        try await hosts.b.run("modprobe iscsi_tcp; pgrep -x iscsid >/dev/null || iscsid")
        try await hosts.a.run(
            "xenlvs share \(name) --via iscsi --hosts nodea,nodeb --portal 10.78.0.1", timeout: .seconds(180))
    }

    func unshare() async throws { try await hosts.a.run("xenlvs unshare \(name)", timeout: .seconds(180)) }

    /// A bare `xl migrate` there and back, and xenlvs's.
    func sharedMoves() async throws {
        try await calm()
        for source in hosts.all {
            let target = hosts.peer(of: source)
            try await window("bare", endsOn: target) {
                try await source.run("xl migrate \(name) \(target.name)", timeout: .seconds(180))
            }
        }
        for source in hosts.all {
            try await window("live_shared", endsOn: hosts.peer(of: source)) {
                let moved = try await hosts.migrate(name, from: source, "--method", "live")
                for freeze in moved.report.freezes { note("live_shared_measured_ms", Double(freeze.milliseconds)) }
            }
        }
    }
}
