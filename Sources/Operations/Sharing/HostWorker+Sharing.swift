import AoE
import Domains
import Glibc
import HostModel
import Hosts
import ISCSI
import Storage

extension HostWorker {
    /// Carries out what a host asks that shares disks with this one.
    /// - Parameter peer: who asks; what it has had attached, it alone may have given back.
    func share(_ order: ShareOrder, for peer: HostName) async throws -> ShareAnswer {
        switch order {
        case .look(let domain, let volumes): return .disks(try await sharedDisks(of: domain, volumes))
        case .edges(let name): return .edges(try await edges(of: name))
        case .initiator: return .initiator(try OpenISCSI(host: host).initiatorName())
        case .attach(let target): return .attached(try await attach(target, for: peer))
        case .detach(let name):
            guard try host.attachments().first(where: { $0.name == name })?.sharer == peer else {
                return .detached(false)
            }
            _ = try await Attachments(host: host).detach(name, force: false)
            return .detached(true)
        }
    }

    /// How the disks of a domain are here.
    func sharedDisks(of domain: DomainName, _ names: [VolumeName]) async throws -> SharedDisks {
        let attached = try host.attachments().contains { names.contains($0.name) }
        let rows = attached ? try await Attachments(host: host).list() : []
        let volumes = try host.recordedVolumes()
        let exports = volumes.contains { names.contains($0.name) } ? try await HostExports.look(host) : nil
        let migrations = try OpenMigration.all(in: host.database)
        var disks: [SharedDisk] = []
        for name in names {
            if let row = rows.first(where: { $0.name == name }) {
                disks.append(SharedDisk(row))
            } else if let volume = volumes.first(where: { $0.name == name }), let exports {
                let link = try await LinkKeeper(host: host).facts(name, volume, migrations)
                disks.append(SharedDisk(volume, link, exports.items.filter { $0.volume == name }))
            } else {
                disks.append(SharedDisk(name: name, kind: .absent))
            }
        }
        let files = KernelFile.names(in: "/etc/xen/auto")
        return SharedDisks(
            host: host.name, disks: disks, hasDomain: try await hasDomain(domain),
            startsAtBoot: files.contains { $0 == domain.text || $0.hasPrefix("\(domain).") })
    }

    /// A host without Xen serves disks and runs nothing.
    private func hasDomain(_ name: DomainName) async throws -> Bool {
        do {
            let listing = try await host.runner.domains()
            return listing.entries.contains { $0.name == name.text || $0.name?.hasPrefix("\(name)--") == true }
        } catch let failure as Failure where failure.code == .notFound { return false }
    }

    private func edges(of name: VolumeName) async throws -> DiskEdges {
        guard case .link(let target, .device) = try host.links.read(name) else {
            throw Failure(
                .notFound, "cannot read \(host.links.path(of: name))", why: "the link leads to no device",
                remedy: "xenlvs link repair \(name)")
        }
        let size = try BlockDevice(at: target).size()
        return try await Blocking.run("xenlvs.edges") { try DiskEdges.read(target, size: size) }
    }

    private func attach(_ target: SharedTarget, for peer: HostName) async throws -> SharedDisk {
        let found: SharedIdentity
        let wasThere: Bool
        switch target.way {
        case .iscsi(let name, let lun, let portals, let chapFile):
            let known = try host.iscsiAttachments().first {
                $0.name == target.name && $0.target == name && $0.lun == lun
            }
            let attached = try await ISCSIAttachmentManager(host: host).attach(
                ISCSIAttachRequest(
                    name: target.name, target: name,
                    paths: try known?.ways(sharedBy: portals) ?? portals.map { ISCSIPath(portal: $0) }, lun: lun,
                    chapFile: chapFile, limit: .seconds(60), sharer: peer))
            (found, wasThere) = (.wwid(attached.attachment.identity.wwid), attached.wasThere)
        case .aoe(let address, let interfaces):
            let attached = try await AttachmentManager(host: host).attach(
                AttachRequest(
                    name: target.name, address: address, interfaces: interfaces, limit: .seconds(60), sharer: peer,
                    takesFlushes: target.takesFlushes == true))
            (found, wasThere) = (.serial(attached.attachment.identity.serial), attached.wasThere)
        }
        guard found == target.identity else {
            if !wasThere { _ = try await Attachments(host: host).detach(target.name, force: false) }
            throw Failure(
                .refused, "'\(target.name)' is not the disk that it has to be",
                why: "it has \(found), and \(peer) serves \(target.identity)", remedy: "see 'xenlvs exports' on both")
        }
        let row = try await Attachments(host: host).list().first { $0.name == target.name }
        return row.map { SharedDisk($0) } ?? SharedDisk(name: target.name, kind: .absent)
    }
}

