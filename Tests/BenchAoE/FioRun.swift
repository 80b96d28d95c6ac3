import Foundation

/// What fio gets from the disk's file at the same depth, on the target's processor: no wire, no protocol.
struct FioRun {
    private let words: [String]

    init(_ workload: Workload, _ engine: String, file: String, seconds: Double) {
        words =
            [
                "taskset", "--cpu-list", "0", "fio", "--name=limit", "--filename=\(file)", "--ioengine=\(engine)",
                "--direct=1",
                "--bs=\(workload.sectors * 512)", "--iodepth=\(workload.depth)",
                "--iodepth_batch_complete_max=\(workload.depth)", "--size=\(BenchWire.sectors * 512)",
                "--time_based", "--ramp_time=200ms", "--runtime=\(Int(seconds * 1000))ms", "--output-format=json",
            ] + workload.fio
    }

    private struct Report: Decodable {
        struct Direction: Decodable {
            struct Latencies: Decodable {
                var percentile: [String: Double]?
            }
            private enum CodingKeys: String, CodingKey {
                case iops
                case bytesPerSecond = "bw_bytes"
                case requests = "total_ios"
                case latencies = "clat_ns"
            }
            var iops: Double
            var bytesPerSecond: Double
            var requests: Double
            var latencies: Latencies

            func microseconds(_ percentile: String) -> Double { (latencies.percentile?[percentile] ?? 0) / 1000 }
        }
        struct Job: Decodable {
            private enum CodingKeys: String, CodingKey {
                case read, write
                case userPercent = "usr_cpu"
                case systemPercent = "sys_cpu"
            }
            var read: Direction
            var write: Direction
            /// Percent of one processor.
            var userPercent: Double
            var systemPercent: Double
        }
        var jobs: [Job]
    }

    func sample() throws -> Sample {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = words
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let text = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0, let job = try JSONDecoder().decode(Report.self, from: text).jobs.first
        else { throw BenchFailure("failed: \(words)") }
        let side = job.read.requests > 0 ? job.read : job.write
        return Sample(
            iops: side.iops, megabytesPerSecond: side.bytesPerSecond / 1e6,
            p50Microseconds: side.microseconds("50.000000"),
            p99Microseconds: side.microseconds("99.000000"),
            cpuMicroseconds: side.iops > 0 ? (job.userPercent + job.systemPercent) * 1e4 / side.iops : 0)
    }
}
