import Domains
import FoundationEssentials
import Glibc
import HostModel

/// The `xl` that a domain's start has left behind: it restarts a domain that reboots, and clears away one that has shut down.
///
/// Up to Xen 4.19 it takes a suspension for the end of its work: it says "Domain has suspended", "Done. Exiting now"
/// (`handle_domain_death`, `create_domain` in tools/xl/xl_vmcontrol.c). Where the domain runs on afterwards, as after a checkpoint
/// or a hand-over that has failed, a reboot from within would be its end, and one that has shut down would keep its memory and
/// its disks. It looks at the domain only when xenstore tells of a change, and only at how it is by then: stopped meanwhile, it
/// finds a domain that runs.
struct DomainWatcher: Sendable {
    private let process: Int32

    /// Nil where nobody watches over the domain, or nobody that is known here.
    static func of(_ id: DomainID) -> DomainWatcher? { all { $0 == id }.first }

    /// Lets those go that an earlier process has held whose domain is not there any more: they notice, and end.
    static func letGoStrays(existing ids: [DomainID]) {
        for watcher in all(of: { !ids.contains($0) }) { watcher.letGo() }
    }

    /// Runs what suspends a domain and may let it run on. Whose outcome is not known is still at work: then the watcher is let go
    /// by whoever looks after the domain next.
    static func spared<Result>(_ id: DomainID, _ body: () async throws -> Result) async throws -> Result {
        let watcher = of(id)
        watcher?.hold()
        do {
            let result = try await body()
            watcher?.letGo()
            return result
        } catch {
            if (error as? Failure)?.code != .outcomeUnknown { watcher?.letGo() }
            throw error
        }
    }

    func hold() { kill(process, SIGSTOP) }
    func letGo() { kill(process, SIGCONT) }

    private static func all(of isMeant: (DomainID) -> Bool) -> [DomainWatcher] {
        let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return entries.compactMap { entry in
            guard let process = Int32(entry), KernelFile.read("/proc/\(entry)/comm") == "xl\n",
                // What it prints goes to a file of its own; anything else might have no end.
                resolvedPath("/proc/\(entry)/fd/1")?.hasPrefix("/var/log/xen/xl-") == true,
                let log = KernelFile.read("/proc/\(entry)/fd/1"), let id = domain(in: log, watchedBy: process),
                isMeant(id)
            else { return nil }
            return DomainWatcher(process: process)
        }
    }

    /// Which domain the process watches over, by the last of its lines that says so: a restarted domain has another number.
    static func domain(in log: String, watchedBy process: Int32) -> DomainID? {
        for line in log.split(whereSeparator: \.isNewline).reversed() {
            guard line.hasPrefix("Waiting for domain "), line.hasSuffix(") to die [pid \(process)]"),
                let number = line.split(separator: "(domid ").last?.prefix(while: \.isNumber)
            else { continue }
            return DomainID(parsing: String(number))
        }
        return nil
    }
}
