import Foundation
import Glibc

/// Measures xenlvs's AoE target beside Debian's vblade: a veth pair between two network namespaces with an MTU of 9000,
/// the target on processor 0, the load generator on processor 1, the targets in turn so that the machine's moods meet
/// both. Prints medians; the last line is JSON.
///
/// `XENLVS_BINARY` names the binary; it must be run as root. `bench-aoe [ROUNDS [SECONDS]]`.
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
        let rounds = words.count > 1 ? Int(words[1]) ?? 3 : 3
        let seconds = words.count > 2 ? Double(words[2]) ?? 1 : 1
        guard geteuid() == 0, let binary = ProcessInfo.processInfo.environment["XENLVS_BINARY"] else {
            FileHandle.standardError.write(Data("run 'make bench-aoe' as root\n".utf8))
            exit(64)
        }
        let wire = try BenchWire(binary: binary)
        var results: [Result] = []
        for workload in Workload.all {
            var samples: [Target: [Sample]] = [:]
            for _ in 0..<rounds {
                for target in Target.allCases {
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

enum Target: String, CaseIterable { case xenlvs, vblade }

/// What is asked of a target, and how both are set up for it.
struct Workload {
    enum Place { case memory, disk }
    var name: String
    var place: Place
    var writes: Bool
    var sectors: Int
    var depth: Int
    var isSequential = false
    var xenlvs: [String]
    var vblade: [String] = []

    static let all: [Workload] = [
        Workload(
            name: "ram-read-4k-64", place: .memory, writes: false, sectors: 8, depth: 64, xenlvs: ["--writeback"]),
        Workload(
            name: "ram-write-4k-64", place: .memory, writes: true, sectors: 8, depth: 64, xenlvs: ["--writeback"]),
        Workload(
            name: "ram-read-8k-64", place: .memory, writes: false, sectors: 16, depth: 64, xenlvs: ["--writeback"]),
        Workload(
            name: "ram-write-8k-64", place: .memory, writes: true, sectors: 16, depth: 64, xenlvs: ["--writeback"]),
        Workload(
            name: "ram-read-8k-64-sequential", place: .memory, writes: false, sectors: 16, depth: 64,
            isSequential: true, xenlvs: ["--writeback"]),
        Workload(
            name: "ram-read-4k-1", place: .memory, writes: false, sectors: 8, depth: 1, xenlvs: ["--writeback"]),
        Workload(
            name: "ram-write-4k-1", place: .memory, writes: true, sectors: 8, depth: 1, xenlvs: ["--writeback"]),
        Workload(
            name: "disk-direct-read-4k-64", place: .disk, writes: false, sectors: 8, depth: 64,
            xenlvs: ["--writeback", "--direct"], vblade: ["-d"]),
        Workload(
            name: "disk-direct-write-4k-64", place: .disk, writes: true, sectors: 8, depth: 64,
            xenlvs: ["--writeback", "--direct"], vblade: ["-d"]),
        // vblade's way to what 'durable' means: each write waits for the disk.
        Workload(
            name: "disk-durable-write-4k-64", place: .disk, writes: true, sectors: 8, depth: 64,
            xenlvs: ["--durable", "--direct"], vblade: ["-d", "-s"]),
    ]
}

/// The medians of one workload.
struct Result: Encodable {
    let workload: Workload
    let medians: [Target: Sample]

    init(workload: Workload, samples: [Target: [Sample]]) {
        self.workload = workload
        medians = samples.mapValues(Sample.median)
    }

    private func ratio(_ value: (Sample) -> Double) -> Double {
        guard let ours = medians[.xenlvs], let theirs = medians[.vblade], value(theirs) > 0 else { return 0 }
        return (value(ours) / value(theirs) * 100).rounded() / 100
    }

    var line: String {
        let parts = Target.allCases.compactMap { target in
            medians[target].map {
                "\(target.rawValue) \(Int($0.iops)) IOPS p50 \(Int($0.p50Microseconds)) p99 \(Int($0.p99Microseconds)) µs, "
                    + "CPU \(($0.cpuMicroseconds * 100).rounded() / 100) µs"
            }
        }
        return
            "\(workload.name): \(parts.joined(separator: " · ")) · ×\(ratio(\.iops)), CPU ×\(ratio(\.cpuMicroseconds))"
    }

    private enum CodingKeys: String, CodingKey { case xenlvs, vblade, iopsRatio, p50Ratio, p99Ratio, cpuRatio }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(medians[.xenlvs], forKey: .xenlvs)
        try container.encode(medians[.vblade], forKey: .vblade)
        try container.encode(ratio(\.iops), forKey: .iopsRatio)
        try container.encode(ratio(\.p50Microseconds), forKey: .p50Ratio)
        try container.encode(ratio(\.p99Microseconds), forKey: .p99Ratio)
        try container.encode(ratio(\.cpuMicroseconds), forKey: .cpuRatio)
    }
}

/// One run of a workload.
struct Sample: Encodable {
    var iops: Double
    var p50Microseconds: Double
    var p99Microseconds: Double
    /// The target's processor time for a request, softirqs that it ran included.
    var cpuMicroseconds: Double
    var retransmissions: Int
    var errors: Int

    static func median(_ samples: [Sample]) -> Sample {
        func middle(_ value: (Sample) -> Double) -> Double { samples.map(value).sorted()[samples.count / 2] }
        return Sample(
            iops: middle(\.iops).rounded(), p50Microseconds: middle(\.p50Microseconds),
            p99Microseconds: middle(\.p99Microseconds), cpuMicroseconds: middle(\.cpuMicroseconds),
            retransmissions: samples.map(\.retransmissions).reduce(0, +), errors: samples.map(\.errors).reduce(0, +))
    }
}
