import LabKit

/// A fault that has struck and is not mended yet.
struct ActiveFault: Sendable {
    let fault: Fault
    let hosts: Hosts
    let source: LabNode
    /// Whether it has met anything: an agent that was there, a program that was called. Nil where only mending tells.
    private(set) var hasMet: Bool? = true
    private var isRelieved = false

    /// A script that takes away what fills a host's disk.
    static let roomAgain = "rm -f /lab/filler*; sync /lab"

    private var target: LabNode { hosts.peer(of: source) }

    /// Strikes, while the coordinator `run` is stopped, and lets the run go on where it still can.
    static func strike(
        _ fault: Fault, _ hosts: Hosts, source: LabNode, run: LabProcess
    ) async throws -> ActiveFault {
        var active = ActiveFault(fault: fault, hosts: hosts, source: source)
        try await active.strike(run)
        return active
    }

    private mutating func strike(_ run: LabProcess) async throws {
        switch fault {
        case .coordinatorKilled:
            try await run.signal("KILL")
            return
        // The process ends itself; see `FaultDriver.follow`.
        case .effectKilled: break
        case .coordinatorPaused: try await Task.sleep(for: .seconds(60))
        case .agentKilled: hasMet = try await target.run("pkill -KILL -x xenlvs", check: false).exit == 0
        case .sourceOff:
            try await source.powerOff()
            return
        case .targetOff: try await target.powerOff()
        case .bothOff:
            try await target.powerOff()
            try await source.powerOff()
            return
        case .linkCut, .linkInterrupted: try await source.cutLink(.cluster, to: target)
        case .linkDelayed: try await impair(delay: .milliseconds(100), lossPercent: 0)
        case .linkLossy: try await impair(delay: .zero, lossPercent: 1)
        case .sshHangs: try await source.cutSSH(to: target)
        case .xlFails, .xlHangs, .drbdFails, .drbdHangs, .lvmFails, .lvmHangs:
            guard let (tool, way) = fault.tampering else { break }
            for node in hosts.all { try await tool.arm(way, on: node) }
            hasMet = nil
        case .stateFull: for node in hosts.all { try await node.fillDisk(leavingMegabytes: 0) }
        case .imagesFull: for node in hosts.all { try await node.fillDisk(leavingMegabytes: 8) }
        case .clockBack: try await source.moveClock(seconds: -3600)
        }
        try await run.letGo()
        if fault == .linkInterrupted {
            try await Task.sleep(for: .seconds(5))
            try await source.restoreLink(.cluster, to: target)
        }
    }

    /// Puts everything right again. A host that lost power is booted.
    ///
    /// - Returns: whether the fault has met anything.
    func mend() async throws -> Bool {
        var hasMet = hasMet ?? false
        switch fault {
        case .coordinatorKilled, .coordinatorPaused, .agentKilled, .effectKilled, .linkInterrupted: break
        case .sourceOff, .targetOff, .bothOff: try await hosts.switchOn()
        case .linkCut: try await source.restoreLink(.cluster, to: target)
        case .linkDelayed, .linkLossy: if !isRelieved { try await clearLink() }
        case .sshHangs: try await source.restoreSSH(to: target)
        case .xlFails, .xlHangs, .drbdFails, .drbdHangs, .lvmFails, .lvmHangs:
            guard let (tool, way) = fault.tampering else { break }
            for node in hosts.all { hasMet = try await tool.disarm(way, on: node) || hasMet }
        case .stateFull, .imagesFull: for node in hosts.all { try await node.freeDisk() }
        case .clockBack: try await source.moveClock(seconds: 3600)
        }
        return hasMet
    }

    /// Ends a hang, or what makes the link bad, although the run has not ended: what was slow goes on.
    mutating func relieve() async throws {
        guard !isRelieved else { return }
        isRelieved = true
        if fault == .linkDelayed || fault == .linkLossy { return try await clearLink() }
        guard let (tool, way) = fault.tampering, way == .hangs else { return }
        for node in hosts.all {
            let met = try await tool.disarm(way, on: node)
            hasMet = met || hasMet == true
        }
    }

    private func clearLink() async throws {
        for node in hosts.all { try await node.unimpair(.cluster, to: hosts.peer(of: node)) }
    }

    private func impair(delay: Duration, lossPercent: Double) async throws {
        for node in hosts.all {
            try await node.impair(.cluster, to: hosts.peer(of: node), delay: delay, lossPercent: lossPercent)
        }
    }
}

extension Hosts {
    /// Boots every host that is off, and waits until all are ready.
    package func switchOn() async throws {
        for node in all where !node.isPoweredOn { try await node.powerOn() }
        for node in all { try await node.waitUntilReady() }
    }
}

extension LabNode {
    /// Takes all room on the file system that holds state, images and logs, but for so much.
    fileprivate func fillDisk(leavingMegabytes rest: Int) async throws {
        // Blocks are only reserved, which takes no time. The guest's console is evidence: it has its room already.
        try await run(
            """
            sync; left=$(($(df --output=avail -k /var/lib/xenlvs | tail -n 1) - \(rest) * 1024))
            [ $left -le 0 ] || fallocate -l ${left}K /lab/filler
            for i in $(seq 64); do
                left=$(($(df --output=avail -k /var/lib/xenlvs | tail -n 1) - \(rest) * 1024))
                [ $left -gt 4 ] && fallocate -l ${left}K /lab/filler.$i 2>/dev/null || break
            done; true
            """)
    }

    fileprivate func freeDisk() async throws { try await run(ActiveFault.roomAgain) }

    fileprivate func moveClock(seconds: Int) async throws {
        try await run("date -s @$(($(date +%s) + \(seconds))) >/dev/null")
    }
}
