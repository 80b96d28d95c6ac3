@testable import Migration

/// How a step may come to its end before it is done.
enum Break: Error {
    case failed, unknown, takenOver, coordinatorDied
    /// What is recorded and what is there contradict each other.
    case inconsistent
}

/// Both hosts, what lies between them, and the command that is being run.
struct ModelWorld: Sendable {
    var hosts: [ModelHost]
    var isLinked = true
    var isReplicating = true
    /// The last write that the guest was told to be on stable storage.
    var written = 0
    /// A power cut, or a host that was given up, has taken the guest's memory.
    var isMemoryLost = false
    /// Replicas were attached again and not compared since, or lost their connections one by one: what reports warn of.
    var isInDoubt = false
    /// What a host that was given up has left is of one moment on one disk and of another on the next, and nothing runs from it
    /// yet: what reports warn of.
    var areDisksApart = false
    var violations: [String] = []

    // The command under way.
    var coordinator = HostID.a
    var isCoordinatorDead = false
    var isAnswerLost = false
    var isInterrupted = false
    var isJournalFull = false
    var hasSender = false
    /// What the target has said of having the guest, paused; nil where it has not in this run.
    var word: Word?
    var secret: Int?
    var secrets = 0
    /// Of data that were sent past DRBD.
    var generations = 0
    var effects = 0
    var faults: [PlannedFault] = []
    /// What hangs on each host; done before anything else happens there.
    var isLate = false
    var late: [[@Sendable (inout ModelHost) -> Void]] = [[], []]
    var sabotage: Sabotage?
    /// Where told, what happened.
    var trail: [String]?

    enum Word: Sendable { case fresh, old }

    /// A guest runs on host a, on plain volumes, or on switches that lead to them.
    init(volumes: Int, hasSwitches: Bool) {
        var full = ModelVolume(exists: true, body: 0, tail: 0, standing: .active, hasSwitch: hasSwitches)
        full.linkToVolume()
        hosts = [
            ModelHost(volumes: Array(repeating: full, count: volumes)),
            ModelHost(volumes: Array(repeating: ModelVolume(), count: volumes)),
        ]
        let uses = Array(repeating: full.plainLink, count: volumes)
        hosts[0].domain = ModelDomain(isRunning: true, memory: 0, uses: uses)
    }

    subscript(_ id: HostID) -> ModelHost {
        get { hosts[id.rawValue] }
        set { hosts[id.rawValue] = newValue }
    }

    var disks: Range<Int> { hosts[0].volumes.indices }

    mutating func note(_ text: @autoclosure () -> String) {
        guard trail != nil else { return }
        let line = text()
        trail?.append(line)
    }

    // MARK: DRBD and the guest

    func isConnected(_ disk: Int) -> Bool {
        guard isLinked, isReplicating, let one = hosts[0].volumes[disk].replica?.secret,
            hosts[1].volumes[disk].replica?.secret == one
        else { return false }
        return true
    }

    /// Both kernels' word: connected, both UpToDate, nothing out of sync.
    func isInStep(_ disk: Int) -> Bool {
        isConnected(disk)
            && hosts.allSatisfy { host in
                guard let metadata = host.volumes[disk].metadata else { return false }
                return metadata.isUpToDate && !metadata.isBodyDirty && !metadata.isTailDirty
            }
    }

    /// DRBD lets both sides be Primary.
    func isWindow(_ disk: Int) -> Bool {
        isConnected(disk) && hosts.allSatisfy { $0.volumes[disk].replica?.allowsTwo == true }
    }

    /// Each side was Primary without the other one.
    func isSplit(_ disk: Int) -> Bool { hosts.allSatisfy { $0.volumes[disk].metadata?.isAlone == true } }

    /// Replicas that meet find out that one of them is behind: until it has caught up its copy is not complete.
    mutating func meetPeers() {
        for disk in disks where isConnected(disk) {
            if isSplit(disk) {
                for index in hosts.indices { hosts[index].volumes[disk].replica?.disconnect() }
                continue
            }
            for index in hosts.indices {
                guard let peer = hosts[1 - index].volumes[disk].metadata, peer.isUpToDate else { continue }
                if peer.isBodyDirty || peer.isTailDirty { hosts[index].volumes[disk].metadata?.isUpToDate = false }
            }
            guard isInStep(disk) else { continue }
            for index in hosts.indices { hosts[index].volumes[disk].metadata?.isAlone = false }
        }
    }

    /// What one side is told of two Primaries it passes on. Who becomes Primary without its peer has data of its own.
    mutating func tellPeer(of id: HostID, _ before: ModelHost) {
        for disk in disks {
            guard let old = before.volumes[disk].replica, let new = self[id].volumes[disk].replica else { continue }
            if isConnected(disk), old.allowsTwo != new.allowsTwo {
                self[id.other].volumes[disk].replica?.allowsTwo = new.allowsTwo
            }
            if !isConnected(disk), !old.isPrimary, new.isPrimary { self[id].volumes[disk].metadata?.isAlone = true }
        }
    }

    /// The connections are about to be lost: from then on a Primary has data of its own.
    mutating func losePeers() {
        for disk in disks where isConnected(disk) {
            for id in HostID.allCases where self[id].volumes[disk].replica?.isPrimary == true {
                self[id].volumes[disk].metadata?.isAlone = true
            }
        }
    }

    /// A running guest writes to all of its disks, and remembers it.
    mutating func letTimePass() {
        for id in HostID.allCases {
            guard let domain = self[id].domain, domain.isRunning else { continue }
            for disk in disks { write(domain.memory + 1, to: disk, through: domain.uses[disk], on: id) }
            self[id].domain?.memory += 1
            written = max(written, domain.memory + 1)
        }
    }

    private mutating func write(
        _ number: Int, to disk: Int, through backing: ModelVolume.Backing, on id: HostID
    ) {
        judgeWrite(after: number - 1, to: disk, through: backing, on: id)
        let writesTail = ModelVolume.tail(after: number) == number
        self[id].volumes[disk].body = number
        if writesTail { self[id].volumes[disk].tail = number }
        guard self[id].volumes[disk].reached(through: backing) == .replica else { return }
        if isInStep(disk) {
            self[id.other].volumes[disk].body = number
            if writesTail { self[id.other].volumes[disk].tail = number }
        } else {
            if self[id].volumes[disk].metadata?.isBodyDirty == false {
                self[id].volumes[disk].metadata?.firstDirty = number
            }
            self[id].volumes[disk].metadata?.isBodyDirty = true
            if writesTail { self[id].volumes[disk].metadata?.isTailDirty = true }
        }
    }

    /// A guest writes for a while between two commands.
    mutating func wait() {
        meetPeers()
        letTimePass()
        judge()
    }
}
