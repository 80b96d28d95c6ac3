/// Outputs of Xen 4.17.7 on Debian 12, recorded in the lab.
enum Recorded {
    static let list = """
        Name                                        ID   Mem VCPUs\tState\tTime(s)
        Domain-0                                     0   700     1     r-----     136.0
        dom-pv                                       5    96     1     ---ss-       6.1
        dom-pvh                                     11    96     0     --p---       0.0

        """

    static let info = """
        host                   : nodea
        release                : 6.1.0-56-amd64
        version                : #1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-11-16)
        machine                : x86_64
        nr_cpus                : 1
        max_cpu_id             : 0
        nr_nodes               : 1
        cores_per_socket       : 1
        threads_per_core       : 1
        cpu_mhz                : 2596.134
        hw_caps                : 078bf3fd:80002001:20100800:00000005:00000000:00000000:00000000:00000000
        virt_caps              : pv hvm hap gnttab-v1 gnttab-v2
        total_memory           : 1599
        free_memory            : 783
        sharing_freed_memory   : 0
        sharing_used_memory    : 0
        outstanding_claims     : 0
        free_cpus              : 0
        xen_major              : 4
        xen_minor              : 17
        xen_extra              : .7
        xen_version            : 4.17.7
        xen_caps               : xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 
        xen_scheduler          : credit2
        xen_pagesize           : 4096
        platform_params        : virt_start=0xffff800000000000
        xen_changeset          : 
        xen_commandline        : console=com1 dom0_mem=700M,max:700M no-real-mode edd=off noreboot
        cc_compiler            : x86_64-linux-gnu-gcc (Debian 12.2.0-14+deb12u1) 12.2.0
        build_id               : 151b373fd64b321593bf987fd923cd10dabadac4
        xend_config_format     : 4

        """

    static let controlDomain = """
        {
            "domid": 0,
            "config": {
                "c_info": { "type": "pv", "name": "Domain-0" },
                "b_info": {
                    "max_memkb": 716800,
                    "target_memkb": 716799,
                    "sched_params": { "sched": "credit2", "weight": 256, "cap": 0 },
                    "type.pv": { }, "arch_arm": { }, "arch_x86": { }
                }
            }
        }
        """

    /// The configuration of a guest, as `xl list -l` and the header of its image have it.
    static func configuration(
        type: String = "pv", name: String = "dom-pv", build: String = "", disks: String = disk, more: String = ""
    ) -> String {
        """
        {
            "c_info": {
                "type": "\(type)",
                "name": "\(name)",
                "domid": 4294967295,
                "uuid": "4a3e907b-f9a3-4c66-89f7-449cc6af31c5",
                "run_hotplug_scripts": "True"
            },
            "b_info": {
                "max_vcpus": 1,
                "avail_vcpus": [
                    0
                ],
                "max_memkb": 98304,
                "target_memkb": 98304,
                "video_memkb": 0,
                "sched_params": {
                    "sched": "credit2",
                    "weight": 256,
                    "cap": 0
                },
                "claim_mode": "True",
                "kernel": "/lab/guest/vmlinuz",
                "cmdline": "console=hvc0 quiet",
                "ramdisk": "/lab/guest/initrd",\(build)
                "type.\(type)": {

                },
                "arch_arm": {

                },
                "arch_x86": {
                    "msr_relaxed": "False"
                }
            },
            "disks": [\(disks)
            ],
            "nics": [
                {
                    "devid": 0,
                    "mac": "00:16:3e:00:00:02",
                    "bridge": "xenbr0",
                    "nictype": "vif"
                }
            ],\(more)
            "on_reboot": "restart",
            "on_soft_reset": "soft_reset"
        }
        """
    }

    static let disk = """

                {
                    "pdev_path": "/dev/xenlvs/dom-pv",
                    "vdev": "xvda",
                    "format": "raw",
                    "readwrite": 1,
                    "colo_restore_enable": "False"
                }
        """

    static func listing(_ configurations: String...) -> String {
        "[\n"
            + ([controlDomain]
            + configurations.enumerated().map { "{ \"domid\": \($0.offset + 3), \"config\": \($0.element) }" })
            .joined(separator: ",\n") + "\n]\n"
    }

    static let runningDisk = """
        /local/domain/0/backend/vbd/3/51712/params: /dev/xenlvs/dom-pv
        /local/domain/0/backend/vbd/3/51712/mode: w
        /local/domain/0/backend/vbd/3/51712/state: 4
        /local/domain/0/backend/vbd/3/51712/physical-device: fe:0
        /local/domain/0/backend/vbd/3/51712/physical-device-path: /dev/dm-0

        """

    /// A domain restored onto a Secondary DRBD device: `xl restore` ended with 0.
    static let unopenedDisk = """
        /local/domain/0/backend/vbd/35/51712/params: /dev/xenlvs/dom-pv
        /local/domain/0/backend/vbd/35/51712/mode: w
        /local/domain/0/backend/vbd/35/51712/state: 5
        /local/domain/0/backend/vbd/35/51712/physical-device: 93:5
        /local/domain/0/backend/vbd/35/51712/physical-device-path: /dev/drbd5

        """
}
