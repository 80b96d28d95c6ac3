import Domains
import HostModel
import Testing

@Suite("Disks as Xen's backend has them")
struct BackendTests {
    @Test("A running guest's disk is read with the device that is open")
    func running() throws {
        let disk = try #require(BackendDisk(parsing: Recorded.runningDisk))
        #expect(disk.path == "/dev/xenlvs/dom-pv" && disk.device == "/dev/dm-0")
        #expect(disk.major == 254 && disk.minor == 0 && disk.writable && disk.state == .connected)
        #expect(disk.objection == nil)
    }

    @Test("A disk that the backend could not open is objected to, although the restore succeeded")
    func unopened() throws {
        let disk = try #require(BackendDisk(parsing: Recorded.unopenedDisk))
        #expect(disk.major == 147 && disk.minor == 5 && disk.state == .closing)
        #expect(disk.objection?.contains("could not open") == true)
    }

    @Test("A restored, still paused guest's disk is fine, one without a device is not")
    func waiting() throws {
        let waiting = Recorded.runningDisk.replacing("state: 4", with: "state: 2")
        #expect(try #require(BackendDisk(parsing: waiting)).objection == nil)
        let unset = waiting.split(separator: "\n").prefix(3).joined(separator: "\n").replacing(
            "mode: w", with: "mode: r")
        let disk = try #require(BackendDisk(parsing: unset))
        #expect(disk.major == nil && !disk.writable && disk.objection != nil)
    }

    @Test("What is not a disk's keys is no disk")
    func nothing() {
        #expect(BackendDisk(parsing: "") == nil)
        #expect(BackendDisk(parsing: Recorded.runningDisk.replacing("params", with: "other")) == nil)
        #expect(BackendDisk(parsing: Recorded.runningDisk.replacing("fe:0", with: "fe")) == nil)
        #expect(BackendDisk(parsing: Recorded.runningDisk.replacing("state: 4", with: "state: 9")) == nil)
    }

    @Test("The query names the backend's keys, those that may be missing last, and accepts that they are missing")
    func query() throws {
        let id = try #require(DomainID(3))
        let query = try #require(BackendDisk.query(id, device: "xvda"))
        let base = "/local/domain/0/backend/vbd/3/51712/"
        #expect(
            query.description == "xenstore-read -p \(base)params \(base)mode \(base)state \(base)physical-device "
                + "\(base)physical-device-path")
        #expect(query.effect == .query && query.acceptedExitCodes == [0, 1])
        #expect(BackendDisk.query(id, device: "../x") == nil)
        #expect(
            BackendDisk.errorQuery(id, device: "xvdb")?.arguments == ["/local/domain/0/error/backend/vbd/3/51728/error"]
        )
    }

    @Test(
        "Virtual disks have the numbers of the Xen interface",
        arguments: [
            ("xvda", 51712), ("xvda1", 51713), ("xvdb", 51728), ("xvdp15", 51967), ("xvdq", 268_439_552),
            ("xvda16", 268_435_472), ("xvdaa", 268_442_112), ("hda", 768), ("hdb", 832), ("hdc", 5632), ("hdd2", 5698),
            ("sda", 2048), ("sdb1", 2065),
        ])
    func numbers(name: String, number: Int) {
        #expect(VirtualDevice.number(name) == number)
    }

    @Test(
        "Names that Xen does not know have no number",
        arguments: [
            "", "xvd", "xvda01", "xvda256", "xvdA", "hde", "sdq", "sda16", "vda", "xvda1x", "xvdzzzzzz", "51712",
        ])
    func noNumbers(name: String) {
        #expect(VirtualDevice.number(name) == nil)
    }
}
