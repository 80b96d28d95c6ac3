import LabKit
import ScenarioKit

extension LabNode {
    /// The log of a guest's console while it arrives live, under another name, and after that.
    private func arrivalLog(_ guest: LabGuest) -> String {
        guest.consolePath.replacing("\(guest.name).log", with: "\(guest.name)--incoming.log")
    }

    /// Before a guest arrives: an earlier journey's log, or that of an attempt, is not this one's.
    func expectArrival(of guest: LabGuest) async throws { try await run("rm -f \(arrivalLog(guest))") }

    /// After it has arrived: the process puts what it prints there into the log of its own name. It runs until it is
    /// told to end.
    func followArrival(of guest: LabGuest) async throws -> LabProcess {
        try await start("exec tail -c +1 -f \(arrivalLog(guest)) >>\(guest.consolePath)")
    }

    /// Waits until a guest's memory arrives here.
    func waitForArrival() async throws {
        try await run(
            "for i in $(seq 600); do xl list | grep -q -- --incoming && exit; sleep 0.1; done; exit 1",
            timeout: .seconds(120))
    }
}
