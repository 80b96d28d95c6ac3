/// The names of the bits in the eight `hw_caps` words of `xl info`.
///
/// The words are Xen's feature set in its own order: `arch_do_physinfo` copies `boot_cpu_data.x86_capability`, whose
/// bits `xen/include/public/arch-x86/cpufeatureset.h` (Xen 4.17) names. That file also says who may be shown a feature:
/// no mark here for every guest, `^` for HVM and PVH guests only, `~` for no guest unless its configuration asks for
/// it.
enum CPUFeatureTable {
    /// One string a word, `BIT:NAME` each.
    private static let words = [
        // CPUID leaf 1, edx.
        """
        0:fpu 1:^vme 2:de 3:^pse 4:tsc 5:msr 6:pae 7:mce 8:cx8 9:apic 11:sep 12:^mtrr 13:^pge 14:mca 15:cmov \
        16:pat 17:^pse36 19:clflush 21:~ds 22:acpi 23:mmx 24:fxsr 25:sse 26:sse2 27:ss 28:htt 29:~tm1 31:~pbe
        """,
        // CPUID leaf 1, ecx.
        """
        0:sse3 1:pclmulqdq 2:~dtes64 3:~monitor 4:~dscpl 5:~vmx 6:~smx 7:~eist 8:~tm2 9:ssse3 12:fma 13:cx16 \
        14:~xtpr 15:~pdcm 17:^pcid 18:~dca 19:sse4_1 20:sse4_2 21:^x2apic 22:movbe 23:popcnt 24:^tsc_deadline \
        25:aesni 26:xsave 27:~osxsave 28:avx 29:f16c 30:rdrand 31:hypervisor
        """,
        // CPUID leaf 0x80000001, edx.
        """
        11:syscall 20:nx 22:mmxext 25:ffxsr 26:^page1gb 27:rdtscp 29:lm 30:3dnowext 31:3dnow
        """,
        // CPUID leaf 0x80000001, ecx.
        """
        0:lahf_lm 1:cmp_legacy 2:~svm 3:~extapic 4:^cr8_legacy 5:abm 6:sse4a 7:misalignsse 8:3dnowprefetch \
        9:~osvw 10:~ibs 11:xop 12:~skinit 13:~wdt 15:~lwp 16:fma4 19:~nodeid_msr 21:tbm 22:~topoext 26:dbext \
        29:~monitorx
        """,
        // CPUID leaf 0xd sub-leaf 1, eax.
        """
        0:xsaveopt 1:xsavec 2:xgetbv1 3:^xsaves
        """,
        // CPUID leaf 7, ebx.
        """
        0:fsgsbase 1:^tsc_adjust 2:~sgx 3:bmi1 4:~hle 5:avx2 6:~fdp_excp_only 7:^smep 8:bmi2 9:erms 10:^invpcid \
        11:rtm 12:~pqm 13:~no_fpu_sel 14:~mpx 15:~pqe 16:avx512f 17:avx512dq 18:rdseed 19:adx 20:^smap \
        21:avx512_ifma 23:clflushopt 24:clwb 25:~proc_trace 26:avx512pf 27:avx512er 28:avx512cd 29:sha \
        30:avx512bw 31:avx512vl
        """,
        // CPUID leaf 7, ecx.
        """
        0:prefetchwt1 1:avx512_vbmi 2:^umip 3:^pku 4:~ospke 6:avx512_vbmi2 7:~cet_ss 8:gfni 9:vaes 10:vpclmulqdq \
        11:avx512_vnni 12:avx512_bitalg 14:avx512_vpopcntdq 22:rdpid 25:cldemote 27:~movdiri 28:~movdir64b \
        29:~enqcmd
        """,
        // CPUID leaf 0x80000007, edx.
        """
        7:~hw_pstate 8:~itsc 9:~cpb 10:~efro
        """,
    ]

    /// Every named feature, by word and bit.
    static let features: [[Int: CPUFeature]] = words.enumerated().map { word, text in
        var features: [Int: CPUFeature] = [:]
        for entry in text.split(separator: " ") {
            let parts = entry.split(separator: ":", maxSplits: 1)
            guard parts.count == 2, let bit = Int(parts[0]) else { continue }
            let (name, audience): (Substring, CPUFeature.Audience) =
                switch parts[1].first {
                case "^": (parts[1].dropFirst(), .hardwareAssisted)
                case "~": (parts[1].dropFirst(), .none)
                default: (parts[1], .all)
                }
            features[bit] = CPUFeature(name: String(name), audience: audience)
        }
        return features
    }
}
