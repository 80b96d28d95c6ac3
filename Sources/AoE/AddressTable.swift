import Glibc
import HostModel

/// Finds a target by its address: one place for each address that there can be, 32 MiB of which only the pages that were
/// written take memory. A look needs no search, whatever a frame holds.
struct AddressTable: ~Copyable {
    private static let slots = 256
    private static let length = 65536 * slots * MemoryLayout<UInt16>.size
    /// The number of the target, plus one; 0 for none.
    private let places: UnsafeMutablePointer<UInt16>

    init() throws(Failure) {
        let memory = mmap(
            nil, Self.length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard let memory, memory != MAP_FAILED else { throw Failure.system("cannot make the table of addresses") }
        places = memory.bindMemory(to: UInt16.self, capacity: Self.length / MemoryLayout<UInt16>.size)
    }

    deinit { munmap(places, Self.length) }

    @inline(__always) func find(shelf: UInt16, slot: UInt8) -> Int { Int(places[Self.place(shelf, slot)]) - 1 }

    func set(_ address: AoEAddress, to number: Int) {
        places[Self.place(address.shelf, address.slot)] = UInt16(number + 1)
    }

    func clear(_ address: AoEAddress) { places[Self.place(address.shelf, address.slot)] = 0 }

    @inline(__always) private static func place(_ shelf: UInt16, _ slot: UInt8) -> Int {
        Int(shelf) * slots + Int(slot)
    }
}
