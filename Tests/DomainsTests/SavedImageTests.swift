import Domains
import HostModel
import Synchronization
import Testing

@Suite("Saved images")
struct SavedImageTests {
    func check(_ bytes: [UInt8]) throws -> SavedImage.Answer { try SavedImage.check(SavedImageSource(bytes: bytes)) }

    func reason(_ bytes: [UInt8]) throws -> String? {
        guard case .notAnImage(let reason) = try check(bytes) else { return nil }
        return reason
    }

    @Test("A whole image is complete and tells its domain", arguments: ["pv", "pvh", "hvm"])
    func whole(type: String) throws {
        let image = ImageBuilder.whole(type: type)
        guard case .complete(let summary) = try check(image.bytes) else {
            Issue.record("\(try check(image.bytes))")
            return
        }
        #expect(summary.domain.name == "dom-pv" && summary.domain.type.rawValue == type)
        #expect(summary.domain.disks.map(\.path) == ["/dev/xenlvs/dom-pv"])
        #expect(summary.isParavirtual == (type == "pv") && summary.xenVersion == "4.17")
        #expect(summary.pages == 9 && summary.length == UInt64(image.bytes.count))
        let afterMemory = image.boundaries[image.boundaries.count - (type == "pv" ? 6 : type == "pvh" ? 5 : 7)]
        #expect(summary.tail == UInt64(image.bytes.count - afterMemory))
    }

    @Test("An image of the older version 2, which has no end of static data, is complete")
    func versionTwo() throws {
        guard case .complete = try check(ImageBuilder.whole(version: 2).bytes) else {
            Issue.record("not complete")
            return
        }
    }

    @Test("Cut off at any byte, an image is truncated there and nowhere else", arguments: ["pv", "hvm"])
    func truncated(type: String) throws {
        let bytes = ImageBuilder.whole(type: type).bytes
        for length in stride(from: 0, to: bytes.count, by: 61) + Array(bytes.count - 40..<bytes.count) {
            guard case .truncated(let offset, _) = try check(Array(bytes.prefix(length))) else {
                Issue.record("\(length) of \(bytes.count) bytes: \(try check(Array(bytes.prefix(length))))")
                return
            }
            #expect(offset == UInt64(length))
        }
    }

