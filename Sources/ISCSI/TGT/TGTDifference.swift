import HostModel

extension TargetDifference {
    /// The orders that lead from what tgt's daemon serves to what it is to serve. It touches no target that xenlvs has not
    /// made, and of two exports only the one that differs.
    ///
    /// A secret that has changed in its file is not seen, because the daemon does not tell the one that it has.
    /// - Throws: `.refused` for what tgt cannot do, `.refused` or `.busy` where something that xenlvs has not made is in the way.
    public init(from found: TGTSnapshot, to wanted: ResolvedState, owned: LIOOwnership) throws(Failure) {
        self.init()
        try wanted.checkIdentities()
        try TGT.check(wanted)
        guard wanted.discovery == nil else {
            throw Failure(
                .refused, "discovery cannot ask for CHAP",
                why: "tgt does not tell how it stands, so that it could not be kept as it is asked for",
                remedy: "leave 'discovery_chap' out")
        }
        let foreign = found.targets.filter { !owned.owns(target: $0.name) }
        try Self.checkForeign(foreign, wanted)
        let byName = Dictionary(uniqueKeysWithValues: wanted.exports.map { ($0.export.target.text, $0) })

        var kept: [String: TGTSnapshot.Target] = [:]
        for target in found.targets where owned.owns(target: target.name) {
            if let export = byName[target.name], target.has(export) {
                kept[target.name] = target
            } else {
                add(target.name, target.removal, ending: target.sessions.map(\.summary))
            }
        }
        addPortals(found, wanted, hasForeign: !foreign.isEmpty)
        try addAccounts(found, kept, foreign, wanted)
        var free = Self.freeNumbers(found)
        for export in wanted.exports {
            let name = export.export.target.text
            let target = kept[name]
            let strangers = target?.sessions.filter { session in
                !export.export.initiators.contains { $0.name.text == session.initiator }
            }
            add(
                name, TGTSnapshot.Target.orders(from: target, to: export, as: target?.number ?? free.removeFirst()),
                ending: (strangers ?? []).map(\.summary))
        }
        addSpentAccounts(found, foreign, wanted, owned)
    }

    private mutating func add(_ subject: String, _ orders: [TGTOrder], ending sessions: [TargetSession] = []) {
        if !orders.isEmpty {
            changes.append(Change(subject: subject, orders: orders.map(TargetOrder.tgt), endedSessions: sessions))
        }
    }

    /// Numbers that no target has, enough for all that may be made.
    private static func freeNumbers(_ found: TGTSnapshot) -> ArraySlice<Int32> {
        let taken = Set(found.targets.map(\.number))
        return (1...Int32(taken.count + 16_384)).filter { !taken.contains($0) }[...]
    }

    private static func checkForeign(
        _ foreign: [TGTSnapshot.Target], _ wanted: ResolvedState
    ) throws(Failure) {
        for export in wanted.exports {
            let what = "cannot export '\(export.export.volume)' as \(export.export.target)"
            for target in foreign {
                let why: String? =
                    if target.name == export.export.target.text {
                        "tgt has a target of that name, which xenlvs did not make"
                    } else if target.disks.contains(where: { $0.values["Backing store path"] == export.devicePath }) {
                        "the target \(target.name), which xenlvs did not make, serves its device"
                    } else if target.disks.contains(where: { unit in
                        let id = TGT.identification(of: export)
                        return unit.values["SCSI ID"] == id || unit.values["SCSI SN"] == export.identity.serial
                    }) {
                        "the target \(target.name), which xenlvs did not make, has a disk with its identity"
                    } else {
                        nil
                    }
                guard let why else { continue }
                throw Failure(
                    .busy, what, why: why, remedy: "remove it with the program that made it, such as tgt-admin")
            }
        }
    }

    /// All targets of the daemon are served on all of its portals.
    private mutating func addPortals(_ found: TGTSnapshot, _ wanted: ResolvedState, hasForeign: Bool) {
        guard let first = wanted.exports.first else { return }
        let names = Set(first.export.portals.map(\.description))
        let present = Set(found.portals.map { LIOPortalGroup.canonical($0) })
        // Others' targets may be meant to be served there.
        let strays = hasForeign ? [] : found.portals.filter { !names.contains(LIOPortalGroup.canonical($0)) }
        add("portals", strays.map { .portal($0, .delete) })
        add("portals", names.subtracting(present).sorted().map { .portal($0, .new) })
    }

