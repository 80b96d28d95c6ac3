import Foundation
import HostModel
import Hosts
import Migration
import Storage
import Testing

@testable import Operations

@Suite("Volumes that are served")
struct ServedVolumeTests {
    private func failure(_ name: String, on target: TargetHost) throws -> Failure? {
        do { try ServedVolume.check(try VolumeName(name), in: target.host.database) } catch { return error as? Failure }
        return nil
    }

    @Test("A guest's disk may be served, an old copy and an unknown name may not")
    func states() throws {
        let target = try TargetHost()
        #expect(try failure("db", on: target) == nil)
        let old = try #require(try failure("old", on: target))
        #expect(old.code == .refused && old.description.contains("shop-20261101-0001"))
        #expect(try failure("nosuch", on: target)?.code == .notFound)
    }

    @Test("A volume that a migration is at work on may not be served, on either side", arguments: [true, false])
    func migration(_ isSource: Bool) throws {
        let target = try TargetHost()
        let spec = try TargetHost.spec(volume: "db")
        try target.take(spec, isSource ? .source : .target)
        let busy = try #require(try failure("db", on: target))
        #expect(busy.code == .busy && busy.remedy?.contains(spec.id.text) == true)
    }

    @Test("A copy that a migration fills may not be served")
    func incoming() throws {
        let target = try TargetHost()
        try target.record(Sample.volume("web1", .incoming(migration: "web1-20261121-0001")))
        #expect(try failure("web1", on: target)?.code == .refused)
    }

    @Test("A path is known as the volume that it leads to")
    func names() throws {
        let target = try TargetHost()
        var volume = try Sample.volume("disk")
        volume.place = .file(pool: target.root + "/pool")
        try target.record(volume)
        #expect(try ServedVolume.name(of: target.root + "/pool/disk.img", on: target.host) == nil)
        let file = volume.place.dataPath(of: volume.name)
        try "x".write(toFile: file, atomically: false, encoding: .utf8)
        #expect(try ServedVolume.name(of: file, on: target.host)?.text == "disk")
        #expect(
            try ServedVolume.name(
                of: target.root + "/pool/../pool/" + (file.split(separator: "/").last ?? ""), on: target.host)?.text
                == "disk")
        #expect(try ServedVolume.name(of: target.root + "/xenlvs.yaml", on: target.host) == nil)
    }
}
