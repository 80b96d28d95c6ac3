/// The medians of one workload.
struct Result: Encodable {
    let workload: Workload
    let medians: [Target: Sample]

    init(workload: Workload, samples: [Target: [Sample]]) {
        self.workload = workload
        medians = samples.mapValues(Sample.median)
    }

    /// How much more of it the subject has than another target.
    private func ratio(to other: Target, _ value: (Sample) -> Double) -> Double {
        guard let ours = medians[workload.subject], let theirs = medians[other], value(theirs) > 0 else { return 0 }
        return (value(ours) / value(theirs)).rounded(toPlaces: 2)
    }

    private var others: [Target] { workload.targets.filter { $0 != workload.subject } }

    var line: String {
        let parts = workload.targets.compactMap { target in medians[target].map { "\(target.rawValue) \($0.text)" } }
        let ratios = others.map {
            "×\(ratio(to: $0, \.iops)) of \($0.rawValue)'s, CPU ×\(ratio(to: $0, \.cpuMicroseconds))"
        }
        return "\(workload.name): \((parts + ratios).joined(separator: " · "))"
    }

    private struct Ratios: Encodable {
        var iops: Double
        var p50: Double
        var p99: Double
        var cpu: Double
    }

    private struct Key: CodingKey {
        var stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        for (target, median) in medians { try container.encode(median, forKey: Key(stringValue: target.rawValue)) }
        for other in others {
            let ratios = Ratios(
                iops: ratio(to: other, \.iops), p50: ratio(to: other, \.p50Microseconds),
                p99: ratio(to: other, \.p99Microseconds), cpu: ratio(to: other, \.cpuMicroseconds))
            try container.encode(ratios, forKey: Key(stringValue: "to_\(other.rawValue)"))
        }
    }
}

/// One run of a workload.
struct Sample: Encodable {
    var iops: Double
    var megabytesPerSecond: Double
    var p50Microseconds: Double
    var p99Microseconds: Double
    /// The target's processor time for a request, softirqs that it ran included.
    var cpuMicroseconds: Double
    var retransmissions = 0
    var errors = 0
    /// What the target's process has in memory of its own at the end.
    var memoryMebibytes: Double?

    var text: String {
        "\(Int(iops)) IOPS \(Int(megabytesPerSecond)) MB/s p50 \(Int(p50Microseconds)) p99 \(Int(p99Microseconds)) µs CPU "
            + "\(cpuMicroseconds.rounded(toPlaces: 2)) µs" + (memoryMebibytes.map { " memory \(Int($0)) MiB" } ?? "")
    }

    static func median(_ samples: [Sample]) -> Sample {
        func middle(_ value: (Sample) -> Double) -> Double { samples.map(value).sorted()[samples.count / 2] }
        return Sample(
            iops: middle(\.iops).rounded(), megabytesPerSecond: middle(\.megabytesPerSecond).rounded(),
            p50Microseconds: middle(\.p50Microseconds), p99Microseconds: middle(\.p99Microseconds),
            cpuMicroseconds: middle(\.cpuMicroseconds).rounded(toPlaces: 3),
            retransmissions: samples.map(\.retransmissions).reduce(0, +), errors: samples.map(\.errors).reduce(0, +),
            memoryMebibytes: samples.compactMap(\.memoryMebibytes).max())
    }
}

extension Double {
    func rounded(toPlaces places: Int) -> Double {
        let scale = (0..<places).reduce(1.0) { value, _ in value * 10 }
        return (self * scale).rounded() / scale
    }
}
