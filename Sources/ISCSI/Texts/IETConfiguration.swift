import HostModel

/// The configuration of the iSCSI Enterprise Target, 1.4.20: `ietd.conf` (ietd.conf(5)), `initiators.allow` and
/// `targets.allow`. Debian has that target no more: its files are written for hosts that still run it, and read to take
/// them over.
public struct IETConfiguration: Sendable, Equatable {
    public struct Unit: Sendable, Equatable {
        public var number: Int
        /// In the order of the file: `Path`, `Type`, `ScsiId`, `ScsiSN`, `IOMode` and others.
        public var values: [String: String]
    }

    public struct Target: Sendable, Equatable {
        public var name: ISCSIName
        /// Whoever knows one of these may log in.
        public var incoming: [CHAPAccount] = []
        public var outgoing: CHAPAccount?
        public var units: [Unit] = []
        /// Everything else: `HeaderDigest`, `Alias`, `MaxSessions`.
        public var parameters: [String: String] = [:]
    }

    /// Who may ask for the names of targets; everybody where it is empty.
    public var discoveryIncoming: [CHAPAccount] = []
    public var discoveryOutgoing: CHAPAccount?
    public var targets: [Target] = []
    /// By the target's name: initiators' names or addresses.
    public var allowedInitiators: [String: [String]] = [:]
    /// By the target's name: addresses of this host.
    public var allowedPortals: [String: [String]] = [:]
    /// In words, what of the files could not be read. Nothing of it is in the rest.
    public var leftOut: [String] = []

    public init() {}

    /// The texts of the three files. They hold secrets: mode 0600.
    public struct Files: Sendable {
        public var configuration: String
        public var initiatorsAllow: String
        public var targetsAllow: String

        public init(configuration: String, initiatorsAllow: String, targetsAllow: String) {
            self.configuration = configuration
            self.initiatorsAllow = initiatorsAllow
            self.targetsAllow = targetsAllow
        }
    }

    /// The longest identity and serial number (iet_u.h: `SCSI_ID_LEN`, `SCSI_SN_LEN`).
    private static let (identityLength, serialLength) = (24, 16)

    /// - Throws: `.refused` for what that target cannot do.
    public init(_ state: ResolvedState) throws(Failure) {
        if let discovery = state.discovery {
            discoveryIncoming = [discovery.initiator]
            discoveryOutgoing = discovery.target
        }
        for export in state.exports {
            try Self.check(export)
            var target = Target(name: export.export.target)
            for initiator in export.export.initiators {
                guard let credentials = export.credentials[initiator.name] else { continue }
                if !target.incoming.contains(credentials.initiator) { target.incoming.append(credentials.initiator) }
                target.outgoing = credentials.target
            }
            let serial = export.identity.serial
            target.units = [
                Unit(
                    number: export.lun,
                    values: [
                        "Path": export.devicePath, "Type": "blockio",
                        "ScsiId": String(serial.prefix(Self.identityLength)),
                        "ScsiSN": String(serial.prefix(Self.serialLength)),
                        "IOMode": export.export.isReadOnly ? "ro" : "wt",
                    ])
            ]
            target.parameters = [
                "HeaderDigest": export.export.headerDigest.words, "DataDigest": export.export.dataDigest.words,
            ]
            targets.append(target)
            allowedInitiators[target.name.text] = export.export.initiators.map(\.name.text)
            allowedPortals[target.name.text] = export.export.portals.map { $0.isIPv6 ? "[\($0.address)]" : $0.address }
        }
    }

    private static func check(_ export: ResolvedExport) throws(Failure) {
        let why: String? =
            if export.export.isThin {
                "it cannot take blocks back"
            } else if export.export.initiators.contains(where: \.isReadOnly) {
                "it cannot be read-only for one initiator alone"
            } else if export.export.portals.contains(where: { $0.port != Portal.standardPort }) {
                "all of its targets have the port \(Portal.standardPort)"
            } else if Set(export.credentials.values.map { $0.target?.user }).count > 1 {
                "a target of it proves itself to all initiators by the same user"
            } else if export.devicePath.contains(where: { $0 == "," || $0.isWhitespace }) {
                "it cannot take the path '\(export.devicePath)'"
            } else {
                nil
            }
        guard let why else { return }
        throw Failure(.refused, "'\(export.export.volume)' cannot be exported by the iSCSI Enterprise Target", why: why)
    }

    /// What stands in the files.
    public var files: Files {
        var lines = Self.accounts(discoveryIncoming, discoveryOutgoing, indent: "")
        for target in targets {
            lines.append("Target \(target.name)")
            lines += Self.accounts(target.incoming, target.outgoing, indent: "    ")
            for unit in target.units {
                let values = unit.values.sorted { Self.rank($0.key) < Self.rank($1.key) }
                lines.append("    Lun \(unit.number) " + values.map { "\($0.key)=\($0.value)" }.joined(separator: ","))
            }
            lines += target.parameters.sorted { $0.key < $1.key }.map { "    \($0.key) \($0.value)" }
        }
        return Files(
            configuration: Self.text(lines), initiatorsAllow: Self.text(Self.rules(allowedInitiators)),
            targetsAllow: Self.text(Self.rules(allowedPortals)))
    }

    private static func text(_ lines: [String]) -> String { lines.map { $0 + "\n" }.joined() }

    private static func rules(_ rules: [String: [String]]) -> [String] {
        rules.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value.joined(separator: ", "))" }
    }

    private static func accounts(_ incoming: [CHAPAccount], _ outgoing: CHAPAccount?, indent: String) -> [String] {
        incoming.map { "\(indent)IncomingUser \($0.user) \($0.secret.text)" }
            + (outgoing.map { ["\(indent)OutgoingUser \($0.user) \($0.secret.text)"] } ?? [])
    }

    /// The path comes first, as everybody writes it.
    private static func rank(_ key: String) -> String { key == "Path" ? "" : key }
}
