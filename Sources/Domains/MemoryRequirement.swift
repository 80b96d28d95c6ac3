import HostModel

/// What a domain needs of a host besides its disks.
///
/// Figures follow libxl 4.17: `libxl__domain_need_memory_calculate` (`libxl_mem.c`) and
/// `libxl__get_required_paging_memory` (`libxl_create.c`).
public enum MemoryRequirement {
    /// The free memory that a restore of `domain` needs: its memory, what libxl sets aside for paging structures (1 MiB
    /// a virtual CPU and a page a MiB, two without hardware-assisted paging), libxl's slack (1 MiB for PV, 2 MiB for
    /// PVH and HVM), in whole 2 MiB; and 4 MiB more, our own margin, for what Xen allocates for a domain itself and for
    /// free memory that is counted in whole MiB. On the safe side: a PV guest of 96 MiB really took 96 MiB and needs
    /// 104 here.
    public static func restore(of domain: DomainDescription) -> ByteCount {
        let memory = max(domain.targetMemory, domain.maximumMemory)
        let paging =
            domain.pagingMemory
            ?? {
                let pagesPerMebibyte = domain.type == .pv || !domain.usesHardwarePaging ? 2 : 1
                let pages = 256 * Int64(domain.virtualCPUs) + Int64(pagesPerMebibyte) * (memory.bytes >> 20)
                return .kibibytes(4 * pages)
            }()
        let slack: ByteCount = domain.type == .pv ? .mebibytes(1) : .mebibytes(2)
        return (memory + paging + slack).roundedUp(to: .mebibytes(2)) + .mebibytes(4)
    }

    /// The most that a saved image of `domain` can take on disk.
    ///
    /// The image holds every page and 8 bytes for each page number, those of the holes below 4 GiB included: a PVH
    /// guest of 96 MiB lists 1,044,480 of them. 2 MiB stand for the headers, the virtual CPUs and the configuration.
    public static func savedImage(of domain: DomainDescription) -> ByteCount {
        let memory = max(domain.targetMemory, domain.maximumMemory)
        let pages = memory.bytes / 4096 + (domain.type == .pv ? 0 : 1 << 20)
        return memory + ByteCount(pages * 8) + .mebibytes(2)
    }
}
