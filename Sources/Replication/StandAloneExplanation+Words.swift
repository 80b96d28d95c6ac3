import HostModel

extension StandAloneExplanation {
    /// What happened, without a full stop.
    public var sentence: String {
        switch cause {
        case .incompatibleVersions: "the two hosts' DRBD versions have no protocol in common"
        case .differentSetting(let name): "the two hosts use different settings of '\(name)'"
        case .splitBrain: "both copies were changed independently of each other (split brain)"
        case .unrelatedData: "the two copies have no common history"
        case .peerTooSmall(let peer, let own): "the peer's disk is too small: it has \(peer), this one \(own)"
        case .portInUse: "another program on this host uses the replica's TCP port"
        case .addressNotHere: "this host does not have the address that the replica should use"
        case .wouldOverwritePrimary: "this copy is Primary, but DRBD takes the peer's for the newer one"
        case .noGoodData: "DRBD takes this copy for the newer one, but it is not complete"
        case .bothPrimary: "both copies are Primary"
        case .secretOnOneSide: "only one of the two hosts asks for a shared secret"
        case .differentSecretDigest: "the two hosts use different digests to prove the shared secret"
        case .wrongSecret: "the two hosts have different shared secrets"
        case .pingTimeout: "the peer did not answer a ping in time"
        case .peerTooSlow: "the peer did not finish a request in time"
        case .peerClosed: "the peer ended the connection"
        case .networkFailure: "the network connection broke"
        case .disconnectedHere: "the replica was disconnected on this host"
        case .unknown: "the kernel's log does not say why there is no connection"
        }
    }

    /// What to do about it.
    public var remedy: String {
        switch cause {
        case .incompatibleVersions: "install DRBD versions that understand each other"
        case .differentSetting, .secretOnOneSide, .differentSecretDigest, .wrongSecret:
            "disconnect both replicas and connect them again with the same settings: xenlvs migration resume"
        case .splitBrain:
            "decide which copy is good and connect the replicas so that it is kept; or abort the migration: the source's is "
                + "kept then, and nothing of the target's is used"
        case .unrelatedData: "remove the target's copy and its metadata, and begin the migration again"
        case .peerTooSmall: "make the target's volume as large as the source's"
        case .portInUse: "see with 'ss -tlnp' who it is; end it, or change 'ports' in xenlvs.yaml"
        case .addressNotHere: "correct 'replication_address' in xenlvs.yaml"
        case .wouldOverwritePrimary, .bothPrimary:
            "do not force anything; find out which host runs the guest: xenlvs migration status"
        case .noGoodData: "look at the kernel log for disk errors"
        case .pingTimeout, .peerClosed, .networkFailure:
            "check that the other host runs and is reachable; connecting again goes on where the sync stood"
        case .peerTooSlow: "check the other host's disk and the network between the hosts"
        case .disconnectedHere: "connect it again: xenlvs migration resume"
        case .unknown: "look at the kernel log of the other host: dmesg | grep drbd"
        }
    }
}
