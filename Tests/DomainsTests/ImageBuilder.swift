/// Builds saved images record by record, as `xl save` does.
struct ImageBuilder {
    var bytes: [UInt8] = []
    /// Where each record begins.
    var boundaries: [Int] = []

    static func little<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
        (0..<Value.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> Value($0 * 8)) }
    }

    static func big<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] { little(value).reversed() }

    mutating func header(
        magic: String = "Xen saved domain, xl format\n \0 \r", byteOrder: UInt32 = 0x0102_0304, flags: UInt32 = 3,
        json: String, optionalLength: UInt32? = nil, configurationLength: UInt32? = nil
    ) {
        let configuration = Array(json.utf8) + [0]
        bytes += Array(magic.utf8)
        let words: [UInt32] = [byteOrder, flags, 0, optionalLength ?? UInt32(configuration.count + 4)]
        for word in words { bytes += Self.little(word) }
        bytes += Self.little(configurationLength ?? UInt32(configuration.count)) + configuration
    }

    mutating func libxlHeader(mark: String = "LibxlFmt", version: UInt32 = 2, options: UInt32 = 0) {
        bytes += Array(mark.utf8) + Self.big(version) + Self.big(options)
    }

    mutating func libxcHeaders(
        marker: UInt64 = .max, id: UInt32 = 0x5845_4E46, version: UInt32 = 3, options: UInt16 = 0, type: UInt32 = 1,
        pageShift: UInt16 = 12
    ) {
        bytes += Self.big(marker) + Self.big(id) + Self.big(version) + Self.big(options) + [0, 0, 0, 0, 0, 0]
        bytes += Self.little(type) + Self.little(pageShift) + [0, 0] + Self.little(UInt32(4)) + Self.little(UInt32(17))
    }

    /// A record of either kind, padded to 8 bytes.
    mutating func record(_ type: UInt32, _ body: [UInt8] = [], length: UInt32? = nil) {
        boundaries.append(bytes.count)
        bytes += Self.little(type) + Self.little(length ?? UInt32(body.count)) + body
        bytes += Array(repeating: 0, count: (8 - body.count % 8) % 8)
    }

    /// A record of memory: `numbers` page numbers, the first `full` of them with content.
    mutating func pages(_ numbers: Int, full: Int, count: UInt32? = nil) {
        var body = Self.little(count ?? UInt32(numbers)) + [0, 0, 0, 0]
        for number in 0..<numbers { body += Self.little(UInt64(number)) }
        record(1, body + Array(repeating: 0x5A, count: full * 4096))
    }

    static let stateEnd: UInt32 = 0
    static let libxlEnd: UInt32 = 0

    /// A small image that is whole. `omitting` leaves out libxc records of a type.
    static func whole(
        type: String = "pv", json: String? = nil, version: UInt32 = 3, omitting: UInt32? = nil,
        altering: (inout ImageBuilder) -> Void = { _ in }
    ) -> ImageBuilder {
        var image = ImageBuilder()
        image.header(json: json ?? Recorded.configuration(type: type))
        image.libxlHeader()
        image.record(1)
        image.libxcHeaders(version: version, type: type == "pv" ? 1 : 2)
        func add(_ type: UInt32, _ body: [UInt8] = []) { if type != omitting { image.record(type, body) } }
        if type == "pv" { add(0x02, [8, 4, 0, 0, 0, 0, 0, 0]) }
        add(0x11, Array(repeating: 1, count: 24))
        add(0x12, Array(repeating: 1, count: 16))
        if version == 3 { add(0x10) }
        if type == "pv" { add(0x03, Array(repeating: 2, count: 16)) }
        if omitting != 1 {
            image.pages(3, full: 2)
            image.pages(5, full: 0)
            image.pages(1, full: 1)
        }
        add(0x08, Array(repeating: 3, count: 24))
        if type == "pv" {
            add(0x07, Array(repeating: 4, count: 4096))
            add(0x04, Array(repeating: 5, count: 5176))
            add(0x05, Array(repeating: 6, count: 69))
        } else {
            add(0x09, Array(repeating: 4, count: 2000))
            add(0x0A, Array(repeating: 5, count: 40))
        }
        altering(&image)
        image.record(stateEnd)
        if type == "hvm" {
            image.record(2, Array("12345678key\0value\0".utf8))
            image.record(3, Array(repeating: 9, count: 3001))
        }
        image.record(libxlEnd)
        return image
    }
}
