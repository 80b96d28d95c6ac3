import HostModel

extension IETConfiguration {
    /// The exports of the files, as far as they can be taken over.
    public var imported: ImportedState {
        var result = ImportedState(leftOut: leftOut)
        for target in targets {
            result.take(target.name.text) { () throws(Failure) in try export(target) }
        }
        guard let account = discoveryIncoming.first else { return result }
        guard discoveryIncoming.count == 1,
            let credentials = try? CHAPCredentials(initiator: account, target: discoveryOutgoing)
        else {
            result.leftOut.append("discovery: it has several users, or both sides have one secret")
            return result
        }
        result.discovery = credentials
        return result
    }

    private func export(_ target: Target) throws(Failure) -> ImportedExport {
        func leftOut(_ why: String) -> Failure { Failure(.refused, "cannot take over \(target.name)", why: why) }
        guard target.units.count == 1, let unit = target.units.first, let path = unit.values["Path"] else {
            throw leftOut("it has not just one LUN with a path")
        }
        guard target.incoming.count < 2 else {
            throw leftOut("it has several incoming users, and does not say whose they are")
        }
        let rule = allowedInitiators[target.name.text] ?? allowedInitiators["ALL"] ?? []
        let initiators = rule.compactMap { try? ISCSIName($0) }
        guard !rule.isEmpty, initiators.count == rule.count else {
            throw leftOut("initiators.allow has no list of initiators' names for it")
        }
        // Without a list it serves on every address, of both kinds.
        let places = allowedPortals[target.name.text] ?? allowedPortals["ALL"] ?? ["ALL"]
        let portals = (places == ["ALL"] ? ["::"] : places).compactMap { try? Portal($0) }
        guard portals.count == places.count else {
            throw leftOut("targets.allow has no list of addresses for it")
        }
        let credentials = try target.incoming.first.map { account throws(Failure) in
            try CHAPCredentials(initiator: account, target: target.outgoing)
        }
        return ImportedExport(
            target: target.name, lun: unit.number == 0 ? nil : unit.number, devicePath: path,
            serial: unit.values["ScsiSN"] ?? "", portals: portals, initiators: initiators.map { AllowedInitiator($0) },
            credentials: credentials.map { value in
                Dictionary(initiators.map { ($0, value) }) { first, _ in first }
            } ?? [:], headerDigest: target.parameters["HeaderDigest"].flatMap { Digest(words: $0) } ?? .either,
            dataDigest: target.parameters["DataDigest"].flatMap { Digest(words: $0) } ?? .either,
            isReadOnly: unit.values["IOMode"]?.lowercased() == "ro", isThin: false)
    }
}
