@testable import Migration

/// The two hosts of a random run; either may be a migration's source.
enum HostID: Int, CaseIterable, Sendable {
    case a, b

    var other: HostID { self == .a ? .b : .a }
}

/// One of a guest's volumes on one host.
///
/// Data are modelled by content: each write of the guest has a number, and a volume has the number of the last write that it
/// holds, in its body and in its last 256 KiB, which DRBD 8.4 forgets when it is attached again. The guest writes there at
/// every 16th write.
struct ModelVolume: Hashable, Sendable {
    /// What the host's journal says of it.
    enum Standing: Hashable, Sendable {
        case unknown, active
        case incoming(Int)
        case retired(Int)
    }
    enum Backing: Hashable, Sendable { case volume, replica, deviceSwitch }
    /// Where a switch leads.
    enum Table: Hashable, Sendable { case volume, replica, closed }

    /// DRBD's, on disk.
    struct Metadata: Hashable, Sendable {
        var isFresh = true
        var isUpToDate = false
        /// What has changed since the peer was in step.
        var isBodyDirty = true
        var isTailDirty = true
        /// The first write that the body's bits tell of; 0 for everything.
        var firstDirty = 0
        /// The generation of data that the bits count from; on the target the one that was sent past DRBD.
        var seed: Int?
        /// It was Primary without its peer since the two were in step: two such copies do not connect.
        var isAlone = false
    }

    /// DRBD's, in the kernel. Two replicas are connected if they have the same secret.
    struct Replica: Hashable, Sendable {
        var isPrimary = false
        var secret: Int?
        /// Both sides may be Primary, as far as this one was told. It goes with the connection's settings.
        var allowsTwo = false

        mutating func disconnect() { (secret, allowsTwo) = (nil, false) }
    }

    /// What an LVM snapshot holds.
    struct Snapshot: Hashable, Sendable {
        var body: Int
        var tail: Int
    }

    static let garbage = -1

    var exists = false
    var body = garbage
    var tail = garbage
    /// Some earlier write is missing, whatever the body's number says.
    var hasHole = false
    var snapshot: Snapshot?
    var standing = Standing.unknown
    /// The migration that made it.
    var madeBy: Int?
    var metadata: Metadata?
    var replica: Replica?
    /// Where the link leads.
    var link: Backing?
    /// The journal says that it has a switch.
    var hasSwitch = false
    /// The switch, which goes with the host's power.
    var table: Table?

    /// What the link leads to where no migration is under way.
    var plainLink: Backing { hasSwitch ? .deviceSwitch : .volume }
    var isPlain: Bool { link == plainLink && (hasSwitch ? table == .volume : table == nil) }

    /// Points the link to the volume, by its switch where it has one.
    mutating func linkToVolume() {
        link = plainLink
        table = hasSwitch ? .volume : nil
    }

    /// What whoever has opened `backing` gets to; nil where every request is refused.
    func reached(through backing: Backing) -> Backing? {
        switch backing {
        case .volume, .replica: backing
        case .deviceSwitch:
            switch table {
            case .volume: .volume
            case .replica: .replica
            case .closed, nil: nil
            }
        }
    }

    /// What the last 256 KiB hold after a write.
    static func tail(after write: Int) -> Int { write & ~15 }

    func holds(_ write: Int) -> Bool { exists && !hasHole && body == write && tail == Self.tail(after: write) }
}

/// The guest as Xen has it on one host.
struct ModelDomain: Hashable, Sendable {
    var isRunning: Bool
    /// The number of the last write that it remembers.
    var memory: Int
    /// The device that the backend has opened for each disk.
    var uses: [ModelVolume.Backing]
    /// It stands still for a hand-over, and can be let run on; any other one that does not run is paused.
    var isSuspended = false
    /// Its memory came from the other host live, and it has not run here yet.
    var hasArrived = false
}

struct ModelImage: Hashable, Sendable {
    enum Purpose: CaseIterable, Hashable, Sendable { case substitution, handOver, received, settlement, rollback }

    var migration: Int
    var purpose: Purpose
    var boot: Int
    var memory: Int
    var isSpent = false
}

/// A migration in one host's journal. Each change is a commit, and each commit is synced: the power cannot take it back.
struct ModelRecord: Hashable, Sendable {
    var id: Int
    var isSource: Bool
    var removesSource: Bool
    var epoch: Int64 = 0
    var machine: MigrationMachine
    var isDecided = false
    var isOpen = true
    var hasDeclaredPeerDead = false
    var hasAttachedAgain = false
    /// A way back was begun that could not be recorded; the run has said so.
    var isBehind = false
}

/// One host: what its disks keep, and what goes with its power.
struct ModelHost: Hashable, Sendable {
    var volumes: [ModelVolume]
    var journal: [ModelRecord] = []
    var images: [ModelImage] = []
    var boot = 1
    var isUp = true
    var domain: ModelDomain?
    /// Suspended, under its other name, since `xl migrate` has let it go.
    var away: ModelDomain?
    /// The last write of a guest that was shut down here.
    var offAfter: Int?
    /// A guest was shut down here in this boot.
    var hasShutDown = false
    /// The memory in an `xl restore` that waits for the tail of its image.
    var pendingRestore: Int?
    /// `xl migrate`, or its receiver, is at work. What hangs of it comes to nothing once that has ended.
    var isMoving = false
    /// It has been off for longer than its last word counts.
    var isLongOff = false

    func record(_ id: Int) -> ModelRecord? { journal.first { $0.id == id } }

    mutating func change(_ id: Int, _ body: (inout ModelRecord) -> Void) {
        for index in journal.indices where journal[index].id == id { body(&journal[index]) }
    }

    /// An image that may be restored: of this boot, and not spent.
    func wholeImage(_ id: Int, _ purpose: ModelImage.Purpose) -> ModelImage? {
        images.first { $0.migration == id && $0.purpose == purpose && $0.boot == boot && !$0.isSpent }
    }

    func hasSpent(_ id: Int, _ purpose: ModelImage.Purpose) -> Bool {
        images.contains { $0.migration == id && $0.purpose == purpose && $0.boot == boot && $0.isSpent }
    }

    func imagesAreOfAnEarlierBoot(_ id: Int) -> Bool {
        let mine = images.filter { $0.migration == id }
        return !mine.isEmpty && mine.allSatisfy { $0.boot != boot }
    }

    mutating func losePower() {
        isUp = false
        (domain, away, hasShutDown) = (nil, nil, false)
        (pendingRestore, isMoving) = (nil, false)
        for index in volumes.indices {
            volumes[index].replica = nil
            (volumes[index].link, volumes[index].table) = (nil, nil)
        }
    }

    /// Starts the host; its recovery at boot puts the links where its journal says that they must lead.
    mutating func start() {
        guard !isUp else { return }
        (isUp, isLongOff) = (true, false)
        boot += 1
        let hasHandedOver = journal.contains { $0.isOpen && $0.isSource && $0.isDecided }
        for index in volumes.indices where volumes[index].standing == .active && !hasHandedOver {
            volumes[index].linkToVolume()
        }
    }
}
