import HostModel

/// What a failed `xl` command means.
public enum XLFailure {
    /// Turns what `xl` printed into a failure: what was being done, the reason it gives in plain words, and a remedy.
    ///
    /// - Parameter doing: what failed, with its object: `cannot restore domain web1`.
    public static func explain(_ result: CommandResult, doing: String) -> Failure {
        let text = result.errors + "\n" + result.output
        if let known = Explanation.all.first(where: { $0.applies(to: text) }) {
            let quote = known.line(in: text).map { " ('\($0)')" } ?? ""
            return Failure(known.code, doing, why: known.why + quote, remedy: known.remedy)
        }
        let end =
            switch result.termination {
            case .exited(let code): "xl ended with exit code \(code)"
            case .signalled(let number): "xl was ended by signal \(number)"
            }
        let words = firstError(in: text) ?? result.lastWords
        return Failure(
            .failed, doing, why: words.isEmpty ? end : "\(end): \(words)",
            remedy: "look into /var/log/xen and 'dmesg' on that host")
    }

    /// libxl prints the cause first and then the failure of each step above it, clean-up included.
    private static func firstError(in text: String) -> String? {
        text.split(whereSeparator: \.isNewline).first { $0.contains("error:") }.map(Explanation.withoutPlace)
    }
}

/// One known cause. Messages are those of Xen 4.17.7, most of them recorded in the lab.
struct Explanation: Sendable {
    /// All of these must be in what `xl` printed.
    var marks: [String]
    var code: Failure.Code
    var why: String
    var remedy: String

    init(_ marks: String..., code: Failure.Code, why: String, remedy: String) {
        self.marks = marks
        self.code = code
        self.why = why
        self.remedy = remedy
    }

    func applies(to text: String) -> Bool { marks.allSatisfy(text.contains) }

    /// The line that holds the first mark, without the place in Xen's source.
    func line(in text: String) -> String? {
        text.split(whereSeparator: \.isNewline).first { $0.contains(marks[0]) }.map(Self.withoutPlace)
    }

    /// `libxl: error: libxl_device.c:455:libxl__device_disk_set_backend: Disk …` → `Disk …`.
    static func withoutPlace(_ line: some StringProtocol) -> String {
        guard let error = line.firstRange(of: "error: ") else { return String(line) }
        let message = line[error.upperBound...]
        let place = message.prefix { $0 != " " }
        return String(place.hasSuffix(":") && place.contains(".c:") ? message.dropFirst(place.count + 1) : message)
    }

    /// The nearest cause first: a text can match several, because libxl goes on to report what followed from it.
    static let all: [Explanation] = environment + names + memory + disks + network + images

    private static let environment = [
        Explanation(
            "cannot open libxc handle", code: .failed, why: "the host does not run under Xen, or xl may not ask it",
            remedy: "boot the host with the Xen hypervisor, and run xenlvs as root"),
        Explanation(
            "libxl_ctx_alloc", code: .failed, why: "xl cannot talk to Xen", remedy: "boot the host with Xen"),
        Explanation(
            "cannot connect to xenstore", code: .failed, why: "xenstored does not run",
            remedy: "see 'systemctl status xenstored' on that host"),
        Explanation(
            "Failed to enable logdirty", code: .refused,
            why: "this Xen is built without shadow paging, and a PV guest cannot be moved live without it",
            remedy: "use the method 'three-freeze'"),
    ]

    private static let names = [
        Explanation(
            "Domain with name", "already exists", code: .refused, why: "a domain of that name is on the host",
            remedy: "see 'xl list'; a paused one may be left over from a restore that was killed: 'xl destroy' it"),
        Explanation(
            "is an invalid domain identifier", code: .notFound, why: "there is no such domain on the host",
            remedy: "see 'xl list'"),
        Explanation(
            "Error: Domain '", "does not exist", code: .notFound, why: "there is no such domain on the host",
            remedy: "see 'xl list'"),
        Explanation(
            "maybe this domain does not exist", code: .notFound, why: "there is no such domain on the host",
            remedy: "see 'xl list'"),
    ]

