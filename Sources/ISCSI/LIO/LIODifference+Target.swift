import HostModel

extension LIOTarget {
    /// Whether sessions must not live through the change: what they know as a LUN would be something else.
    /// - Parameter device: the volume's device as it is; nil where there is none.
    func mustBeRemade(for export: ResolvedExport, on device: String?, spentDevices: Set<String>) -> Bool {
        let lun = LIO.lun(export.lun)
        return groups.contains { name, group in
            name != LIO.group
                || group.luns.contains { $0.key != lun || $0.value.values.contains { $0 != device } }
                || group.luns.values.contains { !spentDevices.isDisjoint(with: $0.values) }
        }
    }

    /// The sessions that end when the target is changed to `export` where it stands.
    func sessions(endedBy export: ResolvedExport) -> [TargetSession] {
        let names = Set(export.export.initiators.map(\.name.text))
        return sessions.filter { !names.contains($0.initiator) }
    }

    /// The writes that take it away. The kernel brings requests that are under way to their end when it is disabled.
    func removal(at path: String) -> [KernelWrite] {
        sorted(groups).flatMap { name, group in group.removal(at: "\(path)/\(name)") } + [.removeDirectory(path)]
    }

    /// The writes that make `found`, or no target, into what is wanted. It can be logged in to only when it is complete.
    /// - Parameter device: the volume's, which is there by then.
    static func writes(
        from found: LIOTarget?, to export: ResolvedExport, on device: String, at path: String
    ) -> [KernelWrite] {
        var writes: [KernelWrite] = []
        if found == nil { writes.append(.makeDirectory(path)) }
        let group = found?.groups[LIO.group]
        let groupPath = "\(path)/\(LIO.group)"
        if group == nil { writes.append(.makeDirectory(groupPath)) }
        return writes + (group ?? LIOPortalGroup()).writes(to: export, on: device, at: groupPath)
    }
}

extension LIO {
    static func lun(_ number: Int) -> String { "lun_\(number)" }
}

extension LIOPortalGroup {
    fileprivate func removal(at path: String) -> [KernelWrite] {
        var writes: [KernelWrite] = isEnabled ? [.write("0", to: "\(path)/enable")] : []
        for (name, initiator) in sorted(initiators) { writes += initiator.removal(at: "\(path)/acls/\(name)") }
        for (lun, links) in sorted(luns) {
            writes += links.keys.sorted().map { .unlink("\(path)/lun/\(lun)/\($0)") }
            writes.append(.removeDirectory("\(path)/lun/\(lun)"))
        }
        writes += portals.sorted().map { .removeDirectory("\(path)/np/\($0)") }
        return writes + [.removeDirectory(path)]
    }

    fileprivate func writes(to export: ResolvedExport, on device: String, at path: String) -> [KernelWrite] {
        let names = Set(export.export.initiators.map(\.name.text))
        // Who may no longer goes first.
        var writes = sorted(initiators).filter { !names.contains($0.key) }
            .flatMap { $0.value.removal(at: "\(path)/acls/\($0.key)") }
        let kept = Set(export.export.portals.map(\.description))
        let strays = portals.filter { name in !kept.contains { $0 == Self.canonical(name) } }
        writes += strays.sorted().map { .removeDirectory("\(path)/np/\($0)") }

        for (setting, value) in LIO.settings(of: export) where settings[setting] != value {
            writes.append(.write(value, to: "\(path)/\(setting)"))
        }
        let lun = LIO.lun(export.lun)
        if luns[lun] == nil { writes.append(.makeDirectory("\(path)/lun/\(lun)")) }
        if luns[lun]?.isEmpty ?? true { writes.append(.link("\(path)/lun/\(lun)/\(export.export.volume)", to: device)) }
        for initiator in export.export.initiators {
            writes += LIOInitiator.writes(
                from: initiators[initiator.name.text], to: initiator, of: export, group: path)
        }
        let present = Set(portals.map(Self.canonical))
        writes += export.export.portals.map(\.description).filter { !present.contains($0) }
            .map { .makeDirectory("\(path)/np/\($0)") }
        if !isEnabled { writes.append(.write("1", to: "\(path)/enable")) }
        return writes
    }

    /// The kernel keeps the spelling that a portal was made with.
    static func canonical(_ name: String) -> String { (try? Portal(name))?.description ?? name }
}

extension LIOInitiator {
    fileprivate func removal(at path: String) -> [KernelWrite] {
        sorted(luns).flatMap { $0.value.removal(at: "\(path)/\($0.key)") } + [.removeDirectory(path)]
    }

    fileprivate static func writes(
        from found: LIOInitiator?, to wanted: AllowedInitiator, of export: ResolvedExport, group: String
    ) -> [KernelWrite] {
        let path = "\(group)/acls/\(wanted.name)"
        let initiator = found ?? LIOInitiator()
        var writes: [KernelWrite] = found == nil ? [.makeDirectory(path)] : []
        writes += initiator.authentication.writes(to: export.credentials[wanted.name], below: "\(path)/auth")
        let lun = LIO.lun(export.lun)
        let source = "\(group)/lun/\(lun)"
        func isKept(_ name: String, _ mapped: LIOMappedLUN) -> Bool {
            name == lun && mapped.links.values.allSatisfy { $0 == source }
        }
        for (name, mapped) in sorted(initiator.luns) where !isKept(name, mapped) {
            writes += mapped.removal(at: "\(path)/\(name)")
        }
        let kept = initiator.luns[lun].flatMap { isKept(lun, $0) ? $0 : nil }
        if kept == nil { writes.append(.makeDirectory("\(path)/\(lun)")) }
        let isLinked = kept.map { !$0.links.isEmpty } ?? false
        if !isLinked { writes.append(.link("\(path)/\(lun)/\(lun)", to: source)) }
        // It is read-only from the moment of the link; see `LIO.settings`.
        if !isLinked || kept?.isWriteProtected != wanted.isReadOnly {
            writes.append(.write(wanted.isReadOnly ? "1" : "0", to: "\(path)/\(lun)/write_protect"))
        }
        return writes
    }
}

extension LIOMappedLUN {
    fileprivate func removal(at path: String) -> [KernelWrite] {
        links.keys.sorted().map { .unlink("\(path)/\($0)") } + [.removeDirectory(path)]
    }
}

/// A dictionary in the order of its keys: plans must not change from one run to the next.
private func sorted<Value>(_ dictionary: [String: Value]) -> [(key: String, value: Value)] {
    dictionary.sorted { $0.key < $1.key }
}
