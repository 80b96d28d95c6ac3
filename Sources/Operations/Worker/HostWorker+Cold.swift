import Domains
import Glibc
import HostModel
import Hosts
import Migration
import Storage

/// A cold migration: the domain is shut down here and started there, each time from the host's own configuration file.
extension HostWorker {
    /// How long a domain may take to shut down. A service in it may be given 90 seconds to end.
    static let shutdownLimit = Duration.seconds(300)

    /// How long the `xl` that watches over a domain may take to destroy one that has shut down.
    private static let watcherLimit = Duration.seconds(20)

    /// The configuration from which the domain is started here. Throws `.refused` where there is none, or what `xl create` would
    /// make of it is not the domain that is migrated, on the links of its disks. Nothing is created.
    func checkedConfiguration(_ spec: MigrationSpec) async throws -> String {
        guard let path = configuration(of: spec.domain) else {
            throw Failure(
                .refused, "there is no configuration of \(spec.domain)", host: host.name.text,
                why: "a cold migration starts it from that, on either host",
                remedy: "put it there as /etc/xen/\(spec.domain).cfg")
        }
        let what = "\(path) does not start the domain \(spec.domain)"
        let description: DomainDescription
        do {
            let output = try await host.runner.run(XLCommands.check(configuration: path)).output
            description = try DomainDescription.parse(configuration: Array(output.utf8))
        } catch {
            var failure = Failure(error, doing: "cannot read \(path)").on(host.name.text)
            failure.remedy = "put the domain's configuration there: a cold migration starts it from that"
            throw failure
        }
        if let why = Self.objection(to: description, spec) {
            throw Failure(
                .refused, what, host: host.name.text, why: why,
                remedy: "put the same configuration on both hosts, with 'uuid = \"\(spec.uuid)\"' and the links below "
                    + "/dev/xenlvs as its disks")
        }
        return path
    }

    /// Why a configuration is not the domain's; nil where it is. Pure.
    static func objection(to description: DomainDescription, _ spec: MigrationSpec) -> String? {
        if description.name != spec.domain.text { return "it names the domain '\(description.name)'" }
        guard description.uuid?.lowercased() == spec.uuid.lowercased() else {
            return "its UUID is \(description.uuid ?? "a new one each time"), and not \(spec.uuid)"
        }
        for disk in spec.disks {
            let link = DiskCheck.link(disk.name)
            guard let found = description.disks.first(where: { $0.device == disk.device }) else {
                return "it has no disk \(disk.device)"
            }
            if found.path != link { return "its disk \(disk.device) is \(found.path ?? "empty"), and not \(link)" }
        }
        let more = description.disks.filter { disk in
            !disk.isCDROM && !spec.disks.contains { $0.device == disk.device }
        }
        return more.first.map { "it has a disk \($0.device), which the running domain has not" }
    }

    /// Source: after this the domain is shut down, and gone.
    func shutDown(_ spec: MigrationSpec) async throws -> StepResult {
        _ = try await checkedConfiguration(spec)
        var result = StepResult()
        switch try await settled(spec) {
        case .absent:
            result.foundSaved = true
            return result
        case .present(let id, .active):
            try PrivateDirectory.prepare(host.paths.run)
            try DurableFile.replace(offMark(spec), with: [])
            result.freezeBegan = .now
            let what = "cannot shut \(spec.domain) down"
            if let failure = try await host.runner.failure(ofXL: XLCommands.shutDown(id), doing: what) {
                throw failure.on(host.name.text)
            }
            try await waitUntilGone(spec, id)
        case .present(let id, .poweredOff): try await waitUntilGone(spec, id)
        case .present(_, let state):
            throw Failure(
                .refused, "cannot shut \(spec.domain) down", host: host.name.text, why: "it is \(state.rawValue)",
                remedy: "bring it into its running state first")
        }
        return result
    }

    /// Source, on the way back: the domain that was shut down here runs again.
    ///
    /// Not after a restart of this host, which may have been declared dead meanwhile: the domain could run on the target then. Like
    /// one that has lost its memory it is its operator's to start.
    func bootAgain(_ spec: MigrationSpec) async throws -> StepResult {
        if try await clearUnfinished(spec) == .absent, access(offMark(spec), F_OK) != 0 {
            return try await tellIfGone(spec) ?? StepResult()
        }
        return try await boot(spec)
    }

    /// Is there as long as the domain was shut down in the present boot of this host.
    private func offMark(_ spec: MigrationSpec) -> String { "\(host.paths.run)/off-\(spec.id)" }

    func removeOffMark(_ spec: MigrationSpec) throws { try DurableFile.remove(offMark(spec)) }

    private func waitUntilGone(_ spec: MigrationSpec, _ id: DomainID) async throws {
        let deadline = ContinuousClock.now + Self.shutdownLimit
        var off: ContinuousClock.Instant?
        let what = "\(spec.domain) was not shut down"
        while true {
            switch try await observe(spec) {
            case .absent: return
            // The 'xl' that watches over it destroys it in a moment; its configuration may say that it is to be kept.
            case .present(id, .poweredOff):
                let since = off ?? .now
                off = since
                if since.duration(to: .now) > Self.watcherLimit { try await host.runner.run(XLCommands.destroy(id)) }
            case .present(id, .active), .present(id, .dying): break
            case .present(let found, let state):
                throw Failure(
                    .failed, what, host: host.name.text,
                    why: found == id ? "it is \(state.rawValue)" : "it was started again",
                    remedy: "see 'xl list' and its console")
            }
            guard ContinuousClock.now < deadline else {
                throw Failure(
                    .failed, what, host: host.name.text,
                    why: "it was asked to, and still runs after \(Self.shutdownLimit)",
                    remedy:
                        "it may still do so: then start it with 'xl create'. Shut it down from within, or see why it "
                        + "does not answer ('xl console')")
            }
            try await Task.sleep(for: .milliseconds(300))
        }
    }

    /// The domain runs, on what its links lead to: it is started where it does not. On the source that is the way back.
    func boot(_ spec: MigrationSpec) async throws -> StepResult {
        var result = StepResult()
        var observation = try await clearUnfinished(spec)
        if observation == .absent {
            let path = try await checkedConfiguration(spec)
            let what = "cannot start \(spec.domain)"
            let command = XLCommands.create(configuration: path, paused: true)
            if let failure = try await host.runner.failure(ofXL: command, doing: what) {
                throw failure.on(host.name.text)
            }
            observation = try await observe(spec)
            result.notes.append("\(spec.domain) was started on \(host.name) from \(path)")
        }
        switch observation {
        case .present(_, .active): break
        case .present(let id, .paused):
            try await checkDisks(spec, id)
            try await host.runner.run(XLCommands.unpause(id))
            result.freezeEnded = .now
        case .present(_, let state):
            throw Failure(.failed, "the domain \(spec.domain) is \(state.rawValue)", host: host.name.text)
        case .absent:
            throw Failure(.failed, "the domain \(spec.domain) was started but is not there", host: host.name.text)
        }
        return result
    }
}
