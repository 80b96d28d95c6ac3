import HostModel
import Hosts
import Migration
import Storage

/// Looks at this host, and at another one beside it, for what stands in the way of a migration. Changes nothing.
public struct Doctor: Sendable {
    private let worker: HostWorker
    private var host: HostContext { worker.host }

    public init(worker: HostWorker) { self.worker = worker }

    /// What is to be said of this host, of `target` and of the two together; the worst first.
    public func examine(target: HostName?) async throws -> [Finding] {
        let query = SurveyQuery(domain: nil, volumes: [])
        let here = try await worker.survey(query)
        var findings: [Finding]
        if let target {
            findings = await examine(here, with: target, query)
        } else {
            findings = Preflight.hostFindings(here)
        }
        findings += await Housekeeping(host: host).findings()
        return Self.sorted(findings)
    }

    /// What `migrate` would say of a domain, and whatever else is to be said of this host.
    /// - Throws: `.notFound`, `.refused` or `.unreachable` where the domain or the target cannot be asked at all.
    public func judge(_ request: MigrationRequest) async throws -> [Finding] {
        let findings = try await MigrationStarter(worker: worker).prospect(request).findings
        return Self.sorted(findings + (await Housekeeping(host: host).findings()))
    }

    private func examine(_ here: HostSurvey, with target: HostName, _ query: SurveyQuery) async -> [Finding] {
        let remote = RemoteHost(target, from: host, version: worker.version)
        defer { remote.close() }
        do {
            _ = try await remote.hello()
            let there = try await remote.survey(query)
            return Preflight(source: here, target: there, subject: nil).findings()
        } catch {
            let failure = Failure(error, doing: "cannot examine \(target)")
            return Preflight.hostFindings(here)
                + [Finding(.blocking, target, failure.what, why: failure.why, remedy: failure.remedy)]
        }
    }

    /// The worst first, each once: a program that is missing is missed more than once.
    static func sorted(_ findings: [Finding]) -> [Finding] {
        var unique: [Finding] = []
        for finding in findings where !unique.contains(finding) { unique.append(finding) }
        return unique.enumerated().sorted { left, right in
            left.element.severity == right.element.severity
                ? left.offset < right.offset : left.element.severity > right.element.severity
        }.map(\.element)
    }

    /// The one thing to say of a host whose journal or configuration cannot be read: nothing else can be asked then.
    public static func findings(for failure: Failure, on host: String) -> [Finding] {
        let name = (try? HostName(host)) ?? HostName(unchecked: "this-host")
        return [Finding(.blocking, name, failure.what, why: failure.why, remedy: failure.remedy)]
    }
}
