import HostModel
import ISCSI
import Testing

@testable import Operations

@Suite("Whether hosts see the same disks")
struct SharedStorageTests {
    private let web1 = VolumeName(unchecked: "web1")
    private let size = ByteCount.mebibytes(64)

    private func view(
        _ host: String, _ kind: SharedDisk.Kind, wwid: String = "36001405a", size: ByteCount? = nil, why: String? = nil
    ) -> SharedDisks {
        SharedDisks(
            host: HostName(unchecked: host),
            disks: [
                SharedDisk(name: web1, kind: kind, identities: [.wwid(wwid)], size: size ?? self.size, why: why)
            ], hasDomain: false)
    }

    @Test("One serves, the others have attached; or all have attached what a third serves")
    func shared() {
        #expect(SharedStorage([view("a", .exported), view("b", .attached)]) == .shared)
        #expect(SharedStorage([view("b", .attached), view("a", .exported)]) == .shared)
        #expect(SharedStorage([view("b", .attached), view("c", .attached), view("a", .exported)]) == .shared)
        // One of several identities is enough: a volume may be served over two protocols.
        var both = view("a", .exported)
        both.disks[0].identities.append(.serial("XLVS1"))
        var aoe = view("b", .attached)
        aoe.disks[0].identities = [.serial("XLVS1")]
        #expect(SharedStorage([both, aoe]) == .shared)
    }

    @Test("What one host has for itself is not shared, and two volumes of one identity are two")
    func apart() {
        for pair in [
            [view("a", .local), view("b", .attached)], [view("a", .attached), view("b", .local)],
            [view("a", .exported), view("b", .absent)], [view("a", .exported), view("b", .exported)],
            [view("a", .exported)], [],
            [view("a", .exported), SharedDisks(host: HostName(unchecked: "b"), disks: [], hasDomain: false)],
        ] {
            guard case .apart = SharedStorage(pair) else {
                Issue.record("\(pair) is \(SharedStorage(pair))")
                continue
            }
        }
    }

    @Test("A disk that takes flushes on one host alone is told with both; where one does not say, nothing is")
    func caches() {
        func verdict(_ here: Bool?, _ there: Bool?) -> SharedStorage {
            var (first, other) = (view("a", .exported), view("b", .attached))
            (first.disks[0].hasCache, other.disks[0].hasCache) = (here, there)
            return SharedStorage([first, other])
        }
        for (here, there, word) in [(true, false, "on a, and not to on b"), (false, true, "on b, and not to on a")] {
            guard case .broken(_, let why, _) = verdict(here, there) else {
                Issue.record("a guest may go between a disk that takes flushes and one that does not")
                continue
            }
            #expect(why.contains(word), "\(why)")
        }
        for (here, there) in [(true, true), (false, false), (nil, true), (false, nil)] as [(Bool?, Bool?)] {
            #expect(verdict(here, there) == .shared)
        }
    }

    @Test("An answer that does not fit the request is refused, whatever it is")
    func answerThatDoesNotFit() throws {
        let host = HostName(unchecked: "b")
        let name = try ISCSIName("iqn.1993-08.org.debian:01:b")
        #expect(try ShareAnswer.initiator(name).value(\.initiator, from: host) == name)
        #expect(try ShareAnswer.detached(false).value(\.detached, from: host) == false)
        let failure = #expect(throws: Failure.self) { try ShareAnswer.detached(true).value(\.initiator, from: host) }
        #expect(failure?.host == "b" && failure?.what.contains("does not fit") == true)
    }

    @Test("Another identity, another size or a disk that is down is told, with its host")
    func broken() {
        for (other, word) in [
            (view("b", .attached, wwid: "36001405b"), "another disk"),
            (view("b", .attached, size: .mebibytes(63)), "bytes"),
            (view("b", .attached, why: "no path is left"), "no path"),
        ] {
            guard case .broken(let host, let why, _) = SharedStorage([view("a", .exported), other]) else {
                Issue.record("\(other) is not broken")
                continue
            }
            #expect(host.text == "b" && why.contains(word), "\(why)")
        }
        var none = view("b", .attached)
        none.disks[0].identities = []
        guard case .broken = SharedStorage([view("a", .exported), none]) else {
            Issue.record("a disk without identity is taken for the same")
            return
        }
    }

    @Test("What is written between two looks is no difference; what has stayed is")
    func edges() {
        func edges(_ first: [UInt64], _ last: [UInt64] = [0]) -> DiskEdges { DiskEdges(first: first, last: last) }
        var comparison = EdgeComparison()
        #expect(
            comparison.take(before: edges([1, 9]), there: edges([2, 9]), after: edges([3, 9])) == .unknown)
        #expect(comparison.take(before: edges([3, 9]), there: edges([3, 9]), after: edges([4, 9])) == .same)
        for (there, end) in [(edges([1, 2], [7]), "last"), (edges([5, 2]), "first"), (edges([1]), "first")] {
            var other = EdgeComparison()
            #expect(other.take(before: edges([1, 2]), there: there, after: edges([1, 2])) == .different(end))
        }
        // One block of four that is written all the time does not count for ever; two of them do.
        for (written, verdict) in [(1, EdgeComparison.Verdict.same), (2, .unknown)] {
            func now(_ value: UInt64) -> DiskEdges {
                edges((0..<4).map { $0 < written ? value : 0 }, [0])
            }
            var busy = EdgeComparison()
            for _ in 0..<2 { #expect(busy.take(before: now(1), there: now(2), after: now(3)) == .unknown) }
            #expect(busy.take(before: now(1), there: now(2), after: now(3)) == verdict)
        }
    }

    @Test("The links that a configuration names")
    func links() {
        let text = """
            name = "web1"
            # disk = [ "/dev/xenlvs/old,xvda" ]
            disk = [ "format=raw,vdev=xvda,target=/dev/xenlvs/web1", 'phy:/dev/xenlvs/data.1,xvdb,w',
                "phy:/dev/xenlvs/web1,xvdc,w" ]
            """
        #expect(LinksInText.names(text).map(\.text) == ["web1", "data.1"])
        #expect(LinksInText.names("disk = [ 'phy:/dev/vg0/x,xvda,w' ]").isEmpty)
    }

    @Test("An order carries no more than it may")
    func limits() throws {
        let target = try #require(try? ISCSINames.web1)
        for (lun, portals) in [(1, []), (256, ["10.0.0.1"]), (1, ["0.0.0.0"]), (1, ["10.0.0.1", "10.0.0.1"])]
            as [(Int, [String])]
        {
            let order = ShareOrder.attach(
                SharedTarget(
                    name: web1,
                    way: .iscsi(target: target, lun: lun, portals: try portals.map { try .init($0) }, chapFile: nil),
                    identity: .wwid("3")))
            #expect(throws: Failure.self) { try order.check() }
        }
        #expect(throws: Failure.self) {
            try ShareOrder.look(DomainName(unchecked: "web1"), Array(repeating: web1, count: 1000)).check()
        }
    }
}

private enum ISCSINames {
    static var web1: ISCSIName { get throws { try ISCSIName("iqn.2026-11.invalid.xenlvs.nodeb:web1") } }
}
