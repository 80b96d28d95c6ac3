/// What libiscsi's suite finds at a disk that somebody has made by hand with a backend, as the research of it measured (libiscsi
/// 1.19, tgt 1.0.85, LIO of Linux 6.1.192). Of an export of that backend nothing worse is accepted.
package struct ConformanceTable: Sendable, CustomStringConvertible {
    /// As `iscsi_target` names it.
    package let backend: String
    /// Of what disk.
    package let disk: String
    package let passed: Int
    package let skipped: Int
    /// The tests that fail there. Every other one passes, or is skipped.
    package let failures: Set<String>

    /// Those of `failures` that pass at times, by when the target notices that a session has ended: of these a run of another
    /// disk says nothing.
    package let wavering: Set<String>

    /// Tests beside `failures` that fail or pass by what lies below the disk, as LIO's do over a plain virtio or AHCI disk and not
    /// over a mapping on virtio: only a disk by hand on the same storage says whether they may fail.
    package let dependingOnStorage: Set<String>

    package static let all = [lio, tgt]

    /// The four tests of several paths are skipped by one. The research tells what fails in words; the names are those of a disk
    /// that was made like its own, and had the same counts.
    package static let lio = ConformanceTable(
        backend: "lio", disk: "iblock thick, 2 paths", passed: 123, skipped: 91,
        failures: [
            "CompareAndWrite.Simple", "CompareAndWrite.Miscompare", "Inquiry.BlockLimits",
            "ReceiveCopyResults.CopyStatus", "Reserve6.Logout", "Reserve6.ITNexusLoss", "Verify10.VerifyProtect",
            "Verify10.Mismatch", "Verify16.VerifyProtect", "Verify16.Mismatch", "iSCSIResiduals.Write10Residuals",
            "iSCSIResiduals.Write12Residuals", "iSCSIResiduals.Write16Residuals",
            "iSCSIResiduals.WriteVerify10Residuals", "iSCSIResiduals.WriteVerify16Residuals",
            "iSCSIdatasn.iSCSIDataSnInvalid",
        ], wavering: ["Reserve6.Logout", "Reserve6.ITNexusLoss"],
        dependingOnStorage: [
            "iSCSIResiduals.Read10Invalid", "iSCSIResiduals.Read10Residuals", "iSCSIResiduals.Read12Residuals",
            "iSCSIResiduals.Read16Residuals",
        ])

    package static let tgt = ConformanceTable(
        backend: "tgt", disk: "default", passed: 160, skipped: 62,
        failures: [
            "GetLBAStatus.BeyondEol", "PrinServiceactionRange.Range", "ProutReserve.OwnershipEA",
            "ProutReserve.OwnershipWE", "ProutReserve.OwnershipEARO", "ProutReserve.OwnershipWERO",
            "Reserve6.2Initiators", "iSCSIdatasn.iSCSIDataSnInvalid",
        ], wavering: [], dependingOnStorage: [])

    package var description: String { backend }

    /// `160 passed, 8 failed, 62 skipped`.
    package var summary: String { "\(passed) passed, \(failures.count) failed, \(skipped) skipped" }

    /// What a run found that is worse than the table, in words; none where nothing is. What depends on the storage is left to a
    /// comparison with a disk beside it.
    package func objections(to run: ConformanceRun) -> [String] {
        let total = passed + failures.count + skipped
        var objections = run.failures.subtracting(failures).subtracting(dependingOnStorage).sorted().map {
            "\($0) fails, and does not with \(backend) in the research"
        }
        if run.outcomes.count != total {
            objections.append("\(run.outcomes.count) tests have an outcome, \(total) had one in the research")
        }
        return objections
    }
}