extension ISCSIAttachment {
    /// Its paths, where it does for a share that asks for it by these portals.
    ///
    /// By one portal a share asks for a way to the disk: the address that the host is reached from, where its operator
    /// has not said otherwise. Any other way that is there does as well. Several are asked for so that one may be lost:
    /// all of them have to be there.
    /// - Throws: `.refused` where one of several is not.
    func ways(sharedBy portals: [Portal]) throws(Failure) -> [ISCSIPath] {
        let own = paths.map(\.portal)
        let missing = portals.filter { !own.contains($0) }
        guard portals.count > 1, !missing.isEmpty else { return paths }
        throw Failure(
            .refused, "'\(name)' is attached already, and not by \(missing.map(\.description).joined(separator: ", "))",
            why: "it is attached by \(own.map(\.description).joined(separator: ", ")), and that stays as it is",
            remedy:
                "leave --portal out, or name only hosts that do not have it yet; for other portals, 'xenlvs unshare' "
                + "and share it anew")
    }
}

extension SharedDisk {
    init(_ row: AttachmentRow) {
        switch row {
        case .iscsi(let row):
            let isUsable = row.state == .up || row.state == .degraded
            self.init(
                name: row.name, kind: .attached, identities: [.wwid(row.recorded.wwid)], size: row.size,
                link: row.link, isUsable: isUsable && [.asRecorded, .silent].contains(row.target), row.why, row.remedy)
        case .aoe(let row):
            self.init(
                name: row.name, kind: .attached, identities: [.serial(row.recorded.serial)], size: row.size,
                link: row.link, isUsable: row.state == .up && [.asRecorded, .silent].contains(row.target), row.why,
                row.remedy)
        }
    }

    private init(
        name: VolumeName, kind: Kind, identities: [SharedIdentity], size: ByteCount?, link: LinkFacts, isUsable: Bool,
        _ why: String?, _ remedy: String?
    ) {
        self.init(name: name, kind: kind, identities: identities, size: size)
        hasCache = link.node.flatMap { try? BlockDevice(at: $0).hasVolatileCache() }
        if !isUsable {
            (self.why, self.remedy) = (why ?? "it is not up", remedy)
        } else if link.verdict != .right {
            (self.why, self.remedy) = (link.why ?? "its link is \(link.verdict.rawValue)", link.remedy)
        }
    }

    init(_ volume: Volume, _ link: LinkFacts, _ exports: [HostExports.Item]) {
        let broken = exports.first { $0.why != nil }
        self.init(
            name: volume.name, kind: exports.isEmpty ? .local : .exported, identities: exports.map(\.identity),
            size: link.node.flatMap { try? BlockDevice(at: $0).size() }, link: link,
            isUsable: broken == nil && volume.state == .active, broken?.why,
            "see 'xenlvs exports' and 'xenlvs volume show \(volume.name)'")
    }
}

extension RecordedAttachment {
    /// The host that has had it attached here, to share it; nil where an operator of this one has.
    var sharer: HostName? {
        switch self {
        case .aoe(let attachment): attachment.sharer
        case .iscsi(let attachment): attachment.sharer
        }
    }
}
