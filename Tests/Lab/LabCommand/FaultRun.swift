import ArgumentParser
import Foundation
import LabKit
import ScenarioKit

struct FaultRun: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fault-matrix",
        abstract: "Break migrations on purpose, at every place, and see what becomes of the guest.",
        discussion: """
            The last line is JSON. Exit codes: 0 nothing was lost, wrong or left over; 1 something was, or a case of the \
            subset was not reached.
            """)

    @Option(help: "Only so many cases, chosen by the seed.") var cases: Int?
    @Option(help: "The seed of the choice.") var seed: UInt64 = 1
    @Option(help: "Only these cases, FAULT@TRACK/STEP:MOMENT, separated by commas.") var only: String?
    @Flag(help: "The subset that every test run has: each fault and each step once.") var subset = false
    @Flag(help: "Only print which cases would be run.") var list = false
    @Option(help: "Begin nothing new after so many minutes, and name what is left.") var minutes: Int?
    @Option(help: "How many seconds a program hangs before it goes on.") var hang = 150
    @Option(help: "Milliseconds from one look at which guests run to the next.") var look = 10
    @Option(help: "Write the table to this file.") var write: String?
    @Option(help: "Keep results in this file as they come. Cases that have theirs in it are not run again.")
    var results: String?

    func run() async throws {
        let end = minutes.map { ContinuousClock.now + .seconds(60 * $0) }
        let known = try readResults()
        let done = Set(known.map(\.fault))
        let chosen = try choice().filter { !done.contains($0) }
        let chains = subset ? FaultPlan.gathered(chosen) : FaultPlan.chains(chosen)
        print("\(chosen.count) cases, seed \(seed)")
        if list {
            for chain in chains { print("chain \(chain)") }
            return
        }
        let began = ContinuousClock.now
        let log: @Sendable (String) -> Void = { line in
            let seconds = Int(began.duration(to: .now) / .seconds(1))
            print(String(format: "%3d:%02d ", seconds / 60, seconds % 60) + line)
        }
        let matrix = FaultMatrix(hang: .seconds(hang), lookMilliseconds: look, log: log)
        let found = try await matrix.run(chains, until: end) { try keep(known + seeded($0)) }
        let results = known + seeded(found)
        if let write {
            try ReliabilityPage(results).text.write(toFile: write, atomically: true, encoding: .utf8)
        }
        for result in results where !result.problems.isEmpty {
            print("\(result.fault): \(result.outcome.rawValue)")
            for problem in result.problems { print("  \(problem)") }
        }
        let summary = FaultSummary(results)
        let missed = results.filter { $0.outcome == .notReached }.map(\.fault)
        for fault in missed { print("\(fault): not reached") }
        let met = Set(found.map(\.fault))
        for chain in chains {
            let isGivenUp = found.contains { chain.cases.contains($0.fault) && $0.isLastOfChain }
            let why = isGivenUp ? "its chain was given up" : "the time was over"
            for fault in chain.cases where !met.contains(fault) { print("\(fault): left out, \(why)") }
        }
        print(summary.json)
        if summary.lost + summary.wrong + summary.leftovers > 0 || subset && !missed.isEmpty { throw ExitCode(1) }
    }

    private func readResults() throws -> [FaultResult] {
        guard let results, FileManager.default.fileExists(atPath: results) else { return [] }
        return try JSONDecoder().decode([FaultResult].self, from: Data(contentsOf: URL(fileURLWithPath: results)))
    }

    private func seeded(_ results: [FaultResult]) -> [FaultResult] {
        guard only == nil else { return results }
        return results.map { result in
            var result = result
            result.seed = seed
            return result
        }
    }

    private func keep(_ found: [FaultResult]) throws {
        guard let results else { return }
        try JSONEncoder().encode(found).write(to: URL(fileURLWithPath: results), options: .atomic)
    }

    private func choice() throws -> [FaultCase] {
        if let only {
            return try only.split(separator: ",").map { text in
                guard let found = FaultCase(String(text)) else {
                    throw ValidationError("'\(text)' is no case; write FAULT@TRACK/STEP:MOMENT")
                }
                return found
            }
        }
        if subset { return FaultPlan.subset(seed: seed) }
        return cases.map { FaultPlan.chosen($0, seed: seed) } ?? FaultPlan.everything
    }
}
