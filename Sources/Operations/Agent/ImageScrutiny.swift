import Domains
import HostModel
import Migration
import Storage

#if canImport(Glibc)
    import Glibc
#endif

/// Looks at the configuration in front of an image before `xl restore` sees a byte of it.
///
/// `xl` takes from there which devices of this host the guest gets and which programs run for it, so an image could ask for
/// any of them. It must be that of the migration's domain, with the migration's disks and no others. Where the source has a
/// restricted key, nothing else that reaches into this host is accepted either.
struct ImageScrutiny: Sendable {
    private let spec: MigrationSpec
    private let links: String
    private let isRestricted: Bool
    /// What has come of the image's head; nil once that was found good.
    private var head: [UInt8]? = []

    init(_ spec: MigrationSpec, _ worker: HostWorker) {
        self.spec = spec
        links = worker.host.links.path
        isRestricted = worker.restriction != nil
    }

    /// The most bytes that an image of the guest can have: its pages, numbers of pages, and room for a device's state.
    var longest: Int64 { spec.memory.bytes * 2 + (256 << 20) }

    /// Takes bytes of the image and hands them on as soon as its configuration was seen. Throws `.refused`.
    mutating func pass(_ bytes: UnsafeRawBufferPointer, emit: (UnsafeRawBufferPointer) throws -> Void) throws {
        guard var gathered = head else { return try emit(bytes) }
        gathered.append(contentsOf: bytes)
        guard let json = try SavedImageHead.configuration(in: gathered) else {
            head = gathered
            return
        }
        if let why = try objection(to: json) {
            throw Failure(
                .refused, "the image of \(spec.domain) is not let in", why: why,
                remedy: isRestricted
                    ? "change the guest's configuration and start it anew, or move it with a key that is not restricted"
                    : "see what the source has saved")
        }
        head = nil
        try gathered.withUnsafeBytes(emit)
    }

    private func objection(to json: [UInt8]) throws -> String? {
        let description = try DomainDescription.parse(configuration: json)
        guard description.name == spec.domain.text, description.uuid?.lowercased() == spec.uuid.lowercased() else {
            return "it is another domain's"
        }
        let disks = description.disks.compactMap { disk in disk.path.map { [disk.device, $0] } }
        let agreed = spec.disks.map { [$0.device, "\(links)/\($0.name)"] }
        guard disks.count == agreed.count, Set(disks) == Set(agreed) else {
            return "its disks are not those of the migration"
        }
        guard isRestricted else { return nil }
        if let why = try GuestConfinement.objection(to: json) { return why }
        return description.bootFiles.lazy.compactMap(Self.objection(toBootFile:)).first
    }

    /// The guest gets these files at its next reboot here: none may be one that only root can read.
    private static func objection(toBootFile path: String) -> String? {
        guard path.hasPrefix("/") else { return "'\(path)' is not the whole path of a file to boot from" }
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        return status.st_mode & S_IFMT == S_IFREG && status.st_mode & 0o004 != 0
            ? nil : "it boots from \(path), which not everybody may read"
    }
}
