import HostModel

extension IETConfiguration {
    /// Reads the files of a host that runs, or ran, that target. One of its targets that has a line which cannot be used is
    /// left out, and told.
    /// - Throws: `.usage` with the line, where that is before the first target; never with what follows a user's name.
    public init(parsing files: Files) throws(Failure) {
        self.init()
        var isLeftOut = false
        for (number, words) in Self.lines(files.configuration) {
            let isFirst = words[0].lowercased() == "target"
            if isLeftOut, !isFirst { continue }
            do throws(Failure) {
                try take(words)
                isLeftOut = false
            } catch {
                isLeftOut = try leaveOut(words, isFirst, line: number, error)
            }
        }
        allowedInitiators = try Self.rules(files.initiatorsAllow, "initiators.allow")
        allowedPortals = try Self.rules(files.targetsAllow, "targets.allow")
    }

    /// Says what is left out for a line that cannot be used.
    /// - Returns: whether that is a target, with all of its lines.
    private mutating func leaveOut(
        _ words: [String], _ isFirst: Bool, line number: Int, _ failure: Failure
    ) throws(Failure) -> Bool {
        let place = "line \(number) of ietd.conf"
        if let name = isFirst ? words.dropFirst().first ?? words[0] : targets.popLast()?.name.text {
            leftOut.append("\(name.prefix(ISCSIName.longest)): \(place): \(failure.description)")
            return true
        }
        guard Self.accountKeys.contains(words[0].lowercased()), words.count == 3 else {
            throw Failure(.usage, "\(place) cannot be used", why: failure.description)
        }
        leftOut.append("discovery: \(place): \(failure.description)")
        return false
    }

    private static let accountKeys = ["incominguser", "outgoinguser"]

    /// Lines with their numbers. A backslash at the end of a line joins the next; `#` begins a comment only at the
    /// beginning of a line.
    private static func lines(_ text: String) -> [(Int, [String])] {
        var lines: [(Int, [String])] = []
        var (start, pending) = (1, "")
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            if pending.isEmpty { start = index + 1 }
            if line.hasSuffix("\\") {
                pending += line.dropLast() + " "
                continue
            }
            let words = (pending + line).split(whereSeparator: \.isWhitespace).map(String.init)
            pending = ""
            if let first = words.first, !first.hasPrefix("#") { lines.append((start, words)) }
        }
        return lines
    }

    private mutating func take(_ words: [String]) throws(Failure) {
        let keyword = words[0].lowercased()
        switch (keyword, words.count, targets.isEmpty) {
        case ("target", 2, _): targets.append(Target(name: try ISCSIName(words[1])))
        case ("incominguser", 3, true): discoveryIncoming.append(try Self.account(words))
        case ("outgoinguser", 3, true): discoveryOutgoing = try Self.account(words)
        case ("incominguser", 3, false): targets[targets.count - 1].incoming.append(try Self.account(words))
        case ("outgoinguser", 3, false): targets[targets.count - 1].outgoing = try Self.account(words)
        case ("lun", 3, false): targets[targets.count - 1].units.append(try Self.unit(words))
        case ("target", _, _), ("incominguser", _, _), ("outgoinguser", _, _), ("lun", _, _):
            throw Failure(.usage, "'\(words[0])' has too few or too many words, or stands before the first target")
        case (_, 2..., false):
            targets[targets.count - 1].parameters[words[0]] = words.dropFirst().joined(separator: " ")
        // Nothing of a name service is taken over.
        case ("isnsserver", 2..., true), ("isnsaccesscontrol", 2..., true): break
        default: throw Failure(.usage, "'\(words[0].prefix(100))' is not understood here")
        }
    }

    private static func account(_ words: [String]) throws(Failure) -> CHAPAccount {
        try CHAPAccount(user: words[1], secret: try CHAPSecret(words[2]))
    }

    private static func unit(_ words: [String]) throws(Failure) -> Unit {
        guard let number = Int(words[1]), (0...16383).contains(number) else {
            throw Failure(.usage, "'\(words[1].prefix(100))' is not a LUN")
        }
        var values: [String: String] = [:]
        for item in words[2].split(separator: ",") {
            let parts = item.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2, values.updateValue(parts[1], forKey: parts[0]) == nil else {
                throw Failure(.usage, "'\(item.prefix(100))' is not KEY=VALUE, or there twice")
            }
        }
        return Unit(number: number, values: values)
    }

    private static func rules(_ text: String, _ file: String) throws(Failure) -> [String: [String]] {
        var rules: [String: [String]] = [:]
        for (number, words) in lines(text) {
            let items = words.dropFirst().joined(separator: " ").split(separator: ",").map { item in
                item.split(separator: " ").joined(separator: " ")
            }
            guard !items.isEmpty, items.allSatisfy({ !$0.isEmpty && !$0.contains(" ") }), rules[words[0]] == nil else {
                throw Failure(
                    .usage, "line \(number) of \(file) is not TARGET NAME, NAME, or its target is there twice")
            }
            rules[words[0]] = items
        }
        return rules
    }
}
