import DeviceMapper
import HostModel
import Hosts
import ISCSI
import Storage

/// A map of xenlvs's as it stands.
public struct MapSummary: Sendable, Encodable {
    public struct Path: Sendable, Encodable {
        /// `sdb`; the device's number where the kernel has no such disk any more.
        public var disk: String
        public var number: String
        /// From 1; 0 for a disk with the WWID that the map does not have.
        public var group: Int
        public var isUp: Bool
        /// How often the kernel has failed it.
        public var failures: Int
        public var why: String?
    }

    public var name: VolumeName
    public var device: String
    public var wwid: String
    public var policy: MapPolicy
    /// It belongs to the attachment of its name.
    public var isOfAttachment: Bool
    /// In bytes; nil where it is not there.
    public var size: ByteCount?
    /// Requests wait where no path is left.
    public var queuesWithoutPath: Bool
    /// As device-mapper has it; nil where it is not there.
    public var table: String?
    public var paths: [Path]
    public var why: String?
    public var remedy: String?
}

/// Maps that an operator makes of disks of this host, without multipathd.
public struct MapManager: Sendable {
    private let host: HostContext
    private let keeper: MapKeeper
    private let store: MapStore

    public init(host: HostContext) {
        self.host = host
        keeper = MapKeeper(host: host)
        store = MapStore(host.paths)
    }

    /// Makes one device of all disks that have the WWID of those that are named.
    ///
    /// The same again changes nothing.
    /// - Parameter disks: `sdb` or `/dev/sdb`, at least one.
    /// - Throws: `.refused` where the disks differ, have no identity, the name is taken, multipathd runs or nobody checks
    ///   paths; `.busy` where something uses one; `.notFound`.
    public func create(_ name: VolumeName, of disks: [String], _ policy: MapPolicy) async throws -> MapSummary {
        let what = "cannot make a map '\(name)'"
        return try await VolumeLock.holding(name, of: host) {
            let known = try store.record(name)
            let wwid = try wwid(of: disks, doing: what)
            let record = MapRecord(name: name, wwid: wwid, policy: policy, isOfAttachment: false)
            guard known == nil || known == record else {
                throw Failure(
                    .refused, what, why: "there is another map of that name",
                    remedy: "see 'xenlvs multipath show \(name)'")
            }
            if let other = try store.all().first(where: { $0.wwid == wwid && $0.name != name }) {
                throw Failure(.refused, what, why: "the map '\(other.name)' has the same disks")
            }
            if let other = try host.iscsiAttachments().first(where: { $0.identity.wwid == wwid }) {
                throw Failure(.refused, what, why: "the disks are those of the attachment '\(other.name)'")
            }
            let disks = SCSIDisk.all(with: wwid, in: host.tree)
            try keeper.checkAreFree(disks, record, try await keeper.find(record))
            try keeper.checkIsWatched(doing: what)
            let lock = try await keeper.waitToChange(record)
            defer { withExtendedLifetime(lock) {} }
            try store.save(record)
            do {
                // multipathd, where it runs or is started later, makes no second map over them.
                try await MultipathMaps(host: host).writeConfiguration()
                try await keeper.assemble(record, of: disks)
            } catch {
                if known == nil {
                    try store.remove(name)
                    try await MultipathMaps(host: host).writeConfiguration()
                }
                throw error
            }
            return try await summary(record)
        }
    }

    private func wwid(of names: [String], doing what: String) throws -> String {
        var wwids: [String] = []
        for name in names {
            let short = name.hasPrefix("/dev/") ? String(name.dropFirst(5)) : name
            guard short.hasPrefix("sd"), short.allSatisfy(\.isLetter), let disk = SCSIDisk.named(short, in: host.tree)
            else {
                throw Failure(
                    .notFound, what, why: "'\(name.prefix(100))' is no SCSI disk of this host", remedy: "see 'lsblk'")
            }
            guard let wwid = disk.wwid else {
                throw Failure(
                    .refused, what, why: "\(short) has no identity that is unique in the world (VPD page 0x83)")
            }
            wwids.append(wwid)
        }
        guard let first = wwids.first, wwids.allSatisfy({ $0 == first }) else {
            throw Failure(
                .refused, what, why: "the disks are different ones: \(Set(wwids).sorted().joined(separator: ", "))")
        }
        return first
    }

    /// Every map of xenlvs's, by name. Changes nothing.
    public func all() async throws -> [MapSummary] {
        var rows: [MapSummary] = []
        for record in try store.all() { rows.append(try await summary(record)) }
        return rows
    }

