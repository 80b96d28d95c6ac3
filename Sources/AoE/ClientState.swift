/// What clients set on a target, and expect to find again after a restart.
struct ClientState: Sendable {
    /// The configuration string: any bytes, at most `Wire.configurationLimit`.
    var configuration = ConfigurationString()
    /// Who may use the target; everybody where it is empty.
    var masks = MACList()
    /// Who has reserved the target; nobody where it is empty.
    var reservation = MACList()
}

/// The bytes of the configuration string.
struct ConfigurationString: Sendable {
    private(set) var count = 0
    private var bytes = InlineArray<1024, UInt8>(repeating: 0)

    init() {}

    init(_ source: UnsafeRawBufferPointer) {
        precondition(source.count <= Wire.configurationLimit)
        count = source.count
        for (position, byte) in source.enumerated() { bytes[position] = byte }
    }

    var all: [UInt8] { (0..<count).map { bytes[$0] } }

    func isEqual(to other: borrowing ConfigurationString) -> Bool {
        guard count == other.count else { return false }
        for position in 0..<count where bytes[position] != other.bytes[position] { return false }
        return true
    }

    func hasPrefix(_ other: UnsafeRawBufferPointer) -> Bool {
        guard other.count <= count else { return false }
        for position in 0..<other.count where bytes[position] != other[position] { return false }
        return true
    }

    func copy(to destination: UnsafeMutableRawPointer) {
        for position in 0..<count {
            destination.storeBytes(of: bytes[position], toByteOffset: position, as: UInt8.self)
        }
    }
}
