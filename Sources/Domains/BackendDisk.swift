import HostModel

/// What a running domain's disk really is, as Domain-0's block backend has it.
///
/// This, and not the success of `xl restore`, says whether a restored guest has its disk: with a device that cannot be
/// opened (a Secondary DRBD device was tried) `xl restore -p` ends with 0, while the backend goes to state 5 and Xen's
/// error node says `2 creating vbd structure`.
public struct BackendDisk: Sendable, Equatable {
    /// The states of the xenbus handshake (`xen/include/public/io/xenbus.h`).
    public enum State: Int, Sendable, Codable {
        case unknown = 0
        case initialising
        case initWait
        case initialised
        case connected
        case closing
        case closed
        case reconfiguring
        case reconfigured
    }

    /// The path as configured.
    public var path: String
    /// The device that is open; nil before the hotplug script has run.
    public var major: UInt32?
    public var minor: UInt32?
    /// The same by its name in `/dev`, as the hotplug script resolved it: `/dev/dm-0`.
    public var device: String?
    public var writable: Bool
    public var state: State

    public init(path: String, major: UInt32?, minor: UInt32?, device: String?, writable: Bool, state: State) {
        self.path = path
        self.major = major
        self.minor = minor
        self.device = device
        self.writable = writable
        self.state = state
    }

    /// Reads the disk `device` (`xvda`) of a domain from xenstore, for ``init(parsing:)``; nil for a device name that
    /// Xen does not know. It is a block backend's disk: one served by QEMU is not found.
    ///
    /// `xenstore-read` stops at the first missing key, says so on stderr and exits with 1, having printed those before
    /// it: the keys that a disk may lack come last.
    public static func query(_ domain: DomainID, device: String) -> Command? {
        guard let number = VirtualDevice.number(device) else { return nil }
        let base = "/local/domain/0/backend/vbd/\(domain)/\(number)/"
        let keys = ["params", "mode", "state", "physical-device", "physical-device-path"]
        return Command(.xenstoreRead, ["-p"] + keys.map { base + $0 }, .query, acceptedExitCodes: [0, 1])
    }

    /// Why the backend gave up on the disk, on stdout; exit code 1 where it did not.
    public static func errorQuery(_ domain: DomainID, device: String) -> Command? {
        guard let number = VirtualDevice.number(device) else { return nil }
        let path = "/local/domain/0/error/backend/vbd/\(domain)/\(number)/error"
        return Command(.xenstoreRead, [path], .query, acceptedExitCodes: [0, 1])
    }

    /// Parses what ``query(_:device:)`` printed; nil where the domain has no such disk, or what is there is not a
    /// disk's.
    public init?(parsing text: String) {
        var fields: [Substring: Substring] = [:]
        for line in text.split(whereSeparator: \.isNewline) {
            guard let separator = line.firstRange(of: ": ") else { continue }
            let path = line[..<separator.lowerBound]
            fields[path[(path.lastIndex(of: "/").map(path.index(after:)) ?? path.startIndex)...]] =
                line[separator.upperBound...]
        }
        guard let path = fields["params"], let mode = fields["mode"],
            let state = fields["state"].flatMap({ Int($0) }).flatMap(State.init(rawValue:))
        else { return nil }
        self.path = String(path)
        self.state = state
        writable = mode.hasPrefix("w")
        device = fields["physical-device-path"].map(String.init)
        if let number = fields["physical-device"] {
            let parts = number.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 2, let major = UInt32(parts[0], radix: 16), let minor = UInt32(parts[1], radix: 16)
            else { return nil }
            self.major = major
            self.minor = minor
        }
    }

    /// Why the guest cannot use the disk, or nil. Of a domain that has not run since its restore the backend waits in
    /// state 2 for the guest; running, it is in state 4.
    public var objection: String? {
        switch state {
        case .initWait, .initialised, .connected:
            major == nil ? "the hotplug script has not named the device" : nil
        case .initialising, .reconfiguring, .reconfigured: "the backend is still being set up"
        case .closing, .closed: "the backend could not open the device, or has closed it"
        case .unknown: "the backend's state is unknown"
        }
    }
}
