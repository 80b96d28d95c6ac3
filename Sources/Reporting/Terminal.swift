import Glibc

/// The edge to a terminal: what a file descriptor is, how wide it is, and writing to it.
public struct Terminal: Sendable {
    private let descriptor: Int32

    public static let output = Terminal(descriptor: STDOUT_FILENO)
    public static let errors = Terminal(descriptor: STDERR_FILENO)

    public var isTerminal: Bool { isatty(descriptor) == 1 }

    /// Columns, asked of the terminal driver; 80 where it does not know (a serial console says 0).
    public var columns: Int {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    /// Writes all of `text`. A reader that has gone away is no reason to stop a migration, so errors are dropped.
    public func write(_ text: String) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if written > 0 {
                rest = rest.dropFirst(written)
            } else if written < 0, errno == EAGAIN {
                var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                guard poll(&ready, 1, 1_000) > 0 else { return }
            } else if written == 0 || errno != EINTR {
                return
            }
        }
    }
}

extension ProgressReporter {
    /// The display on stderr, as the environment wants it.
    public static func onStandardError(environment: [String: String]) -> ProgressReporter {
        let terminal = Terminal.errors
        return ProgressReporter(
            style: .detect(isTerminal: terminal.isTerminal, environment: environment),
            width: { terminal.columns }, write: { terminal.write($0) })
    }
}
