import HostModel
import Hosts
import Storage

/// An attachment's link while the device is given back, whichever protocol it came by.
struct AttachedLink: Sendable {
    let host: HostContext
    let name: VolumeName
    /// The device's path, to which it has to lead.
    let path: String
    /// The target, in words.
    let target: String
    /// Begins what is thrown.
    let what: String

    /// Takes the link away and then lets `check` look: whoever starts to use the device does so by the link, so that without
    /// it the next look is the last that is needed. Where `check` throws the link is put back.
    /// - Returns: the link's path where it was there.
    /// - Throws: `.refused` where the link was changed by hand.
    func takeAway(_ check: () async throws -> Void) async throws -> [String] {
        let former = try former()
        let wasThere = try host.links.remove(name)
        do { try await check() } catch {
            if let former { try host.links.set(name, to: former) }
            throw error
        }
        return wasThere ? [host.links.path(of: name)] : []
    }

    /// What it holds; nil where there is none that leads anywhere.
    private func former() throws -> String? {
        switch try host.links.read(name) {
        case .absent: return nil
        case .notALink(let kind):
            throw Failure(.refused, what, why: "\(kind) is in the place of its link", remedy: "move it away by hand")
        case .link(let held, let end):
            guard held == path else {
                throw Failure(
                    .refused, what, why: "its link leads to \(held), and not to \(target)",
                    remedy: "see 'xenlvs link show \(name)'; remove the link by hand once nothing uses it")
            }
            switch end {
            case .device: return held
            case .dangling, .notABlockDevice: return nil
            }
        }
    }

    /// Has the kernel write what it has of the device in memory.
    func writeBack(_ node: String) async throws {
        do { try await host.runner.run(InitiatorCommands.writeBack(node)) } catch {
            let failure = Failure(error, doing: "cannot write it back")
            throw Failure(
                .failed, what,
                why: "what the host has of it in memory cannot be written: \(failure.why ?? failure.what)",
                remedy: "see that its target answers ('xenlvs attachments'); --force gives up what is not written",
                causes: [failure])
        }
    }
}
