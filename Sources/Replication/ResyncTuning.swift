import HostModel

/// How fast a replica is synchronised and verified.
///
/// DRBD's own controller starts at 250 KiB/s and follows the guest's load (1.2 MB/s measured where 36 were possible);
/// with `c-plan-ahead 0` it is off and `resync-rate` alone is the limit. `c-min-rate` is, despite its name, the rate
/// above which DRBD holds the resync back as soon as the guest writes (`drbd_rs_c_min_rate_throttle`, drbd_receiver.c):
/// 0 switches that off, so that a busy guest cannot starve the resync, with a limit as well as without. The limit is
/// enforced by the side that asks for blocks: the target of a resync, the source of a verification.
public struct ResyncTuning: Sendable, Codable, Equatable {
    /// Bytes per second for one replica; whole KiB, from 1 KiB to 4 GiB.
    public let rate: ByteCount

    /// - Parameter bandwidth: the limit for this replica, nil for none.
    public init(bandwidth: ByteCount?) {
        let smallest = ByteCount.kibibytes(1)
        let largest = ByteCount.gibibytes(4)
        let wanted = bandwidth ?? .mebibytes(200)
        rate = ByteCount(min(max(wanted, smallest), largest).bytes / 1024 * 1024)
    }

    /// One replica's part of a limit that several share.
    public static func shared(bandwidth: ByteCount?, among replicas: Int) -> ResyncTuning {
        ResyncTuning(bandwidth: bandwidth.map { ByteCount($0.bytes / Int64(max(replicas, 1))) })
    }

    var options: [DRBDOption] {
        [
            DRBDOption("c-plan-ahead", "0"),
            DRBDOption("resync-rate", "\(rate.bytes / 1024)k"),
            DRBDOption("c-min-rate", "0"),
        ]
    }
}
