import ArgumentParser
import LabKit
import ScenarioKit

struct SoakRun: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "soak", abstract: "Migrate there and back, abort and resume, with random faults, for a while.",
        discussion:
            "Ends with the first problem and the fewest cases that show it. Exit codes: 0 none; 1 there was one.")

    @Option(help: "For how long.") var minutes = 60
    @Option(help: "The seed of all choices.") var seed: UInt64 = 1
    @Option(help: "How many seconds a program hangs before it goes on.") var hang = 60

    func run() async throws {
        print("for \(minutes) minutes, seed \(seed)")
        let soak = Soak(hang: .seconds(hang), log: { print($0) })
        let outcome = try await soak.run(for: .seconds(minutes * 60), seed: seed)
        for result in outcome.results {
            for problem in result.problems { print("\(result.fault): \(problem)") }
        }
        print(FaultSummary(outcome.results).json)
        guard outcome.reproduction.isEmpty else {
            print("repeat it: make fault-matrix ONLY=\(outcome.reproduction.map(\.description).joined(separator: ","))")
            throw ExitCode(1)
        }
    }
}
