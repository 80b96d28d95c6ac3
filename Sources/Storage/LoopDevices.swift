import FoundationEssentials
import HostModel

/// A loop device that has a file.
public struct LoopDevice: Sendable, Equatable {
    /// `/dev/loop1`.
    public var path: String
    /// The file, by the path under which it was attached, with `deletedMark` where that is gone.
    public var file: String
    public var isReadOnly: Bool
    /// Whether it goes around the page cache.
    public var isDirect: Bool
    /// Whether it goes away at its last close, as after a detach while it was open.
    public var isClosing: Bool
    /// Whether it shows the whole file and nothing else.
    public var isWhole: Bool

    /// What the kernel adds to the path of a file that was deleted (`d_path`, fs/d_path.c).
    public static let deletedMark = " (deleted)"
}

/// The `losetup` commands for a pool's files, as values, and their output (losetup(8), util-linux 2.38).
public enum LoopDevices {
    /// Attaches `file` to a free loop device and prints its path, or the path of the one that has the file already
    /// (`--nooverlap`): to run it twice does no harm.
    /// - Parameters:
    ///   - partitions: lets the kernel read the partition table and make a device of each partition.
    ///   - isDirect: keeps the data from being cached twice; no file in memory can do that.
    public static func attach(
        _ file: String, readOnly: Bool = false, partitions: Bool = false, isDirect: Bool = true
    ) -> Command {
        let mode = (isDirect ? ["--direct-io=on"] : []) + (readOnly ? ["--read-only"] : [])
        return Command(
            .losetup, ["--find", "--show", "--nooverlap"] + mode + (partitions ? ["--partscan"] : []) + [file],
            .mutation)
    }

    public static let loadModule = Command.mutation(.modprobe, "loop")

    /// Detaches a loop device. While it is open this succeeds too and takes effect at the last close: look again.
    public static func detach(_ device: String) -> Command { .mutation(.losetup, "--detach", device) }

    /// Makes a loop device see its file's new size.
    public static func refreshSize(_ device: String) -> Command { .mutation(.losetup, "--set-capacity", device) }

    private static let columns = "NAME,BACK-FILE,RO,DIO,AUTOCLEAR,OFFSET,SIZELIMIT"

    /// Lists every loop device that has a file. Read with `parse`.
    public static func list() -> Command { .query(.losetup, "--json", "--list", "--output", columns) }

    /// Lists the loop devices of one file, by its inode. Read with `parse`.
    public static func find(_ file: String) -> Command {
        .query(.losetup, "--json", "--list", "--output", columns, "--associated", file)
    }

    /// The path that `attach` printed. Throws `.inconsistent` where it is none.
    public static func parseAttached(_ output: String) throws(Failure) -> String {
        let path = output.trimmingNewline
        guard path.hasPrefix("/dev/loop"), !path.dropFirst(9).isEmpty, path.dropFirst(9).allSatisfy(\.isNumber) else {
            throw Failure(.inconsistent, "cannot read the answer of losetup", why: "it is '\(output.prefix(200))'")
        }
        return path
    }

    /// Reads the output of `list` or `find`. No output at all means no devices.
    public static func parse(_ output: String) throws(Failure) -> [LoopDevice] {
        if output.allSatisfy(\.isWhitespace) { return [] }
        do {
            let list = try JSONDecoder().decode(List.self, from: Data(output.utf8))
            return list.loopdevices.compactMap(\.device)
        } catch {
            throw Failure(
                .inconsistent, "cannot read the list of loop devices", why: String(describing: error),
                remedy: "see that 'losetup --json --list' works on this host")
        }
    }

    private struct List: Decodable { var loopdevices: [Row] }

    private struct Row: Decodable {
        var name: String
        var file: String?
        var ro: Bool
        var dio: Bool
        var autoclear: Bool
        var offset: Int64
        var sizelimit: Int64

        enum CodingKeys: String, CodingKey {
            case name, ro, dio, autoclear, offset, sizelimit
            case file = "back-file"
        }

        var device: LoopDevice? {
            file.map { file in
                LoopDevice(
                    path: name, file: file, isReadOnly: ro, isDirect: dio, isClosing: autoclear,
                    isWhole: offset == 0 && sizelimit == 0)
            }
        }
    }
}
