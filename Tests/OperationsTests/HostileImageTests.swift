import Foundation
import HostModel
import Hosts
import ImageStream
import Migration
import Testing

@testable import Operations

@Suite("A hostile image")
struct HostileImageTests {
    /// The configuration of web1, as Xen 4.17 writes it into an image.
    private static func configuration(
        name: String = "web1", uuid: String = "4a3e907b-f9a3-4c66-89f7-449cc6af31c5", links: String,
        disk: String = "web1",
        build: String = "", more: String = ""
    ) -> String {
        """
        {"c_info": {"type": "pv", "name": "\(name)", "domid": 4294967295, "uuid": "\(uuid)", \
        "run_hotplug_scripts": "True"}, "b_info": {"max_vcpus": 1, "avail_vcpus": [0], "max_memkb": 98304, \
        "target_memkb": 98304, \(build)"sched_params": {"sched": "credit2", "weight": 256, "cap": 0}, \
        "claim_mode": "True", "cmdline": "console=hvc0: quiet", "type.pv": {}, "arch_arm": {}, \
        "arch_x86": {"msr_relaxed": "False"}}, "disks": [{"pdev_path": "\(links)/\(disk)", "vdev": "xvda", \
        "format": "raw", "readwrite": 1}], "nics": [{"devid": 0, "mac": "00:16:3e:00:00:02", "bridge": "xenbr0", \
        "nictype": "vif"}], \(more)"on_reboot": "restart"}
        """
    }

