import FoundationEssentials
import Glibc
import HostModel
import Hosts
import ISCSI

/// open-iscsi on this host: the initiator's name, node records, logins. One change of it at a time.
struct OpenISCSI: Sendable {
    let host: HostContext

    /// How long a login or logout may take before its outcome is unknown: two attempts of ten seconds, and their pauses.
    private static let patience = Duration.seconds(60)

    /// Runs `body` while no other command changes the initiator. Throws `.busy` after two minutes.
    static func holding<Value>(_ host: HostContext, _ body: () async throws -> Value) async throws -> Value {
        try PrivateDirectory.prepare(host.paths.run)
        let lock = try await FileLock.waiting(
            path: "\(host.paths.run)/iscsi-initiator.lock", purpose: "a change to the iSCSI initiator",
            limit: .seconds(120))
        defer { withExtendedLifetime(lock) {} }
        return try await body()
    }

    private func place(_ path: String) -> String { host.tree.root + path }

    /// The name by which targets know this host. It is made where there is none, and never changed.
    func initiatorName() throws -> ISCSIName {
        let path = place(InitiatorNameFile.path)
        if let text = KernelFile.read(path), let name = try InitiatorNameFile.name(in: text) { return name }
        try makeDirectories(to: InitiatorNameFile.path, mode: 0o755)
        var generator = SystemRandomNumberGenerator()
        let name = InitiatorNameFile.newName(using: &generator)
        try DurableFile.replace(path, with: Array(InitiatorNameFile.text(of: name).utf8))
        return name
    }

    /// The same where there is one; makes none.
    func presentName() throws -> ISCSIName? {
        try KernelFile.read(place(InitiatorNameFile.path)).flatMap { try InitiatorNameFile.name(in: $0) }
    }

    // MARK: Records

    /// Writes an attachment's records with its secrets, 0600 in directories of 0700.
    /// - Throws: `.refused` where open-iscsi has others for the target: they could log in by themselves, unlooked at.
    func write(_ attachment: ISCSIAttachment, _ credentials: CHAPCredentials?) throws {
        try checkHasNoOther(attachment)
        for path in attachment.paths {
            let record = attachment.nodeRecord(path, credentials)
            if let binding = record.binding {
                try makeDirectories(to: binding.path, mode: 0o700)
                try DurableFile.replace(place(binding.path), with: Array(binding.text.utf8))
            }
            try makeDirectories(to: record.path, mode: 0o700)
            try DurableFile.replace(place(record.path), with: Array(record.text.utf8))
        }
    }

    /// Removes an attachment's records, and directories that have become empty.
    func remove(_ attachment: ISCSIAttachment) throws {
        for path in attachment.paths {
            let file = attachment.nodeRecord(path, nil).path
            try DurableFile.remove(place(file))
            var directory = Substring(file)
            for _ in 0..<2 {
                directory = directory.prefix(upTo: directory.lastIndex(of: "/") ?? directory.startIndex)
                if rmdir(place(String(directory))) != 0 { break }
            }
        }
    }

    /// Throws `.refused` for records of the target that are not the attachment's.
    func checkHasNoOther(_ attachment: ISCSIAttachment) throws {
        let own = Set(attachment.paths.map { attachment.nodeRecord($0, nil).path })
        let directory = "\(NodeRecord.directory)/\(attachment.target)"
        for portal in KernelFile.names(in: place(directory)) {
            let files = KernelFile.names(in: place("\(directory)/\(portal)")).map { "\(directory)/\(portal)/\($0)" }
            guard let other = files.first(where: { !own.contains($0) }) else { continue }
            throw Failure(
                .refused, "cannot attach \(attachment.target)",
                why: "open-iscsi has a record of it that xenlvs has not made (\(other)), and may log in by it at boot",
                remedy: "remove it: iscsiadm -m node -T \(attachment.target) -o delete")
        }
    }

    private func makeDirectories(to path: String, mode: mode_t) throws {
        var made = host.tree.root
        for part in path.split(separator: "/").dropLast() {
            made += "/\(part)"
            guard mkdir(made, mode) == 0 || errno == EEXIST else { throw Failure.system("cannot make \(made)") }
        }
    }

    // MARK: Sessions

    func sessions(to target: ISCSIName) -> [ISCSISession] {
        ISCSISession.all(in: host.tree).filter { $0.target == target.text }
    }

    func session(_ path: ISCSIPath, of attachment: ISCSIAttachment) -> ISCSISession? {
        ISCSISession.all(in: host.tree).first { $0.takes(path, to: attachment.target) }
    }

    /// Logs in by one path, where there is no session yet.
    func login(_ path: ISCSIPath, of attachment: ISCSIAttachment) async throws {
        guard session(path, of: attachment) == nil else { return }
        let arguments = [
            "--mode", "node", "--targetname", attachment.target.text, "--portal", path.portal.description,
            "--interface",
            attachment.nodeRecord(path, nil).interfaceName, "--login",
        ]
        let result = try await host.runner.run(
            Command(
                .iscsiadm, arguments, .mutation, deadline: Self.patience, acceptedExitCodes: Set(LoginEnd.known.keys)))
        guard case .exited(let code) = result.termination, let end = LoginEnd.known[code] else { return }
        if case .done = end { return }
        throw end.failure("cannot log in to \(attachment.target) at \(path.words)", result.lastWords)
    }

    /// Ends a session, whose disks go with it.
    func logout(_ session: ISCSISession) async throws {
        // 21: it has gone meanwhile (ISCSI_ERR_NO_OBJS_FOUND, include/iscsi_err.h).
        try await host.runner.run(
            Command(
                .iscsiadm, ["--mode", "session", "--sid", "\(session.number)", "--logout"], .mutation,
                deadline: Self.patience, acceptedExitCodes: [0, 21]))
    }

    /// Makes the kernel ask a session's disks for their size again.
    func rescan(_ session: ISCSISession) async throws {
        try await host.runner.run(
            Command(
                .iscsiadm, ["--mode", "session", "--sid", "\(session.number)", "--rescan"], .mutation,
                deadline: Self.patience))
    }
}

/// What an exit code of iscsiadm says of a login (include/iscsi_err.h of open-iscsi 2.1.8).
enum LoginEnd: Sendable {
    case done
    case failed(Failure.Code, why: String, remedy: String)

    static let known: [Int32: LoginEnd] = [
        0: .done, 15: .done,
        8: .failed(.unreachable, why: "the portal gives no answer", remedy: "see the network, and the target's host"),
        19: .failed(.refused, why: "the target refuses the login", remedy: "see the target's log"),
        20: .failed(
            .failed, why: "iscsid does not run",
            remedy: "start it: 'systemctl start iscsid', or 'iscsid' where there is no systemd"),
        24: .failed(
            .refused, why: "the target does not accept who this host says it is (CHAP)",
            remedy: "see the CHAP file, and the target's log"),
    ]

    func failure(_ what: String, _ words: String) -> Failure {
        guard case .failed(let code, let why, let remedy) = self else { return Failure(.failed, what, why: words) }
        let said = ProbeAnswer.plain(words)
        return Failure(code, what, why: said.isEmpty ? why : "\(why): \(said)", remedy: remedy)
    }
}
