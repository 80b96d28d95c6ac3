import Foundation
import Glibc

/// Measures xenlvs's AoE target beside Debian's vblade and beside what the machine allows: a veth pair between two network
/// namespaces with an MTU of 9000, the target on processor 0, the load generator on processor 1, the targets in turn so
/// that the machine's moods meet all. Prints medians; the last line is JSON.
///
/// `XENLVS_BINARY` names the binary, beside which its daemon is; it must be run as root.
/// `bench-aoe [ROUNDS [SECONDS [WORKLOAD]]]`.
@main
enum BenchAoE {
    static func main() {
        do { try run() } catch {
            FileHandle.standardError.write(Data("bench-aoe: \(error)\n".utf8))
            exit(1)
        }
    }

    private static func run() throws {
        let words = CommandLine.arguments
        if words.count == 3, words[1] == "reflect" { try Reflector(interface: words[2]).run() }
        let rounds = words.count > 1 ? Int(words[1]) ?? 3 : 3
        let seconds = words.count > 2 ? Double(words[2]) ?? 1 : 1
        guard geteuid() == 0, let binary = ProcessInfo.processInfo.environment["XENLVS_BINARY"] else {
            FileHandle.standardError.write(Data("run 'make bench-aoe' as root\n".utf8))
            exit(64)
        }
        let wire = try BenchWire(binary: binary)
        var results: [Result] = []
        let chosen = Workload.all.filter { words.count < 4 || $0.name == words[3] }
        for workload in chosen {
            var samples: [Target: [Sample]] = [:]
            for _ in 0..<rounds {
                for target in workload.targets {
                    samples[target, default: []].append(try wire.measure(workload, target, seconds: seconds))
                }
            }
            let result = Result(workload: workload, samples: samples)
            print(result.line)
            results.append(result)
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        print(
            String(
                decoding: try encoder.encode(Dictionary(uniqueKeysWithValues: results.map { ($0.workload.name, $0) })),
                as: UTF8.self))
    }
}
