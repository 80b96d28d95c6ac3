import Domains
import HostModel
import Testing

@Suite("What xl's errors mean")
struct FailureTests {
    func explain(_ errors: String, exit code: Int32 = 1) -> Failure {
        XLFailure.explain(
            CommandResult(termination: .exited(code), output: "", errors: errors), doing: "cannot restore domain web1")
    }

    /// What libxl always adds when a creation or restore has failed.
    static let aftermath = """
        libxl: error: libxl_domain.c:1183:libxl__destroy_domid: Domain 13:Non-existant domain
        libxl: error: libxl_domain.c:1137:domain_destroy_callback: Domain 13:Unable to destroy guest
        libxl: error: libxl_domain.c:1064:domain_destroy_cb: Domain 13:Destruction of domain failed

        """

    /// Recorded with Xen 4.17.7.
    static let recorded: [(String, Failure.Code, String)] = [
        ("nope is an invalid domain identifier (rc=-6)\n", .notFound, "no such domain"),
        ("Error: Domain '77' does not exist.\n", .notFound, "no such domain"),
        ("Can't get domid of domain name 'nope', maybe this domain does not exist.\n", .notFound, "no such domain"),
        (
            """
            Parsing config from <saved>
            libxl: error: libxl_device.c:455:libxl__device_disk_set_backend: Disk vdev=xvda failed to stat: \
            /dev/xenlvs/dom-pv: No such file or directory
            libxl: error: libxl_create.c:1318:initiate_domain_create: Domain 13:Unable to set disk defaults for disk 0

            """ + aftermath, .failed, "leads nowhere"
        ),
        (
            """
            libxl: error: libxl_domain.c:81:libxl__domain_rename: Domain 19:Domain with name "dom-pv" already exists.
            libxl: error: libxl_create.c:1296:initiate_domain_create: Domain 19:cannot make domain: -6

            """ + aftermath, .refused, "a domain of that name"
        ),
        (
            """
            xc: error: panic: xg_dom_boot.c:119: xc_dom_boot_mem_init: can't allocate low memory for domain: Out of memory
            libxl: error: libxl_dom.c:586:libxl__build_dom: xc_dom_boot_mem_init failed: Cannot allocate memory
            libxl: error: libxl_create.c:1640:domcreate_rebuild_done: Domain 21:cannot (re-)build domain: -3

            """ + aftermath, .failed, "not enough free memory"
        ),
        (
            """
            libxl: error: libxl_exec.c:117:libxl_report_child_exitstatus: /etc/xen/scripts/block add [5149] exited with \
            error status 1
            libxl: error: libxl_device.c:1337:device_hotplug_child_death_cb: script: Device /dev/dm-0 is mounted in a guest domain,
            and so cannot be mounted now.
            libxl: error: libxl_create.c:1672:domcreate_launch_dm: Domain 24:unable to add disk devices

            """ + aftermath, .busy, "another guest"
        ),
        (
            """
            libxl: error: libxl_aoutils.c:539:async_exec_timeout: killing execution of /etc/xen/scripts/block add because of timeout
            libxl: error: libxl_create.c:1672:domcreate_launch_dm: Domain 1:unable to add disk devices

            """ + aftermath, .failed, "40 seconds"
        ),
        (
            """
            libxl: error: libxl_device.c:1337:device_hotplug_child_death_cb: script: Could not find bridge device nobr
            libxl: error: libxl_create.c:1921:domcreate_attach_devices: Domain 25:unable to add vif devices

            """ + aftermath, .failed, "bridge"
        ),
        (
            """
            xc: error: Failed to write page data to stream (28 = No space left on device): Internal error
            xc: error: Save failed (28 = No space left on device): Internal error
            libxl: error: libxl_stream_write.c:347:libxl__xc_domain_save_done: Domain 5:saving domain: domain responded \
            to suspend request: No space left on device
            Failed to save domain, resuming domain

            """, .failed, "disk was full"
        ),
        (
            """
            libxl: error: libxl_utils.c:505:libxl_read_exactly: file/stream truncated reading ipc msg header from domain 5 \
            save/restore helper stdout pipe
            libxl: error: libxl_exec.c:127:libxl_report_child_exitstatus: domain 5 save/restore helper [3272] died due to \
            fatal signal Broken pipe
            Failed to save domain, resuming domain

            """, .failed, "nobody took the image"
        ),
        (
            """
            xc: error: Failed to read 4202504 bytes of data for record (0x00000001, Page data) (0 = Success): Internal error
            xc: error: Restore failed (0 = Success): Internal error

            """ + aftermath, .failed, "ends too early"
        ),
        (
            """
            xc: error: panic: xg_dom_core.c:205: failed to open file '/lab/guest/vmlinuz': No such file or directory: Internal error
            libxl: error: libxl_dom.c:909:libxl__domain_firmware: xc_dom_kernel_file failed: No such file or directory

            """ + aftermath, .failed, "boots from"
        ),
        ("File has wrong magic number - corrupt or for a different tool?\n", .refused, "not an image"),
        ("Can't open restore file: No such device or address\n", .failed, "not a pipe"),
        ("Can't open restore file: No such file or directory\n", .notFound, "cannot be opened"),
        ("Failed to open temp file /dev/stdout for writing\n", .failed, "not a pipe"),
        (
            "xc: error: Failed to enable logdirty: 95,22,0 (22 = Invalid argument): Internal error\n"
                + "Failed to save domain, resuming domain\n", .refused, "shadow paging"
        ),
    ]

    @Test("A recorded error is explained by its cause and not by what followed from it", arguments: recorded)
    func explained(errors: String, code: Failure.Code, words: String) {
        let failure = explain(errors)
        #expect(failure.what == "cannot restore domain web1")
        #expect(failure.code == code && failure.why?.contains(words) == true, "\(failure)")
        #expect(failure.remedy?.isEmpty == false)
    }

    @Test("The line that says it is quoted without its place in Xen's source")
    func quoted() {
        let failure = explain(Self.recorded[3].0)
        #expect(
            failure.why?.hasSuffix("('Disk vdev=xvda failed to stat: /dev/xenlvs/dom-pv: No such file or directory')")
                == true)
    }

    @Test("An unknown error is given with its first line and the exit code")
    func unknown() {
        let failure = explain(
            "Parsing config\nlibxl: error: libxl_x.c:1:f: Domain 2:something new\n" + Self.aftermath, exit: 3)
        #expect(failure.code == .failed && failure.why == "xl ended with exit code 3: Domain 2:something new")
        let silent = XLFailure.explain(CommandResult(termination: .signalled(9), output: "", errors: ""), doing: "x")
        #expect(silent.why == "xl was ended by signal 9")
    }
}
