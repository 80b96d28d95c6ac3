import HostModel
import Migration
import Storage

/// What an agent serves that was started as `xenlvs agent --restrict`, for one key of `authorized_keys`.
///
/// Such a key may bring migrations from these hosts into these volume groups and directory pools, and nothing else. Pure.
/// The host's name is what the other side says of itself: it is the key that proves who is there, so each host has its own.
public struct AgentRestriction: Sendable, Equatable {
    /// The hosts that migrations may come from, by the names that they call themselves.
    public let sources: Set<HostName>
    public let groups: Set<VolumeGroupName>
    /// Directory pools, absolute paths.
    public let directories: Set<String>

    /// - Throws: `.usage` for a name that is none, without any host, or without any place.
    public init(sources: [String], groups: [String], directories: [String]) throws(Failure) {
        guard !sources.isEmpty, !(groups.isEmpty && directories.isEmpty) else {
            throw Failure(
                .usage, "--restrict permits nothing", why: "it names no host, or no place for volumes",
                remedy: "give --from HOST, and --into VG or --into-directory DIR")
        }
        var (hosts, names) = (Set<HostName>(), Set<VolumeGroupName>())
        for source in sources { hosts.insert(try HostName(source)) }
        for group in groups { names.insert(try VolumeGroupName(group)) }
        for directory in directories {
            guard let why = FilePool.objection(toPath: directory) else { continue }
            throw Failure(.usage, "cannot use '\(directory)' as a directory pool", why: why)
        }
        (self.sources, self.groups, self.directories) = (hosts, names, Set(directories))
    }

    /// Throws `.refused` for a host that is not named.
    func check(_ source: HostName) throws(Failure) {
        guard !sources.contains(source) else { return }
        throw refusal("migrations from \(source)", "it serves \(Self.list(sources.map(\.text)))", "--from \(source)")
    }

    /// Throws `.refused` for a migration from another host, or to another place.
    func check(_ spec: MigrationSpec) throws(Failure) {
        try check(spec.source.name)
        // Any disk of this host could be named as one of them.
        if spec.plan.storage == .shared {
            throw Failure(
                .refused, "the key may not bring \(spec.domain)",
                why: "its disks are shared, and the key is restricted",
                remedy: "move it with a key that is not restricted")
        }
        for volume in spec.volumes {
            switch volume.targetPlace {
            case .logicalVolume(let group, _):
                guard groups.contains(group) else {
                    let known = groups.isEmpty ? "no volume group" : Self.list(groups.map(\.text))
                    throw refusal(
                        "volumes in the group \(group)", "it may fill \(known)", "--into \(group)")
                }
            case .file(let pool):
                guard directories.contains(pool) else {
                    let known = directories.isEmpty ? "no directory" : Self.list(Array(directories))
                    throw refusal(
                        "volumes in the directory \(pool)", "it may fill \(known)",
                        "--into-directory \(Command.quoted(pool))")
                }
            case .attachment(let name):
                throw Failure(.refused, "the key may not bring \(volume.name)", why: "\(name) is an attachment")
            }
        }
    }

    /// Throws `.refused` for what no coordinator asks of its target.
    func check(_ request: HostRequest) throws(Failure) {
        switch request {
        case .hello, .survey, .perform, .replicas, .reconnect, .checksum, .mirror: return
        // What is shared already is looked at before a migration.
        case .share(let order, _) where order.isQuery: return
        case .verify, .explain, .share:
            throw Failure(
                .refused, "the key may not ask for this", why: "it is restricted to receiving migrations",
                remedy: "type the command on this host itself")
        }
    }

    /// A survey without the groups that the key has no business with, and the other guests' names.
    func visible(_ survey: HostSurvey, asked: SurveyQuery) -> HostSurvey {
        var survey = survey
        survey.groups.removeAll { !groups.contains($0.name) }
        survey.domains.removeAll { $0 != asked.domain?.text }
        for index in survey.volumes.indices {
            survey.volumes[index].groups.removeAll { !groups.contains($0) }
            survey.volumes[index].metadataGroups.removeAll { !groups.contains($0) }
        }
        return survey
    }

    private func refusal(_ what: String, _ why: String, _ option: String) -> Failure {
        Failure(
            .refused, "the key may not bring \(what)", why: "it is restricted: \(why)",
            remedy: "if it shall, add '\(option)' to 'xenlvs agent --restrict' in this key's line of authorized_keys")
    }

    private static func list(_ names: [String]) -> String { names.sorted().joined(separator: ", ") }
}