    private static let memory = [
        Explanation(
            "can't allocate low memory for domain", code: .failed, why: "the host has not enough free memory",
            remedy: "compare 'xl info free_memory'; free some, or lower the guest's memory before it moves"),
        Explanation(
            "failed to free memory for the domain", code: .failed,
            why: "the host has not enough free memory, and Domain-0 could not be shrunk far enough",
            remedy: "free some memory; better, boot Xen with 'dom0_mem=' so that Domain-0 keeps a fixed size"),
        Explanation(
            "Failed to populate p", code: .failed, why: "the host ran out of memory while the image was read",
            remedy: "compare 'xl info free_memory'"),
        Explanation(
            "Out of memory", code: .failed, why: "the host has not enough free memory",
            remedy: "compare 'xl info free_memory'"),
        Explanation(
            "Cannot allocate memory", code: .failed, why: "the host has not enough free memory",
            remedy: "compare 'xl info free_memory'"),
        Explanation(
            "Failed to set CPUID policy", code: .refused,
            why: "the host's CPU lacks a feature that the guest found when it booted",
            remedy: "move the guest to a host with the same CPU, or limit its features with 'cpuid=' and boot it anew"),
    ]

    private static let disks = [
        Explanation(
            "failed to stat", code: .failed, why: "the path of a disk leads nowhere",
            remedy: "put the link right with 'xenlvs link repair' and see that its volume is active"),
        Explanation(
            "is not a block device", code: .failed, why: "the path of a disk does not lead to a block device",
            remedy: "see where the link leads: 'xenlvs link show'"),
        Explanation(
            "no suitable backend for disk", code: .failed, why: "the path of a disk does not lead to a block device",
            remedy: "see where the link leads: 'xenlvs link show'"),
        Explanation(
            "is mounted in a guest domain", code: .busy, why: "another guest of the host has the disk",
            remedy: "two guests must not share a volume: find the other one with 'xl list' and 'xl block-list'"),
        Explanation(
            "is mounted in the privileged domain", code: .busy, why: "the disk is mounted on the host itself",
            remedy: "unmount it"),
        Explanation(
            "killing execution of", "/block add because of timeout", code: .failed,
            why: "Xen's disk script did not end within 40 seconds",
            remedy:
                "see that /dev/stdin exists (without it the script waits forever) and that the host is not overloaded"),
        Explanation(
            "killing execution of", "because of timeout", code: .failed,
            why: "a hotplug script of Xen did not end within 40 seconds",
            remedy: "see /etc/xen/scripts and the host's load"),
        Explanation(
            "unable to add disk devices", code: .failed, why: "Xen could not give the guest its disks",
            remedy: "look at the lines above it, and at 'dmesg'"),
    ]

    private static let network = [
        Explanation(
            "Could not find bridge device", code: .failed, why: "the guest's bridge is not on the host",
            remedy: "create the bridge under the same name"),
        Explanation(
            "unable to add vif devices", code: .failed, why: "Xen could not give the guest its network interface",
            remedy: "see that the guest's bridge exists on the host"),
    ]

    private static let images = [
        Explanation(
            "No space left on device", code: .failed,
            why: "the disk was full before the image was whole; the guest has been resumed",
            remedy: "free space where images are kept, or keep them elsewhere"),
        Explanation(
            "helper", "died due to fatal signal Broken pipe", code: .failed,
            why: "nobody took the image any more; the guest has been resumed",
            remedy: "see why the receiving side ended"),
        Explanation(
            "guest did not suspend, timed out", code: .failed, why: "the guest did not suspend within 60 seconds",
            remedy: "see the guest's console; its kernel must be able to suspend under Xen"),
        Explanation(
            "guest didn't acknowledge suspend", "Domain has not been suspended", code: .failed,
            why: "the guest does not answer",
            remedy: "see the guest's console; its kernel must be able to suspend under Xen"),
        Explanation(
            "File has wrong magic number", code: .refused, why: "the file is not an image that xl saved",
            remedy: "name another file"),
        Explanation(
            "file/stream truncated reading header", code: .failed, why: "there is no image in the stream",
            remedy: "see why the sending side ended"),
        Explanation(
            "Restore failed", code: .failed,
            why: "the image ends too early or is damaged; the half-built domain is gone",
            remedy: "check the image and see why the sending side ended"),
        Explanation(
            "Failed to open temp file /dev/stdout", code: .failed, why: "standard output is not a pipe",
            remedy: "this is a fault in xenlvs: report it"),
        Explanation(
            "Can't open restore file: No such device or address", code: .failed, why: "standard input is not a pipe",
            remedy: "this is a fault in xenlvs: report it"),
        Explanation(
            "Can't open restore file", code: .notFound, why: "the image cannot be opened",
            remedy: "see that the file is there"),
        Explanation(
            "Failed to save domain, resuming domain", code: .failed,
            why: "the save failed; the guest has been told to run on", remedy: "see 'xl list' and 'dmesg'"),
        Explanation(
            "failed to open file", code: .failed, why: "a file that the guest boots from is not on the host",
            remedy: "copy the guest's kernel and ramdisk to the same path"),
    ]
}