    /// A user that nothing is bound to may have a secret of long ago: it is made anew.
    private mutating func addAccounts(
        _ found: TGTSnapshot, _ kept: [String: TGTSnapshot.Target], _ foreign: [TGTSnapshot.Target],
        _ wanted: ResolvedState
    ) throws(Failure) {
        var seen: Set<String> = []
        let (ours, theirs) = (kept.values.flatMap(\.users).map(\.name), foreign.flatMap(\.users).map(\.name))
        for account in wanted.exports.flatMap({ TGT.accounts(of: $0).map(\.account) })
        where seen.insert(account.user).inserted && !ours.contains(account.user) {
            if theirs.contains(account.user) {
                throw Failure(
                    .busy, "the CHAP user '\(account.user)' cannot be used",
                    why: "tgt has one secret for a user, and a target that xenlvs did not make has this one",
                    remedy: "give the user another name")
            }
            let isThere = found.accounts.contains(account.user)
            add("accounts", (isThere ? [.deleteAccount(account.user)] : []) + [.newAccount(account)])
        }
    }

    /// Users of targets of ours that nobody has any more.
    private mutating func addSpentAccounts(
        _ found: TGTSnapshot, _ foreign: [TGTSnapshot.Target], _ wanted: ResolvedState, _ owned: LIOOwnership
    ) {
        let needed = Set(
            wanted.exports.flatMap { TGT.accounts(of: $0).map(\.user.name) } + foreign.flatMap(\.users).map(\.name))
        let ours = found.targets.filter { owned.owns(target: $0.name) }.flatMap(\.users).map(\.name)
        let spent = Set(ours).subtracting(needed).filter { found.accounts.contains($0) }.sorted()
        add("accounts", spent.map { .deleteAccount($0) })
    }
}

extension TGTSnapshot.Session {
    public var summary: TargetSession { TargetSession(initiator: initiator, addresses: addresses) }
}

extension TGTSnapshot.Target {
    /// Whether the target has the export's disk and nothing else; where not it is made anew.
    fileprivate func has(_ export: ResolvedExport) -> Bool {
        guard let disk = disks.first else { return sessions.isEmpty }
        let values = [
            "Backing store path": export.devicePath, "Backing store type": TGT.store,
            "Backing store flags": TGT.storeFlags(of: export) ?? "", "SCSI ID": TGT.identification(of: export),
            "SCSI SN": export.identity.serial, "Readonly": export.export.isReadOnly ? "Yes" : "No",
            "Thin-provisioning": export.export.isThin ? "Yes" : "No",
        ]
        return disks.count == 1 && disk.lun == Int64(export.lun)
            && values.allSatisfy { key, value in
                disk.values[key]?.split(separator: " ").joined(separator: " ") == value
            }
    }

    /// Nobody can come back between the orders: who may log in goes first, addresses before names.
    fileprivate var removal: [TGTOrder] {
        (addresses + names).map { .access($0, .unbind, on: number) } + sessions.flatMap(end)
            + users.map { .account($0, .unbind, on: number) } + disks.map { .deleteUnit($0.lun, on: number) }
            + [.deleteTarget(number)]
    }

    private var names: [String] { rules.filter { ISCSIName.objection(to: $0) == nil } }
    private var addresses: [String] { rules.filter { ISCSIName.objection(to: $0) != nil } }

    private func end(_ session: TGTSnapshot.Session) -> [TGTOrder] {
        session.connections.map { .endConnection($0, of: session.number, on: number) }
    }

    /// A rule for an address lets everybody in who comes from there, whatever the rules for names are: those go first. A new
    /// name comes before an old one goes.
    fileprivate static func orders(
        from found: TGTSnapshot.Target?, to export: ResolvedExport, as number: Int32
    ) -> [TGTOrder] {
        let target = found ?? TGTSnapshot.Target(number: number, name: export.export.target.text)
        let users = TGT.accounts(of: export).map(\.user)
        let wanted = export.export.initiators.map(\.name.text)
        var orders: [TGTOrder] = found == nil ? [.newTarget(number, export.export.target)] : []
        if target.disks.isEmpty {
            orders += [.newUnit(export, on: number), .updateUnit(export, on: number)]
        }
        // Of outgoing users there is one: the former makes room first.
        orders += target.users.filter { $0.isOutgoing && !users.contains($0) }.map { .account($0, .unbind, on: number) }
        orders += users.filter { !target.users.contains($0) }.map { .account($0, .bind, on: number) }
        orders += target.users.filter { !$0.isOutgoing && !users.contains($0) }.map {
            .account($0, .unbind, on: number)
        }
        orders += target.addresses.filter { $0 != TGT.nobodysAddress }.map { .access($0, .unbind, on: number) }
        orders += wanted.filter { !target.names.contains($0) }.map { .access($0, .bind, on: number) }
        orders += target.names.filter { !wanted.contains($0) }.map { .access($0, .unbind, on: number) }
        for session in target.sessions where !wanted.contains(session.initiator) { orders += target.end(session) }
        return orders
    }
}