    @Test("A truncated image says in what")
    func truncatedIn() throws {
        let image = ImageBuilder.whole()
        #expect(try check(Array(image.bytes.prefix(20))) == .truncated(at: 20, in: "the header"))
        #expect(try check(Array(image.bytes.prefix(100))) == .truncated(at: 100, in: "the configuration"))
        let memory = image.boundaries[6] + 100
        #expect(try check(Array(image.bytes.prefix(memory))) == .truncated(at: UInt64(memory), in: "the memory"))
        let shared = image.boundaries[10] + 100
        #expect(
            try check(Array(image.bytes.prefix(shared))) == .truncated(at: UInt64(shared), in: "the shared info page"))
        let end = image.bytes.count - 3
        #expect(try check(Array(image.bytes.prefix(end))) == .truncated(at: UInt64(end), in: "libxl's records"))
    }

    @Test("Bytes behind the end are not an image's")
    func trailing() throws {
        #expect(try reason(ImageBuilder.whole().bytes + [0])?.contains("follow its end") == true)
    }

    @Test("A file whose end a crash has left as zeros is not whole, at any record")
    func zeros() throws {
        let image = ImageBuilder.whole()
        for boundary in image.boundaries.dropLast(2) {
            let bytes = Array(image.bytes.prefix(boundary)) + Array(repeating: 0, count: image.bytes.count - boundary)
            if case .complete = try check(bytes) { Issue.record("complete with zeros from \(boundary)") }
        }
    }

    @Test("Two empty ENDs in place of required records do not make it whole")
    func earlyEnd() throws {
        let image = ImageBuilder.whole()
        for boundary in image.boundaries.dropLast(3) {
            if case .complete = try check(Array(image.bytes.prefix(boundary)) + Array(repeating: 0, count: 16)) {
                Issue.record("complete with 16 zeros from \(boundary)")
            }
        }
    }

    @Test(
        "Without one of the records that a restore needs it is not an image",
        arguments: [0x02, 0x03, 0x01, 0x08, 0x07, 0x04, 0x10])
    func incomplete(type: UInt32) throws {
        #expect(try reason(ImageBuilder.whole(omitting: type).bytes)?.contains("ends without") == true)
    }

    @Test("Nor is an HVM guest's without its virtual hardware", arguments: [0x09, 0x0A, 0x01, 0x08])
    func incompleteHVM(type: UInt32) throws {
        #expect(try reason(ImageBuilder.whole(type: "pvh", omitting: type).bytes)?.contains("ends without") == true)
    }

    @Test("An unknown optional record is passed, an unknown mandatory one is not")
    func unknownRecords() throws {
        let optional = ImageBuilder.whole { $0.record(0x8000_0042, [1, 2, 3]) }
        guard case .complete = try check(optional.bytes) else {
            Issue.record("not complete")
            return
        }
        #expect(try reason(ImageBuilder.whole { $0.record(0x42, [1]) }.bytes)?.contains("0x42") == true)
    }

    @Test("The streams of replicated guests are refused", arguments: [0x0D, 0x0E, 0x0F])
    func checkpoints(type: UInt32) throws {
        #expect(try reason(ImageBuilder.whole { $0.record(type) }.bytes)?.contains("replicated") == true)
    }

    @Test("Records of memory must fit their number of pages")
    func pages() throws {
        let alterations: [(inout ImageBuilder) -> Void] = [
            { $0.record(1, [1, 0, 0, 0]) }, { $0.pages(0, full: 0) }, { $0.pages(1, full: 2) },
            { $0.pages(1, full: 0, count: 2) }, { $0.pages(1, full: 0, count: .max) },
            { $0.record(1, ImageBuilder.little(UInt64(1)) + Array(repeating: 0, count: 16)) },
        ]
        for alteration in alterations {
            #expect(try reason(ImageBuilder.whole(altering: alteration).bytes)?.contains("memory") == true)
        }
    }

    @Test("Lengths beyond the file are a truncation, impossible ones a defect, and none of them a trap")
    func lengths() throws {
        for length: UInt32 in [.max, .max - 6, 128 << 20 + 1] {
            #expect(
                try reason(ImageBuilder.whole { $0.record(0x11, [], length: length) }.bytes)?.contains("impossible")
                    == true)
        }
        guard case .truncated = try check(ImageBuilder.whole { $0.record(0x11, [], length: 128 << 20) }.bytes) else {
            Issue.record("not truncated")
            return
        }
        #expect(try reason(ImageBuilder.whole { $0.record(0, [], length: 8) }.bytes)?.contains("not empty") == true)
    }

    @Test("libxl's own records are checked")
    func libxlRecords() throws {
        var image = ImageBuilder.whole()
        image.bytes.removeLast(8)
        let whole = image.bytes
        let unexpected: [(UInt32, UInt32)] = [(1, 0), (2, 0), (3, 0), (4, 0), (0x8000_0001, 0), (0, 8), (1, 8)]
        for (type, length) in unexpected {
            image.bytes = whole
            image.record(type, Array(repeating: 0, count: Int(length)))
            #expect(try reason(image.bytes) != nil)
        }
        image.bytes = whole
        image.record(2, [], length: .max)
        guard case .truncated = try check(image.bytes) else {
            Issue.record("not truncated")
            return
        }
    }

    @Test("A device model's state is missed in an HVM guest's image")
    func emulator() throws {
        let image = ImageBuilder.whole(type: "pvh", json: Recorded.configuration(type: "hvm"))
        #expect(try reason(image.bytes)?.contains("device model") == true)
    }

    @Test("Configuration and state must be of the same kind")
    func kinds() throws {
        #expect(
            try reason(ImageBuilder.whole(type: "pv", json: Recorded.configuration(type: "pvh")).bytes)?.contains(
                "kinds") == true)
    }

    @Test("Headers of anything else are refused with the reason")
    func headers() throws {
        func reasonFor(_ build: (inout ImageBuilder) -> Void) throws -> String {
            var image = ImageBuilder()
            build(&image)
            image.bytes += Array(repeating: 0, count: 200)
            return try reason(image.bytes) ?? "none"
        }
        let json = Recorded.configuration()
        #expect(
            try reasonFor { $0.header(magic: "Xen saved domain, xl format\n \0  ", json: json) }.contains(
                "does not begin"))
        #expect(try reasonFor { $0.header(byteOrder: 0x0403_0201, json: json) }.contains("byte order"))
        for flags: UInt32 in [0, 1, 2, 7, .max] {
            #expect(try reasonFor { $0.header(flags: flags, json: json) }.contains("flags"))
        }
        for length: UInt32 in [0, 4, 16 << 20 + 1, .max] {
            #expect(try reasonFor { $0.header(json: json, optionalLength: length) }.contains("impossible length"))
        }
        #expect(try reasonFor { $0.header(json: json, configurationLength: .max) }.contains("longer than"))
        #expect(try reasonFor { $0.header(json: "{}") }.contains("cannot be read"))
        #expect(
            try reasonFor {
                $0.header(json: json)
                $0.libxlHeader(mark: "LibxlFmT")
            }.contains("mark"))
        #expect(
            try reasonFor {
                $0.header(json: json)
                $0.libxlHeader(version: 1)
            }.contains("version 1"))
        #expect(
            try reasonFor {
                $0.header(json: json)
                $0.libxlHeader(options: 1)
            }.contains("big-endian"))
        #expect(
            try reasonFor {
                $0.header(json: json)
                $0.libxlHeader()
                $0.record(0)
            }.contains("first record"))
        func reasonForState(_ state: (inout ImageBuilder) -> Void) throws -> String {
            try reasonFor {
                $0.header(json: json)
                $0.libxlHeader()
                $0.record(1)
                state(&$0)
            }
        }
        #expect(try reasonForState { $0.libxcHeaders(marker: 0) }.contains("mark"))
        #expect(try reasonForState { $0.libxcHeaders(id: 1) }.contains("mark"))
        #expect(try reasonForState { $0.libxcHeaders(version: 4) }.contains("version 4"))
        #expect(try reasonForState { $0.libxcHeaders(options: 1) }.contains("big-endian"))
        #expect(try reasonForState { $0.libxcHeaders(type: 3) }.contains("neither"))
        #expect(try reasonForState { $0.libxcHeaders(pageShift: 16) }.contains("4096"))
    }

    @Test("Any single damaged byte of a header or record header is answered without a trap")
    func damage() throws {
        let image = ImageBuilder.whole()
        let places = Array(0..<52) + image.boundaries.flatMap { $0..<$0 + 8 }
        for place in places {
            for value: UInt8 in [0x00, 0x7F, 0x80, 0xFF] where image.bytes[place] != value {
                var bytes = image.bytes
                bytes[place] = value
                _ = try check(bytes)
            }
        }
    }

    @Test("Memory is skipped, not read")
    func reads() throws {
        let image = ImageBuilder.whole { image in for _ in 0..<4 { image.pages(1024, full: 1024) } }
        let bytes = image.bytes
        let most = Mutex(0)
        let total = Mutex(0)
        let source = SavedImageSource(length: UInt64(bytes.count)) { offset, count in
            most.withLock { $0 = max($0, count) }
            total.withLock { $0 += count }
            return Array(bytes[Int(offset)..<min(bytes.count, Int(offset) + count)])
        }
        guard case .complete = try SavedImage.check(source) else {
            Issue.record("not complete")
            return
        }
        #expect(bytes.count > 16 << 20 && total.withLock { $0 } < 4000 && most.withLock { $0 } < 3000)
    }

    @Test("A file that shrinks while it is read, and one that cannot be read, are told apart")
    func shrinking() throws {
        let bytes = ImageBuilder.whole().bytes
        let short = SavedImageSource(length: UInt64(bytes.count)) { offset, count in
            offset < 40 ? Array(bytes[Int(offset)..<Int(offset) + count]) : []
        }
        guard case .truncated = try SavedImage.check(short) else {
            Issue.record("not truncated")
            return
        }
        let failing = SavedImageSource(length: 1000) { _, _ throws(Failure) in throw Failure(.failed, "read") }
        #expect(throws: Failure(.failed, "read")) { try SavedImage.check(failing) }
        #expect(throws: Failure.self) { try SavedImageSource(descriptor: -1, path: "/x") }
    }

    @Test("The held-back tail takes libxc's END with it: without that, libxl restores an image that ends too early")
    func tail() throws {
        #expect(SavedImage.heldBackTail > 8)
        #expect(SavedImage.heldBackTail < 2704, "the tail of a PVH guest's image with one virtual CPU")
    }
}
