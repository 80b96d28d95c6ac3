import Foundation

/// What all nodes of a lab share.
struct LabContext: Sendable {
    let directory: LabDirectory
    let record: LabRecord

    var image: LabImage { LabImage(directory: URL(filePath: record.image, directoryHint: .isDirectory)) }

    /// Written anew when a port changes. Every ssh of the lab uses it, people's too.
    func writeSSHConfiguration() throws {
        var text = """
            Host *
              User root
              HostName 127.0.0.1
              IdentityFile \(image.key.path)
              IdentitiesOnly yes
              UserKnownHostsFile \(image.knownHosts.path)
              GlobalKnownHostsFile /dev/null
              StrictHostKeyChecking yes
              BatchMode yes
              LogLevel ERROR
              KexAlgorithms curve25519-sha256
              ConnectTimeout 20
              ServerAliveInterval 20
              ServerAliveCountMax 6
              ControlPath \(directory.url.path)/%n.ssh

            """
        for letter in record.nodes {
            let port = try directory.read(NodeRecord.self, from: LabNode.recordName(letter)).sshPort
            text += """
                Host node\(letter)
                  Port \(port)
                  HostKeyAlias node\(letter)

                """
        }
        try Data(text.utf8).write(to: directory.sshConfiguration, options: .atomic)
    }
}
