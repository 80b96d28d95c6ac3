import HostModel

/// A share as a listing has it.
public struct ShareRow: Sendable, Encodable {
    public var domain: DomainName
    public var way: ShareRecord.Way
    /// This one first.
    public var hosts: [HostName]
    public var volumes: [VolumeName]
    /// Guests on several hosts may write to them at the same time.
    public var hasClusterFileSystem: Bool
    /// Where there is a domain of that name, as far as hosts have answered.
    public var runsOn: [HostName] = []
    /// Those that could not be asked.
    public var unanswered: [HostName] = []
    /// All of them see the same disks.
    public var isShared = false
    /// Nothing speaks against that, but some could not be asked.
    public var isUnknown = false
    public var why: String?
    public var remedy: String?
}

extension ShareRow {
    /// How a share stands by what its hosts say, this one first. Pure.
    /// - Parameter answers: in the order of the hosts.
    init(_ record: ShareRecord, hosts: [HostName], _ answers: [Result<SharedDisks, Failure>]) {
        self.init(
            domain: record.domain, way: record.way, hosts: hosts, volumes: record.volumes,
            hasClusterFileSystem: record.hasClusterFileSystem == true)
        let views = answers.compactMap { try? $0.get() }
        runsOn = views.filter(\.hasDomain).map(\.host)
        if runsOn.count > 1, !hasClusterFileSystem {
            why = "the domain is on \(runsOn.count) hosts: two guests on one disk destroy it"
            remedy = "destroy the one that is not meant, at once: xl destroy \(domain)"
        } else if let first = answers.first, case .success = first {
            judge(views, ofAll: views.count == hosts.count)
        }
        noteSilent(answers)
    }

    private mutating func judge(_ views: [SharedDisks], ofAll isWhole: Bool) {
        // One alone says nothing of whether others see the same.
        guard isWhole || views.count > 1 else { return }
        switch SharedStorage(views) {
        case .shared: isShared = isWhole
        case .apart(let why):
            (self.why, remedy) = (why, "repeat 'xenlvs share', or 'xenlvs unshare \(domain)'")
        case .broken(let name, let why, let remedy): (self.why, self.remedy) = ("\(name): \(why)", remedy)
        }
    }

    private mutating func noteSilent(_ answers: [Result<SharedDisks, Failure>]) {
        let silent = zip(hosts, answers).compactMap { host, answer -> (host: HostName, failure: Failure)? in
            if case .failure(let failure) = answer { (host, failure) } else { nil }
        }
        guard let first = silent.first else { return }
        unanswered = silent.map(\.host)
        isUnknown = why == nil
        let words = silent.map { "\($0.host) could not be asked: \($0.failure.why ?? $0.failure.what)" }
        why = ([why].compactMap(\.self) + words).joined(separator: "; ")
        remedy = remedy ?? first.failure.remedy
    }
}
