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
        // VPD page 0x83, up to 255 bytes (SPC-4, 6.4); then TEST UNIT READY (6.37).
        let identification = SCSIRequest([0x12, 1, 0x83, 0, 255, 0], answers: 255)
        if let why = identification.run(on: descriptor, Self.limitMilliseconds) { return .bad(why) }
        let found: String
        do { found = try SCSIPage.wwid(identification: identification.answer) } catch {
            return .bad(error.why ?? error.what)
        }
        // A LUN that leads elsewhere now: the kernel would go on using it.
        guard found == wwid else { return .bad("it is another disk now, with WWID \(found)") }
        let ready = SCSIRequest([0, 0, 0, 0, 0, 0], answers: 0)
        // Of a unit attention the first command is told, and the next one is served.
        guard let why = ready.run(on: descriptor, Self.limitMilliseconds), !ready.isUnitAttention else { return .good }
        return .bad(why)
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

    /// Sense key 6 (SPC-4, 4.5.2.1), in fixed format.
    var isUnitAttention: Bool { sense[0] & 0x7f == 0x70 && sense[2] & 0x0f == 6 }

    /// Why it failed; nil where it did not.
    func run(on descriptor: Int32, _ milliseconds: UInt32) -> String? {
        var header = sg_io_hdr_t()
        header.interface_id = Int32(UInt8(ascii: "S"))
        header.dxfer_direction = buffer.isEmpty ? SG_DXFER_NONE : SG_DXFER_FROM_DEV
        header.timeout = milliseconds
        let status = command.withUnsafeMutableBufferPointer { command in
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
        guard status == 0 else { return "it cannot be asked: \(String(cString: strerror(status)))" }
        received = buffer.count - min(buffer.count, max(0, Int(header.resid)))
        if header.host_status == 3 { return "it gave no answer within \(milliseconds / 1000) s" }
        if header.host_status != 0 { return "it cannot be reached (host status \(header.host_status))" }
        guard header.status != 0 else { return nil }
        let key = sense[0] & 0x7f == 0x70 ? ", sense \(sense[2] & 0x0f)/\(sense[12])/\(sense[13])" : ""
        return "it is not ready (status \(header.status)\(key))"
    }
}
