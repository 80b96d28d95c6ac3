import HostModel

/// One feature of a CPU.
public struct CPUFeature: Hashable, Sendable, Codable {
    /// Which guests Xen shows the feature to when their configuration says nothing about it.
    public enum Audience: String, Sendable, Codable {
        case all
        /// HVM and PVH guests only.
        case hardwareAssisted
        case none
    }

    /// Xen's name in lower case; `word3.bit17` for a bit that has none in Xen 4.17.
    public var name: String
    public var audience: Audience

    public init(name: String, audience: Audience) {
        self.name = name
        self.audience = audience
    }

    /// Whether a guest of `type` may have found the feature when it booted, and may therefore be using it.
    public func mayBeUsed(by type: DomainType) -> Bool {
        switch (audience, type) {
        case (.all, _), (.hardwareAssisted, .pvh), (.hardwareAssisted, .hvm): true
        case (.hardwareAssisted, .pv), (.none, _): false
        }
    }
}

/// The features of a host's CPUs, as Xen saw them at boot: the `hw_caps` words of `xl info`.
public struct CPUFeatureSet: Sendable, Equatable, Codable {
    public var words: [UInt32]

    public init(words: [UInt32]) { self.words = words }

    /// Parses `078bf3fd:80002001:…`; nil for anything else.
    public init?(parsing text: some StringProtocol) {
        var words: [UInt32] = []
        for field in text.split(separator: ":", omittingEmptySubsequences: false) {
            guard field.utf8.count == 8, field.utf8.first != UInt8(ascii: "+"), let word = UInt32(field, radix: 16)
            else {
                return nil
            }
            words.append(word)
        }
        guard !words.isEmpty else { return nil }
        self.words = words
    }

    /// The features that are here and not in `other`, in the order of Xen's bits.
    public func missing(in other: CPUFeatureSet) -> [CPUFeature] {
        var missing: [CPUFeature] = []
        for (index, word) in words.enumerated() {
            let lacking = word & ~(index < other.words.count ? other.words[index] : 0)
            for bit in 0..<32 where lacking & (1 << UInt32(bit)) != 0 {
                let named = index < CPUFeatureTable.features.count ? CPUFeatureTable.features[index][bit] : nil
                missing.append(named ?? CPUFeature(name: "word\(index).bit\(bit)", audience: .all))
            }
        }
        return missing
    }

    /// What `target` lacks that a running guest of `type` may be using. A guest keeps the feature set it booted with:
    /// Xen puts its CPUID policy into the image, and the restore fails, or the guest dies of an illegal instruction
    /// later.
    public func missing(in target: CPUFeatureSet, mattersTo type: DomainType) -> [CPUFeature] {
        missing(in: target).filter { $0.mayBeUsed(by: type) }
    }
}

/// The flags of `/proc/cpuinfo`: a second source, for what `hw_caps` does not hold.
///
/// Under Xen they are what Domain-0, itself a PV guest, is shown, not what the CPU has.
public enum CPUInfoFlags {
    /// The flags of the first CPU; empty where there is no `flags` line.
    public static func parse(_ text: String) -> Set<String> {
        for line in text.split(whereSeparator: \.isNewline) {
            let parts = line.split(separator: ":", maxSplits: 1)
            if parts.count == 2, parts[0].trimmedAtEnd == "flags" {
                return Set(parts[1].split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init))
            }
        }
        return []
    }

    /// What the source's Domain-0 has and the target's has not, sorted.
    public static func missing(source: String, target: String) -> [String] {
        parse(source).subtracting(parse(target)).sorted()
    }
}