    /// Throws `.notFound`.
    public func map(_ name: VolumeName) async throws -> MapSummary { try await summary(try record(name)) }

    private func record(_ name: VolumeName) throws -> MapRecord {
        guard let record = try store.record(name) else {
            throw Failure(
                .notFound, "xenlvs has made no map '\(name)'",
                remedy: "see 'xenlvs multipath list'; those of multipathd are multipathd's: see 'multipath -ll'")
        }
        return record
    }

    /// Removes a map that an operator has made. Throws `.busy` where something has it open, `.refused` for an attachment's.
    public func remove(_ name: VolumeName) async throws {
        try await VolumeLock.holding(name, of: host) {
            let record = try record(name)
            guard !record.isOfAttachment else {
                throw Failure(
                    .refused, "cannot remove the map '\(name)'", why: "it belongs to the attachment of that name",
                    remedy: "xenlvs detach \(name)")
            }
            // Whoever checks paths must not make it again.
            let lock = try await keeper.waitToChange(record)
            defer { withExtendedLifetime(lock) {} }
            try store.remove(name)
            do { try await keeper.remove(record) } catch {
                try store.save(record)
                throw error
            }
            try await MultipathMaps(host: host).writeConfiguration()
        }
    }

    func summary(_ record: MapRecord) async throws -> MapSummary {
        let device = try await keeper.find(record)
        let status = try await keeper.status(record)
        let report = MapReport.all(host.paths).first { $0.name == record.name }
        let isWatched = try keeper.isWatched
        let names = SCSIDisk.namesByNumber(in: host.tree)
        let paths = (status?.groups ?? []).enumerated().flatMap { index, group in
            group.paths.map { path -> MapSummary.Path in
                let disk = names[path.device.description] ?? path.device.description
                let why = report?.paths.first { $0.disk == disk }?.why
                return MapSummary.Path(
                    disk: disk, number: path.device.description, group: index + 1, isUp: path.isActive,
                    failures: path.failures, why: path.isActive ? nil : why ?? "the kernel had an error on it")
            }
        }
        let size = device?.table.map { ByteCount.sectors(Int64(clamping: $0.sectors)) }
        let leftOut = size.map { self.leftOut(of: record, $0, paths) } ?? []
        var summary = MapSummary(
            name: record.name, device: record.identity.path, wwid: record.wwid, policy: record.policy,
            isOfAttachment: record.isOfAttachment, size: size,
            queuesWithoutPath: device?.table?.multipath?.queuesWithoutPath ?? false, table: device?.table?.description,
            paths: paths + leftOut)
        if !isWatched {
            summary.why =
                "nobody checks its paths: one that is lost is not taken back, and requests do not wait for one"
            summary.remedy = MapKeeper.watchRemedy
        } else if device?.table == nil {
            summary.why = "it is not there: " + (report?.why ?? "this host has no such disk")
            summary.remedy =
                record.isOfAttachment ? "xenlvs link repair \(record.name)" : "see 'lsblk' for disks with this WWID"
        } else if !paths.contains(where: \.isUp) {
            summary.why = "no path is left"
            summary.remedy = "see the reasons of the paths"
        } else if let path = leftOut.first {
            summary.why = "it is without \(path.disk): " + (report?.why ?? path.why ?? "it is not in the map")
            summary.remedy =
                record.isOfAttachment ? "xenlvs link repair \(record.name)" : "see 'lsblk'. \(MapKeeper.askAgain)"
        }
        return summary
    }

    /// Disks with the map's WWID that are none of its paths.
    private func leftOut(of record: MapRecord, _ size: ByteCount, _ paths: [MapSummary.Path]) -> [MapSummary.Path] {
        SCSIDisk.all(with: record.wwid, in: host.tree).filter { disk in !paths.contains { $0.disk == disk.name } }.map {
            MapSummary.Path(
                disk: $0.name, number: $0.number ?? "-", group: 0, isUp: false, failures: 0,
                why: $0.size < size
                    ? "it has \($0.size.bytes) bytes, and the map \(size.bytes)" : "it is not in the map yet")
        }
    }
}

extension MapKeeper {
    static let watchRemedy =
        "systemctl enable --now xenlvsd, or run 'xenlvs multipath watch' where there is no systemd"

    /// Throws `.refused` where nobody would take a path back that was lost.
    func checkIsWatched(doing what: String) throws {
        guard try !isWatched else { return }
        throw Failure(
            .refused, what, why: "nobody checks paths on this host", remedy: Self.watchRemedy)
    }
}
