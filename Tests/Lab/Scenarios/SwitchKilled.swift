import LabKit
import ScenarioKit
import Testing

extension Scenarios {
    @Suite("A swap that is cut off")
    struct SwitchKilled {
        private static let there = [
            "swapRecord:after", "swapMetadata:before", "swapMetadata:after", "swapAttach:after", "swapPromote:after",
            "swapExchange:before", "swapExchange:after",
        ]
        private static let back = [
            "swapRecord:before", "swapRecord:after", "swapExchange:before", "swapExchange:after", "swapTakeDown:before",
            "swapTakeDown:after", "swapRelease:after",
        ]

        @Test(
            "A swap that is killed at any place is finished, or taken back, by the next one", .onlyInTheFullRun,
            .timeLimit(.minutes(20)))
        func killed() async throws {
            try await scenario { hosts in
                let a = hosts.a
                var journey = try await hosts.start(LabGuest("web1"), hasSwitch: true, on: a)
                for place in Self.there {
                    try await hosts.crash("xenlvs swap web1 --to replica", at: place, on: a)
                    try await journey.goesOn(for: 2)
                    try await a.run("xenlvs swap web1 --to volume", timeout: .seconds(120))
                    try await hosts.verifySwitched(&journey, ends: false)
                }
                // All of it once, each run killed one place later.
                for place in Self.there {
                    try await hosts.crash("xenlvs swap web1 --to replica", at: place, on: a)
                    try await journey.goesOn(for: 2)
                }
                try await a.run("xenlvs swap web1 --to replica", timeout: .seconds(120))
                for place in Self.back {
                    try await hosts.crash("xenlvs swap web1 --to volume", at: place, on: a)
                    try await journey.goesOn(for: 2)
                }
                try await a.run("xenlvs swap web1 --to volume", timeout: .seconds(120))
                try await hosts.verifySwitched(&journey)
            }
        }

        @Test(
            "After a power cut the switch is there before the guest, on the volume, wherever it led", .onlyInTheFullRun,
            .timeLimit(.minutes(20)))
        func powerCut() async throws {
            try await scenario { hosts in
                let a = hosts.a
                var journey = try await hosts.start(LabGuest("web1"), hasSwitch: true, on: a)
                for place in ["", "swapPromote:after", "swapExchange:after", "whole"] {
                    if place == "whole" {
                        try await a.run("xenlvs swap web1 --to replica", timeout: .seconds(120))
                    } else if !place.isEmpty {
                        try await hosts.crash("xenlvs swap web1 --to replica", at: place, on: a)
                    }
                    try await journey.goesOn()
                    _ = try await journey.console()
                    try await a.powerOff()
                    try await hosts.switchOn()
                    #expect(try await a.run("readlink /dev/xenlvs/web1").text == "/dev/mapper/xenlvs-switch-web1")
                    try await journey.startedAgain(on: a, hosts)
                    try await hosts.verifySwitched(&journey, ends: false)
                }
                try await hosts.verifySwitched(&journey)
            }
        }

        @Test(
            "A three-freeze migration of a disk with a switch is taken back onto the switch", .onlyInTheFullRun,
            .timeLimit(.minutes(20)))
        func migrationTakenBack() async throws {
            try await scenario { hosts in
                var journey = try await hosts.start(LabGuest("web1"), hasSwitch: true, on: hosts.a)
                let migrate = "xenlvs migrate web1 --to nodeb --method three-freeze"
                for place in ["makeSourceReplica:after", "restoreOnReplica:after", "synchronise:after"] {
                    try await hosts.crash(migrate, at: place, on: hosts.a)
                    let swap = try await hosts.a.run("xenlvs swap web1 --to replica", check: false)
                    #expect([1, 5].contains(swap.exit), "\(swap.stderr)")
                    let id = try await hosts.identifier(of: "web1", on: hosts.a)
                    try await hosts.abort(id, on: hosts.a)
                    try await hosts.verifySwitched(&journey, ends: false)
                }
                try await hosts.verifySwitched(&journey)
            }
        }
    }
}