    /// An image as far as `xl`'s header goes, and some bytes behind it.
    private static func image(_ configuration: String) -> [UInt8] {
        func little(_ value: Int) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) } }
        let json = Array(configuration.utf8) + [0]
        return Array("Xen saved domain, xl format\n \0 \r".utf8) + little(0x0102_0304) + little(3) + little(0)
            + little(json.count + 4) + little(json.count) + json + Array(repeating: 0x5A, count: 5_000)
    }

    /// What `xl restore` gets of the image, however it is cut; nil where it is refused.
    private func passed(_ image: [UInt8], _ target: TargetHost, piece: Int = .max) throws -> [UInt8]? {
        var scrutiny = ImageScrutiny(try TargetHost.spec(), target.worker)
        var output: [UInt8] = []
        var rest = image[...]
        while !rest.isEmpty {
            do {
                try Array(rest.prefix(piece)).withUnsafeBytes { try scrutiny.pass($0) { output += $0 } }
            } catch {
                #expect(output.isEmpty)
                return nil
            }
            rest = rest.dropFirst(piece)
        }
        return output
    }

    @Test("The guest's own image goes through unchanged, in pieces of any size", arguments: [1, 7, 64, 4096, .max])
    func own(_ piece: Int) throws {
        for restriction in [nil, TargetHost.restriction] {
            let target = try TargetHost(restriction: restriction)
            let image = Self.image(Self.configuration(links: target.root + "/links"))
            #expect(try passed(image, target, piece: piece) == image)
        }
    }

    @Test("An image of another guest, or with other disks, is never given to xl")
    func foreign() throws {
        let target = try TargetHost()
        let links = target.root + "/links"
        let second = #""disks": [{"pdev_path": "/dev/vg0/db", "vdev": "xvdb", "readwrite": 1}], "#
        for configuration in [
            Self.configuration(name: "web2", links: links), Self.configuration(uuid: "4a3e907b", links: links),
            Self.configuration(links: links, disk: "db"), Self.configuration(links: "/dev/vg0"),
            Self.configuration(links: links, disk: "../vg0/db"), "{}", "", "[",
            Self.configuration(links: links).replacing(
                "}], \"nics", with: "}, {\"pdev_path\": \"/dev/sda\", \"vdev\": \"xvdb\"}], \"nics"),
        ] {
            #expect(try passed(Self.image(configuration), target) == nil)
        }
        let twice = Self.image(Self.configuration(links: links, more: second))
        #expect(try passed(twice, TargetHost(restriction: TargetHost.restriction)) == nil)
    }

    @Test(
        "With a restricted key, a configuration that reaches into the host is refused",
        arguments: [
            #""device_model_override": "/tmp/x", "#, #""bootloader": "/bin/sh", "#,
            #""type.pv": {"bootloader": "/x"}, "#,
            #""iomem": [{"start": 0, "number": 1}], "#, #""extra": ["-monitor"], "#, #""kernel": "/etc/shadow", "#,
            #""ramdisk": "/etc/../etc/shadow", "#, #""kernel": "vmlinuz", "#,
        ])
    func reachingOut(_ build: String) throws {
        let target = try TargetHost(restriction: TargetHost.restriction)
        let links = target.root + "/links"
        #expect(try passed(Self.image(Self.configuration(links: links, build: build)), target) == nil)
        let free = try TargetHost()
        let same = Self.image(Self.configuration(links: free.root + "/links", build: build))
        #expect(try passed(same, free) == same)
    }

    // MARK: The channel

    /// Runs the receiver on these bytes and returns what it answered.
    private func receive(_ bytes: [UInt8], _ target: TargetHost) async throws -> [ReceiverEvent] {
        let files = (target.root + "/in", target.root + "/out")
        try Data(bytes).write(to: URL(fileURLWithPath: files.0))
        let (input, output) = (open(files.0, O_RDONLY), open(files.1, O_RDWR | O_CREAT | O_TRUNC, 0o600))
        defer {
            for descriptor in [input, output] { close(descriptor) }
            for file in [files.0, files.1] { unlink(file) }
        }
        await ImageReceiver(worker: target.worker, input: input, output: output).run()
        return try String(contentsOfFile: files.1, encoding: .utf8).split(separator: "\n").map {
            try JSONText.decode(ReceiverEvent.self, from: String($0), what: "a test's event")
        }
    }

    private func bytes(_ frames: [Frame]) throws -> [UInt8] {
        let path = NSTemporaryDirectory() + "xenlvs-frames-\(UInt64.random(in: 0...UInt64.max))"
        let file = open(path, O_RDWR | O_CREAT | O_EXCL, 0o600)
        defer { close(file) }
        unlink(path)
        for frame in frames { try frame.write(to: BoundedIO(descriptor: file, purpose: "test"), limit: .seconds(1)) }
        var content = [UInt8](repeating: 0, count: Int(lseek(file, 0, SEEK_END)))
        _ = pread(file, &content, content.count, 0)
        return content
    }

    private func begin(_ id: MigrationID, epoch: Int64 = 3, _ content: ImageHeader.Content) throws -> Frame {
        .begin(Array(try JSONText.encode(ImageHeader(id: id, epoch: epoch, content: content)).utf8))
    }

    @Test("Nothing is received that was not agreed on, and nothing is left of it")
    func notAgreed() async throws {
        let target = try TargetHost(restriction: TargetHost.restriction)
        let unready = try TargetHost.spec()
        try target.take(unready, .target)
        let away = try TargetHost.spec(domain: "db", id: "db-20261121-0002", volume: "db", number: 12)
        try target.take(away, .source)
        let decided = try TargetHost.spec(domain: "web3", id: "web3-20261121-0003", volume: "web3", number: 13)
        try target.begin(decided)
        try target.host.database.update(decided.id.text, machine: "{}", decided: true, isOpen: true, at: 2)
        let foreign = try TargetHost.spec(
            domain: "web4", id: "web4-20261121-0004", volume: "web4", source: "nodec", number: 14)
        try target.begin(foreign)
        let old = try TargetHost.spec(domain: "web5", id: "web5-20261121-0005", volume: "web5", number: 15)
        try target.begin(old)
        let before = try target.files()
        let unknown = try MigrationID("web9-20261121-0009")
        for frame in [
            try begin(unready.id, .base(size: .mebibytes(1))), try begin(away.id, .image(base: nil)),
            try begin(decided.id, .image(base: nil)), try begin(foreign.id, .base(size: .mebibytes(1))),
            try begin(old.id, epoch: 2, .base(size: .mebibytes(1))), try begin(unknown, .image(base: nil)),
            try begin(old.id, epoch: .max, .base(size: .mebibytes(1))), .release, .begin(Array("{}".utf8)),
            try begin(old.id, .base(size: ByteCount(1 << 60))),
        ] {
            let answers = try await receive(try bytes([frame, .data([1]), .end(size: 1), .release]), target)
            guard case .failed? = answers.first else {
                Issue.record("\(frame) was answered with \(answers)")
                continue
            }
            #expect(try target.files() == before)
        }
    }

    @Test("10,000 damaged streams: no crash, and only the image itself is written", arguments: 0..<10)
    func mutated(_ batch: Int) async throws {
        let target = try TargetHost(restriction: TargetHost.restriction)
        let spec = try TargetHost.spec()
        try target.begin(spec)
        let before = try target.files()
        let image = Self.image(Self.configuration(links: target.root + "/links"))
        var list: [UInt8] = [0x4C] + withUnsafeBytes(of: UInt32(image.count).littleEndian, Array.init) + image
        list += [0x43, 16, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0]
        let base = target.root + "/base"
        try Data(repeating: 9, count: 64).write(to: URL(fileURLWithPath: base))
        var random = Xorshift(state: UInt64(batch) + 1)
        let null = BoundedIO(descriptor: open("/dev/null", O_WRONLY), purpose: "test")
        defer { null.close() }
        for _ in 0..<1_000 {
            let packed = try compressed(random.coin() ? list : random.damaged(list))
            var frames = [Frame.data(packed), .keepAlive, .end(size: Int64(image.count + 16)), .release, .cancel]
            if random.coin() { frames.remove(at: random.number(below: frames.count)) }
            if random.coin() { frames.swapAt(random.number(below: frames.count), random.number(below: frames.count)) }
            var stream = try bytes(frames)
            if random.coin() { stream = random.damaged(stream) }
            let path = try target.host.images.create(spec.id, .received)
            let scrutiny = ImageScrutiny(spec, target.worker)
            let intake = try ImageIntake(path: path, base: PageBase(path: base), restore: null, scrutiny)
            try Data(stream).write(to: URL(fileURLWithPath: target.root + "/stream"))
            let input = BoundedIO(descriptor: open(target.root + "/stream", O_RDONLY), purpose: "test")
            while let frame = try? Frame.read(from: input, limit: .seconds(1)), (try? intake.take(frame)) == false {}
            input.close()
        }
        try target.host.images.removeAll(spec.id)
        for file in ["/base", "/stream"] { unlink(target.root + file) }
        #expect(try target.files() == before)
        #expect(target.programs.mutations.isEmpty)
    }

    private func compressed(_ bytes: [UInt8]) throws -> [UInt8] {
        let compressor = try ZstandardCompressor()
        var output: [UInt8] = []
        try bytes.withUnsafeBytes { try compressor.compress($0) { output += $0 } }
        try compressor.finish { output += $0 }
        return output
    }

    @Test("An image is not taken beyond what its guest's memory can make it")
    func endless() throws {
        let target = try TargetHost()
        var spec = try TargetHost.spec()
        spec.memory = .kibibytes(4)
        let path = try target.host.images.create(spec.id, .received)
        let null = BoundedIO(descriptor: open("/dev/null", O_WRONLY), purpose: "test")
        defer { null.close() }
        let intake = try ImageIntake(path: path, base: nil, restore: null, ImageScrutiny(spec, target.worker))
        let image = Self.image(Self.configuration(links: target.root + "/links"))
        let length = 512 << 20
        let list = [0x4C] + withUnsafeBytes(of: UInt32(length).littleEndian, Array.init) + image
        let compressor = try ZstandardCompressor()
        func send(_ bytes: [UInt8]) throws {
            try bytes.withUnsafeBytes { try compressor.compress($0) { _ = try intake.take(.data(Array($0))) } }
        }
        try send(list)
        let zeros = [UInt8](repeating: 0, count: 1 << 20)
        let failure = #expect(throws: Failure.self) { for _ in 0..<500 { try send(zeros) } }
        #expect(failure?.code == .refused)
        #expect(intake.size <= 258 << 20)
    }
}

private struct Xorshift {
    var state: UInt64

    mutating func number(below limit: Int) -> Int {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return Int(truncatingIfNeeded: state >> 33) % limit
    }

    mutating func coin() -> Bool { number(below: 2) == 0 }

    /// The same with some bytes changed, lost or doubled; mostly near the beginning, where the headers are.
    mutating func damaged(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        for _ in 0...number(below: 3) where !bytes.isEmpty {
            let place = coin() ? number(below: min(80, bytes.count)) : number(below: bytes.count)
            switch number(below: 4) {
            case 0: bytes.remove(at: place)
            case 1: bytes.insert(UInt8(number(below: 256)), at: place)
            case 2: bytes.removeSubrange(place...)
            default: bytes[place] ^= 1 << UInt8(number(below: 8))
            }
        }
        return bytes
    }
}
