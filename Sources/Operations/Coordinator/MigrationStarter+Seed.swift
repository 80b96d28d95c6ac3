import DeviceMapper
import Glibc
import HostModel
import Hosts
import Migration
import Replication
import Storage

extension MigrationStarter {
    /// How the bulk of the volumes would get to the target. Changes nothing.
    func seedChoice(
        _ request: MigrationRequest, _ names: [VolumeName], _ here: HostSurvey, _ there: HostSurvey
    ) async throws -> SeedChoice {
        guard request.seed != .replica else { return SeedChoice(.replica, SeedChoice.Facts()) }
        var facts = SeedChoice.Facts()
        for name in names {
            guard let reference = try worker.host.recordedVolume(name)?.place.logicalVolume else {
                facts.noVolumes.append(name)
                continue
            }
            let mapper = worker.host.mapper
            let device = try? await Blocking.run("device-mapper") {
                try mapper.find(name: MappedIdentity.nameByLVM(reference))
            }
            if device?.table?.targets.contains(where: { $0.type == "thin" }) == true { facts.thin.append(name) }
        }
        facts.isOldDRBD = [here, there].allSatisfy { survey in
            survey.drbd.version.flatMap { try? DRBDDialect(moduleVersion: $0) } != .v9
        }
        let addresses = try? HostAddresses.between(
            request.target, local: worker.host.configuration.replicationAddress)
        facts.megabits = addresses.flatMap { LinkSpeed.megabits(of: $0.local) }
        facts.bandwidth = request.bandwidth ?? worker.host.configuration.bandwidth
        return SeedChoice(request.seed, facts)
    }
}

/// What the interface with an address is able to do.
enum LinkSpeed {
    /// In megabits in a second; nil where no interface has the address, or the kernel does not know.
    static func megabits(of address: String) -> Int? {
        guard let name = interface(with: address),
            let speed = KernelFile.read("/sys/class/net/\(name)/speed").flatMap({
                Int($0.filter { !$0.isWhitespace })
            }),
            speed > 0
        else { return nil }
        return speed
    }

    private static func interface(with address: String) -> String? {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return nil }
        defer { freeifaddrs(list) }
        var next = list
        while let entry = next {
            next = entry.pointee.ifa_next
            guard let socket = entry.pointee.ifa_addr else { continue }
            let size =
                Int32(socket.pointee.sa_family) == AF_INET6
                ? MemoryLayout<sockaddr_in6>.size : MemoryLayout<sockaddr_in>.size
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            guard
                getnameinfo(
                    socket, socklen_t(size), &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0
            else { continue }
            let found = String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            if found == address { return String(cString: entry.pointee.ifa_name) }
        }
        return nil
    }
}
