import CLinux
import DeviceMapper
import Glibc
import HostModel
import ISCSI
import Storage

/// What a look at a path gave.
enum PathHealth: Sendable, Equatable {
    case good
    /// Why it must not be used.
    case bad(String)
}

/// Asks a disk whether it is the one that it has to be, and ready: INQUIRY for its identity, and TEST UNIT READY.
///
/// It may hang in the kernel for as long as the device does.
enum PathCheck {
    /// For each of the two commands.
    private static let limitMilliseconds: UInt32 = 5000

    static func look(at disk: SCSIDisk, wwid: String, in tree: DeviceTree) -> PathHealth {
        // What is blocked answers nobody, and who asks waits until the session is given up.
        guard disk.state == "running" else { return .bad("the kernel has it as \(disk.state)") }
        let descriptor = open("\(tree.devices)/\(disk.name)", O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { return .bad("it cannot be opened: \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        let identification = SCSIRequest(Self.inquiry, answers: SCSIPage.identificationLength)
        if let why = identification.run(on: descriptor, Self.limitMilliseconds).why { return .bad(why) }
        if let why = objection(to: identification.answer, wwid: wwid) { return .bad(why) }
        // TEST UNIT READY (SPC-4, 6.37).
        return readiness(SCSIRequest([0, 0, 0, 0, 0, 0], answers: 0).run(on: descriptor, Self.limitMilliseconds))
    }

    /// INQUIRY for VPD page 0x83 (SPC-4, 6.4).
    static let inquiry: [UInt8] = {
        let length = SCSIPage.identificationLength
        return [0x12, 1, 0x83, UInt8(length >> 8), UInt8(length & 0xff), 0]
    }()

    /// Why a disk with this identification is not the one that it has to be; nil where it is.
    static func objection(to page: [UInt8], wwid: String) -> String? {
        do throws(Failure) {
            let found = try SCSIPage.wwid(identification: page)
            // A LUN that leads elsewhere now: the kernel would go on using it.
            return found == wwid ? nil : "it is another disk now, with WWID \(found)"
        } catch { return error.why ?? error.what }
    }

    /// What the outcome of TEST UNIT READY says of a disk.
    static func readiness(_ outcome: SCSIOutcome) -> PathHealth {
        // Of a unit attention the first command is told, and the next one is served.
        guard let why = outcome.why, !outcome.isUnitAttention else { return .good }
        return .bad(why)
    }
}

/// How a SCSI command ended, by what the kernel hands back (`sg_io_hdr`, include/scsi/sg.h).
struct SCSIOutcome: Sendable, Equatable {
    /// `errno`, where the kernel has not even sent it.
    var error: Int32 = 0
    /// The driver's (`DID_TIME_OUT` is 3, include/scsi/scsi_status.h).
    var hostStatus: UInt16 = 0
    /// The disk's (SAM-5, 5.3.1).
    var status: UInt8 = 0
    var sense: [UInt8] = []
    /// What it had.
    var milliseconds: UInt32 = 0

    private var hasFixedSense: Bool { sense.count > 13 && sense[0] & 0x7f == 0x70 }

    /// Sense key 6 (SPC-4, 4.5.2.1), in fixed format.
    var isUnitAttention: Bool { hasFixedSense && sense[2] & 0x0f == 6 }

    /// Why it failed; nil where it did not.
    var why: String? {
        if error != 0 { return "it cannot be asked: \(String(cString: strerror(error)))" }
        if hostStatus == 3 { return "it gave no answer within \(milliseconds / 1000) s" }
        if hostStatus != 0 { return "it cannot be reached (host status \(hostStatus))" }
        guard status != 0 else { return nil }
        let key = hasFixedSense ? ", sense \(sense[2] & 0x0f)/\(sense[12])/\(sense[13])" : ""
        return "it is not ready (status \(status)\(key))"
    }
}

/// One SCSI command that reads (`SG_IO`, include/scsi/sg.h).
private final class SCSIRequest {
    private var command: [UInt8]
    private var buffer: [UInt8]
    private var sense = [UInt8](repeating: 0, count: 32)
    private var received = 0

    init(_ command: [UInt8], answers length: Int) {
        self.command = command
        buffer = [UInt8](repeating: 0, count: length)
    }

    /// What has come, no longer than the page says.
    var answer: [UInt8] {
        guard received >= 4 else { return [] }
        return Array(buffer.prefix(min(received, 4 + Int(buffer[2]) << 8 + Int(buffer[3]))))
    }

    func run(on descriptor: Int32, _ milliseconds: UInt32) -> SCSIOutcome {
        var header = sg_io_hdr_t()
        header.interface_id = Int32(UInt8(ascii: "S"))
        header.dxfer_direction = buffer.isEmpty ? SG_DXFER_NONE : SG_DXFER_FROM_DEV
        header.timeout = milliseconds
        let error = command.withUnsafeMutableBufferPointer { command in
            sense.withUnsafeMutableBufferPointer { sense in
                buffer.withUnsafeMutableBytes { buffer in
                    header.cmdp = command.baseAddress
                    header.cmd_len = UInt8(command.count)
                    header.sbp = sense.baseAddress
                    header.mx_sb_len = UInt8(sense.count)
                    header.dxferp = buffer.baseAddress
                    header.dxfer_len = UInt32(buffer.count)
                    return ioctl(descriptor, UInt(SG_IO), &header) == 0 ? 0 : errno
                }
            }
        }
        if error == 0 { received = buffer.count - min(buffer.count, max(0, Int(header.resid))) }
        return SCSIOutcome(
            error: error, hostStatus: header.host_status, status: header.status, sense: sense,
            milliseconds: milliseconds)
    }
}
