import AoE
import HostModel
import Hosts
import Storage

/// Linux's AoE initiator on this host: module, interfaces, devices. One change of it at a time.
struct AoEInitiator: Sendable {
    let host: HostContext

    /// How often it is looked whether a device has come or gone.
    private static let pause = Duration.milliseconds(100)
    /// How long to wait for a device before targets are asked for again.
    private static let patience = Duration.seconds(2)

    /// Runs `body` while no other command changes the initiator. Throws `.busy` after a minute.
    static func holding<Value>(_ host: HostContext, _ body: () async throws -> Value) async throws -> Value {
        try PrivateDirectory.prepare(host.paths.run)
        let lock = try await FileLock.waiting(
            path: "\(host.paths.run)/aoe-initiator.lock", purpose: "a change to the AoE initiator", limit: .seconds(60))
        defer { withExtendedLifetime(lock) {} }
        return try await body()
    }

    func device(_ address: AoEAddress) -> KernelDevice? { KernelDevice.read(address, in: host.tree) }

    /// What the initiator had before, to be put back.
    enum Former: Sendable, Equatable {
        case notLoaded
        case list(InterfaceList)
    }

    /// Loads the module, or sets its interfaces, so that exactly what is needed is used. Returns nil where it was so.
    func use(_ list: InterfaceList) async throws -> Former? {
        guard let present = KernelDevice.interfaceList(in: host.tree) else {
            do { try await host.runner.run(InitiatorCommands.load(list.names)) } catch {
                throw Failure(
                    .failed, "the AoE initiator cannot be loaded", why: Failure(error, doing: "modprobe aoe").why,
                    remedy: "install the kernel's module aoe, then run 'modprobe aoe'")
            }
            // A loaded module, and what modprobe.d says, win over the arguments.
            if KernelDevice.interfaceList(in: host.tree) != list { try await set(list) }
            return .notLoaded
        }
        guard present != list else { return nil }
        try await set(list)
        return .list(present)
    }

    private func set(_ list: InterfaceList) async throws {
        try await host.runner.run(InitiatorCommands.setInterfaces(list.names))
        guard let found = KernelDevice.interfaceList(in: host.tree), found == list else {
            throw Failure(
                .inconsistent, "cannot limit the AoE initiator to \(InitiatorCommands.text(list.names))",
                why: "it was set, but reads back otherwise", remedy: "see /sys/module/aoe/parameters/aoe_iflist")
        }
    }

    /// Undoes `use`. The module is unloaded only where nothing has been attached by it.
    func putBack(_ former: Former) async throws {
        switch former {
        case .notLoaded: try await host.runner.run(InitiatorCommands.unload)
        case .list(let list): try await host.runner.run(InitiatorCommands.setInterfaces(list.names))
        }
    }

    /// Who answers for the attachments' targets, on every interface that the kernel uses or that they want.
    func ask(for attachments: [Attachment]) async throws -> [DiscoveredTarget] {
        let present = try await host.initiator.interfaces()
        let used = KernelDevice.interfaceList(in: host.tree)?.names ?? []
        let names = Set((used + attachments.flatMap(\.interfaces)).map(\.text)).filter(present.contains).sorted()
        return try await host.initiator.ask(names, attachments.count == 1 ? attachments[0].address : nil)
    }

    /// The interfaces of devices that somebody uses without an attachment, as far as attachments do not need them anyway.
    func interfacesInUseByOthers(than attachments: [Attachment]) async throws -> [[InterfaceName]] {
        let needed = Set(attachments.flatMap(\.interfaces))
        let others = KernelDevice.all(in: host.tree)
            .filter { address in !attachments.contains { $0.address == address } }
            .compactMap { self.device($0) }.filter { !needed.isSuperset(of: $0.interfaces) }
        guard !others.isEmpty else { return [] }
        let use = try await DeviceUse.look(host)
        var lists: [[InterfaceName]] = []
        for device in others {
            if try await !use.uses(of: device).isEmpty { lists.append(device.interfaces) }
        }
        return lists
    }

    /// Waits until the kernel has the device with this size and its node is there, asking for targets meanwhile.
    /// - Throws: `.failed` with what it is instead, after `deadline`.
    func waitUntilUp(
        _ address: AoEAddress, size: ByteCount, deadline: ContinuousClock.Instant
    ) async throws -> BlockDevice {
        var nextQuestion = ContinuousClock.now
        while true {
            if ContinuousClock.now >= nextQuestion {
                try await host.runner.run(InitiatorCommands.discover)
                nextQuestion = ContinuousClock.now + Self.patience
            }
            if let found = ready(address, size) { return found }
            guard ContinuousClock.now < deadline else { throw notUp(address, size) }
            try await Task.sleep(for: Self.pause)
        }
    }

    /// The device where it is up, has this size and can be opened by its path.
    func ready(_ address: AoEAddress, _ size: ByteCount) -> BlockDevice? {
        guard let device = self.device(address), device.state == .up, device.size == size else { return nil }
        return device.blockDevice(in: host.tree)
    }

    private func notUp(_ address: AoEAddress, _ size: ByteCount) -> Failure {
        let what = "the kernel does not bring \(address) up"
        guard let device = self.device(address) else {
            return Failure(
                .failed, what, why: "it has no such device; its interfaces are \(interfaceWords)",
                remedy: "see 'dmesg' and 'xenlvs aoe discover'")
        }
        switch device.state {
        case .up where device.size != size:
            return Failure(
                .failed, what, why: "it has \(device.size.bytes) bytes there, the target says \(size.bytes)",
                remedy: "the kernel keeps a device's size while something has it open: see who does, and try again")
        case .up:
            return Failure(
                .failed, what, why: "there is no \(KernelDevice.path(address, in: host.tree))",
                remedy: "see that devtmpfs is mounted on /dev")
        case .closewait:
            return Failure(
                .failed, what, why: "it is down and something still has it open",
                remedy: "end whoever has it: 'lsof \(KernelDevice.path(address, in: host.tree))'")
        case .down, .absent:
            return Failure(.failed, what, why: "it is \(device.state.rawValue)", remedy: "see 'dmesg'")
        }
    }

    private var interfaceWords: String {
        let names = KernelDevice.interfaceList(in: host.tree)?.names ?? []
        return names.isEmpty ? "all" : InitiatorCommands.text(names)
    }

    /// Takes a device away from the kernel and sees that it is gone. Nothing may have it open.
    /// - Throws: `.outcomeUnknown` where the kernel has not let go of it in time.
    func forget(_ address: AoEAddress) async throws {
        // One that is still there afterwards has come back by the kernel's own question to everybody, once a minute.
        for _ in 0..<2 {
            guard device(address) != nil else { return }
            do { try await host.runner.run(InitiatorCommands.forget(address)) } catch {
                let failure = Failure(error, doing: "the kernel does not give \(address) back")
                throw Failure(
                    failure.code, "the kernel has not given \(address) back", why: failure.why ?? failure.what,
                    remedy: "run the same command again; while the target does not answer it can take three minutes",
                    causes: [failure])
            }
            let deadline = ContinuousClock.now + Self.patience
            while device(address) != nil, ContinuousClock.now < deadline { try await Task.sleep(for: Self.pause) }
        }
        guard device(address) != nil else { return }
        throw Failure(
            .outcomeUnknown, "the kernel has not given \(address) back", why: "it still has that device",
            remedy: "see 'dmesg', then run the same command again")
    }
}
