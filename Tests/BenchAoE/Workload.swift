/// Who answers, or what does the same without a wire.
enum Target: String, CaseIterable, Codable {
    /// `xenlvs aoe serve`.
    case xenlvs
    case vblade
    /// Answers every frame without a disk: the limit of the wire and of this machine.
    case reflector
    /// The same requests at the same file by fio, without a wire: the limit of the disk.
    case fio
    /// The same by io_uring.
    case fioRing = "fio-io_uring"
    /// xenlvsd with one export, and with a thousand.
    case oneExport, thousandExports
    /// xenlvsd with exports for more than one thread: on a processor of its own, where it has one thread, and on that and the
    /// generator's.
    case oneThread, twoThreads

    /// How many exports the requests are spread over.
    var exports: Int {
        switch self {
        case .thousandExports: BenchWire.manyExports
        case .oneThread, .twoThreads: 64
        case .xenlvs, .vblade, .reflector, .fio, .fioRing, .oneExport: 1
        }
    }

    /// As `taskset` takes them.
    var processors: String { self == .twoThreads ? "0,1" : "0" }
    /// From how many threads the daemon serves.
    var threads: Int { self == .twoThreads ? 2 : 1 }
}

/// What is asked of a target, and how it is set up for it.
struct Workload {
    enum Place { case memory, disk }
    var name: String
    var place: Place
    var targets: [Target]
    var writes = false
    var sectors = 8
    var depth = 64
    var isSequential = false
    var xenlvs = ["--writeback"]
    var vblade: [String] = []
    var fio: [String] = []

    /// What each target's rates are compared with: the first target's is the dividend.
    var subject: Target { targets[0] }

    static let all: [Workload] =
        inMemory + onDisk + [
            Workload(name: "ram-read-4k-64-exports", place: .memory, targets: [.thousandExports, .oneExport]),
            Workload(name: "ram-read-4k-64-threads", place: .memory, targets: [.twoThreads, .oneThread]),
            Workload(
                name: "ram-write-4k-64-threads", place: .memory, targets: [.twoThreads, .oneThread], writes: true),
        ]

    private static let inMemory: [Workload] = {
        let targets: [Target] = [.xenlvs, .vblade, .reflector]
        return [
            Workload(name: "ram-read-4k-64", place: .memory, targets: targets),
            Workload(name: "ram-write-4k-64", place: .memory, targets: targets, writes: true),
            Workload(name: "ram-read-8k-64", place: .memory, targets: targets, sectors: 16),
            Workload(name: "ram-write-8k-64", place: .memory, targets: targets, writes: true, sectors: 16),
            Workload(
                name: "ram-read-8k-64-sequential", place: .memory, targets: targets, sectors: 16, isSequential: true),
            Workload(
                name: "ram-write-8k-64-sequential", place: .memory, targets: targets, writes: true, sectors: 16,
                isSequential: true),
            Workload(name: "ram-read-4k-1", place: .memory, targets: targets, depth: 1),
            Workload(name: "ram-write-4k-1", place: .memory, targets: targets, writes: true, depth: 1),
            Workload(name: "ram-read-8k-1", place: .memory, targets: targets, sectors: 16, depth: 1),
            Workload(name: "ram-write-8k-1", place: .memory, targets: targets, writes: true, sectors: 16, depth: 1),
        ]
    }()

    private static let onDisk: [Workload] = {
        let targets: [Target] = [.xenlvs, .vblade, .fio, .fioRing]
        let direct = ["--writeback", "--direct"]
        return [
            Workload(
                name: "disk-direct-read-4k-64", place: .disk, targets: targets, xenlvs: direct, vblade: ["-d"],
                fio: ["--rw=randread"]),
            Workload(
                name: "disk-direct-write-4k-64", place: .disk, targets: targets, writes: true, xenlvs: direct,
                vblade: ["-d"], fio: ["--rw=randwrite"]),
            // vblade's way to what 'durable' means is that each write waits for the disk; fio's is the group commit, one
            // fdatasync for as many writes as may wait.
            Workload(
                name: "disk-durable-write-4k-64", place: .disk, targets: targets, writes: true,
                xenlvs: ["--durable", "--direct"], vblade: ["-d", "-s"], fio: ["--rw=randwrite", "--fdatasync=64"]),
        ]
    }()
}
