import HostModel
import Testing

@testable import Domains

@Suite("A guest that is confined")
struct ConfinementTests {
    private func objection(_ json: String) throws -> String? { try GuestConfinement.objection(to: Array(json.utf8)) }

    @Test("What Xen writes for an ordinary guest is confined", arguments: ["pv", "pvh"])
    func ordinary(_ type: String) throws {
        #expect(try objection(Recorded.configuration(type: type)) == nil)
    }

    @Test("What reaches into the host is named")
    func reachingOut() throws {
        let why = try objection(Recorded.configuration(build: #""device_model_override": "/x","#))
        #expect(why == "its configuration has 'b_info.device_model_override'")
        #expect(try objection(Recorded.configuration(type: "hvm")) != nil)
        for more in [
            #""pcidevs": [{}],"#, #""p9s": [],"#, #""channels": [],"#, #""vfbs": [],"#, #""unheard_of": 1,"#,
        ] { #expect(try objection(Recorded.configuration(more: more)) != nil) }
        for disk in [
            #"{"vdev": "xvda", "script": "/x"}"#, #"{"vdev": "xvda", "backend_domname": "x"}"#,
            #"{"vdev": "xvda", "format": "qcow2"}"#, #"{"vdev": "xvda", "backend": "qdisk"}"#, #""xvda""#,
        ] { #expect(try objection(Recorded.configuration(disks: disk)) != nil) }
        for (field, value) in [
            ("bridge", "$(x)"), ("bridge", "a b"), ("script", "/tmp/x"), ("script", "/etc/xen/scripts/../x"),
            ("ip", "1;x"),
        ] {
            let json = Recorded.configuration().replacing(#""bridge": "xenbr0""#, with: "\"\(field)\": \"\(value)\"")
            #expect(
                try objection(json)?.contains("nics.\(field)") == true || objection(json)?.contains("for 'nics") == true
            )
        }
        let script = Recorded.configuration().replacing(
            #""nictype""#, with: #""script": "/etc/xen/scripts/vif-bridge", "nictype""#)
        #expect(try objection(script) == nil)
    }

    @Test("A field that stands there twice is not trusted to be read once")
    func twice() throws {
        let json = Recorded.configuration(more: #""disks": [],"#)
        #expect(try objection(json) == "its configuration names a field twice")
        #expect(throws: Failure.self) { try objection("not JSON") }
    }

    @Test("The head of an image is found byte by byte, and nothing else is taken for one")
    func head() throws {
        var image = ImageBuilder()
        image.header(json: Recorded.configuration())
        let whole = image.bytes.count
        let json = try #require(try SavedImageHead.configuration(in: image.bytes))
        #expect(try DomainDescription.parse(configuration: json).name == "dom-pv")
        for length in 0..<whole {
            #expect(try SavedImageHead.configuration(in: Array(image.bytes.prefix(length))) == nil)
        }
        for (place, value) in [(0, 0x59), (33, 0), (36, 1), (47, 0xFF), (44, 0), (51, 0xFF)] as [(Int, UInt8)] {
            var bytes = image.bytes
            bytes[place] = value
            if place == 44 { bytes.replaceSubrange(44..<48, with: [0, 0, 0, 0]) }
            #expect(throws: Failure.self) { try SavedImageHead.configuration(in: bytes) }
        }
    }

    @Test("The name of a disk is no number where it only looks like one")
    func device() {
        #expect(VirtualDevice.number("xvda") == 51712)
        #expect(VirtualDevice.number("xvda" + String(repeating: "\u{20DD}", count: 100)) == nil)
    }
}
