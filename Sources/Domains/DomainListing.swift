import HostModel

/// One line of `xl list`.
public struct DomainListEntry: Sendable, Equatable, Codable {
    /// Why a name is not the domain's own for the moment: what `xl migrate` does to names (`tools/xl/xl_migrate.c`).
    public enum Handover: String, Sendable, Codable {
        /// `NAME--incoming`: being received; not yet allowed to run.
        case incoming = "--incoming"
        /// `NAME--migratedaway`: the emptied source of a finished migration, about to be destroyed.
        case migratedAway = "--migratedaway"
    }

    /// nil for the control domain, Domain-0.
    public var id: DomainID?
    /// nil where Xen knows the domain but xenstore does not: a zombie, printed as `(null)`.
    public var name: String?
    /// What Xen has given the domain by now, in whole MiB; less than its target while an image is being restored.
    public var memory: ByteCount
    public var virtualCPUs: Int
    public var state: DomainState

    /// Set while `xl migrate` works on the domain.
    public var handover: Handover? {
        guard let name else { return nil }
        return [Handover.incoming, .migratedAway].first { name.hasSuffix($0.rawValue) }
    }

    public init(id: DomainID?, name: String?, memory: ByteCount, virtualCPUs: Int, state: DomainState) {
        self.id = id
        self.name = name
        self.memory = memory
        self.virtualCPUs = virtualCPUs
        self.state = state
    }
}

/// Everything that runs or stands on a host, from `xl list`.
public struct DomainListing: Sendable, Equatable {
    public var entries: [DomainListEntry]

    public init(entries: [DomainListEntry]) { self.entries = entries }

    /// Parses the output of ``XLCommands/list()``. Throws an `.inconsistent` failure for a line that it cannot read:
    /// a domain that is overlooked could be started a second time.
    ///
    /// A name can be longer than its column and can hold spaces, so each line is read from its end: time, state, CPUs,
    /// memory, number.
    public init(parsing text: String) throws(Failure) {
        var lines = text.split(whereSeparator: \.isNewline)[...]
        guard let header = lines.popFirst(), header.hasPrefix("Name "), header.contains("\tState\t") else {
            throw Failure(
                .inconsistent, "cannot read the list of domains", why: "'xl list' did not print its heading",
                remedy: "run 'xl list' by hand and see what it says")
        }
        entries = []
        for line in lines {
            guard let entry = Self.entry(line) else {
                throw Failure(.inconsistent, "cannot read the list of domains", why: "unknown line '\(line)'")
            }
            entries.append(entry)
        }
    }

    private static func entry(_ line: Substring) -> DomainListEntry? {
        var rest = line
        func lastField() -> Substring {
            rest = rest.trimmedAtEnd
            let start = rest.lastIndex { $0 == " " || $0 == "\t" }.map(rest.index(after:)) ?? rest.startIndex
            defer { rest = rest[..<start] }
            return rest[start...]
        }
        guard Double(lastField()) != nil, let state = DomainState(letters: lastField()),
            let virtualCPUs = Int(lastField()), let memory = Int64(lastField()), memory >= 0, memory < 1 << 40
        else { return nil }
        let number = lastField()
        let id = DomainID(parsing: number)
        guard id != nil || number == "0" else { return nil }
        let name = String(rest.trimmedAtEnd)
        guard !name.isEmpty else { return nil }
        return DomainListEntry(
            id: id, name: name == "(null)" ? nil : name, memory: .mebibytes(memory), virtualCPUs: virtualCPUs,
            state: state)
    }

    /// The domain of that name. `xl` and libxl allow one only.
    public func domain(named name: DomainName) -> DomainListEntry? {
        entries.first { $0.id != nil && $0.name == name.text }
    }

    public func domain(_ id: DomainID) -> DomainListEntry? { entries.first { $0.id == id } }
}

extension Substring {
    var trimmedAtEnd: Substring {
        var trimmed = self
        while let last = trimmed.last, last == " " || last == "\t" { trimmed.removeLast() }
        return trimmed
    }
}
