import HostModel

/// A CHAP secret. It comes from a file, goes to the kernel, and is shown nowhere.
public struct CHAPSecret: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    /// For what hands it to the kernel or writes it to a file of mode 0600.
    package let text: String

    /// RFC 7143, 12.1.3, asks for 96 bits; the kernel keeps 255 bytes (`MAX_PASS_LEN`, iscsi_target_core.h).
    public static let lengths = 12...255

    /// - Throws: `.usage`, without the text.
    public init(_ text: String) throws(Failure) {
        let why: String? =
            if !Self.lengths.contains(text.utf8.count) {
                "it has \(text.utf8.count) bytes, and may have \(Self.lengths.lowerBound) to "
                    + "\(Self.lengths.upperBound)"
            } else if !text.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) {
                "only printable ASCII characters without blanks are taken alike by every initiator"
            } else if text.hasPrefix("NULL") {
                // iscsi_target_configfs.c, __DEF_NACL_AUTH_STR.
                "the kernel takes a secret that begins with 'NULL' for none"
            } else {
                nil
            }
        if let why { throw Failure(.usage, "a CHAP secret cannot be used", why: why, remedy: "choose another one") }
        self.text = text
    }

    public var description: String { "[secret]" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// Who proves to be who, and by which secret.
public struct CHAPAccount: Sendable, Equatable {
    public var user: String
    public var secret: CHAPSecret

    /// The kernel keeps 255 bytes (`MAX_USER_LEN`); blanks and quotes part words in the files of the other targets.
    /// - Throws: `.usage`.
    public init(user: String, secret: CHAPSecret) throws(Failure) {
        let isPlain = user.utf8.allSatisfy { (0x21...0x7e).contains($0) && !"\"'\\,#".utf8.contains($0) }
        guard (1...255).contains(user.utf8.count), isPlain, !user.hasPrefix("NULL") else {
            throw Failure(
                .usage, "'\(user.prefix(100))' is not a CHAP user name",
                why: "it must be 1 to 255 printable ASCII characters without blanks, quotes, backslashes, , and #, "
                    + "and not begin with 'NULL'")
        }
        self.user = user
        self.secret = secret
    }
}

/// What a CHAP file holds: how the initiator proves itself, and where it is mutual, the target.
public struct CHAPCredentials: Sendable, Equatable {
    public var initiator: CHAPAccount
    public var target: CHAPAccount?

    /// - Throws: `.usage` where both sides use one secret: either could then answer its own challenge (RFC 7143, 12.1.3).
    public init(initiator: CHAPAccount, target: CHAPAccount?) throws(Failure) {
        if let target, target.secret == initiator.secret {
            throw Failure(
                .usage, "CHAP cannot be mutual with one secret",
                why: "initiators end a login in which both sides have the same secret", remedy: "use two secrets")
        }
        self.initiator = initiator
        self.target = target
    }

    /// The same without asking the target for a proof.
    package var oneWay: CHAPCredentials {
        var copy = self
        copy.target = nil
        return copy
    }

    /// Reads a CHAP file: lines `user = …`, `secret = …`, and for mutual CHAP `mutual_user = …`, `mutual_secret = …`;
    /// empty lines and lines that begin with `#` are passed over.
    /// - Throws: `.usage` with the file and the line, never with what stands there after the `=`.
    public init(parsing text: String, path: String) throws(Failure) {
        var values: [String: String] = [:]
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let line = Self.trimmed(line)
            if line.isEmpty || line.hasPrefix("#") { continue }
            let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let key = String(Self.trimmed(parts[0]))
            guard parts.count == 2, Self.keys.contains(key), values[key] == nil else {
                throw Self.wrong(path, "line \(index + 1) is none of '\(Self.keys.joined(separator: " = …', '")) = …'")
            }
            values[key] = String(Self.trimmed(parts[1]))
        }
        do throws(Failure) {
            guard let initiator = try Self.account(values, "") else {
                throw Failure(.usage, "'user' or 'secret' is missing")
            }
            try self.init(initiator: initiator, target: try Self.account(values, "mutual_"))
        } catch { throw Self.wrong(path, error.description) }
    }

    private static let keys = ["user", "secret", "mutual_user", "mutual_secret"]

    private static func account(_ values: [String: String], _ prefix: String) throws(Failure) -> CHAPAccount? {
        switch (values[prefix + "user"], values[prefix + "secret"]) {
        case (nil, nil): return nil
        case (let user?, let secret?): return try CHAPAccount(user: user, secret: try CHAPSecret(secret))
        case (nil, _?): throw Failure(.usage, "'\(prefix)user' is missing")
        case (_?, nil): throw Failure(.usage, "'\(prefix)secret' is missing")
        }
    }

    private static func trimmed(_ text: Substring) -> Substring {
        let start = text.drop { $0 == " " || $0 == "\t" || $0 == "\r" }
        guard let end = start.lastIndex(where: { $0 != " " && $0 != "\t" && $0 != "\r" }) else { return "" }
        return start[...end]
    }

    private static func wrong(_ path: String, _ why: String) -> Failure {
        Failure(
            .usage, "cannot use the CHAP file \(path)", why: why,
            remedy: "write 'user = NAME' and 'secret = …', for mutual CHAP also 'mutual_user' and 'mutual_secret'")
    }
}
