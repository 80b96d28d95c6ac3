import CISCSI
import Glibc
import HostModel

/// libiscsi, loaded when it is first needed: it brings much along (InfiniBand's libraries), and a host that attaches nothing
/// over iSCSI need not have it.
struct ISCSILibrary {
    typealias Context = OpaquePointer
    typealias Task = UnsafeMutablePointer<scsi_task>
    typealias Text = UnsafePointer<CChar>

    let createContext: @convention(c) (Text) -> Context?
    let destroyContext: @convention(c) (Context) -> CInt
    let setTargetName: @convention(c) (Context, Text) -> CInt
    let setSessionType: @convention(c) (Context, iscsi_session_type) -> CInt
    let setHeaderDigest: @convention(c) (Context, iscsi_header_digest) -> CInt
    let setInitiatorAccount: @convention(c) (Context, Text, Text) -> CInt
    let setTargetAccount: @convention(c) (Context, Text, Text) -> CInt
    let setTimeout: @convention(c) (Context, CInt) -> CInt
    let setNoReconnect: @convention(c) (Context, CInt) -> Void
    let bindInterfaces: @convention(c) (Context, UnsafeMutablePointer<CChar>) -> Void
    let connect: @convention(c) (Context, Text) -> CInt
    let login: @convention(c) (Context) -> CInt
    let logout: @convention(c) (Context) -> CInt
    let error: @convention(c) (Context) -> Text?
    let discover: @convention(c) (Context) -> UnsafeMutablePointer<iscsi_discovery_address>?
    let freeDiscovery: @convention(c) (Context, UnsafeMutablePointer<iscsi_discovery_address>) -> Void
    let reportUnits: @convention(c) (Context, CInt, CInt) -> Task?
    let inquiry: @convention(c) (Context, CInt, CInt, CInt, CInt) -> Task?
    let readCapacity: @convention(c) (Context, CInt) -> Task?
    let freeTask: @convention(c) (Task) -> Void

    /// The name that its interface has had since 1.18 (`SONAME`).
    private static let name = "libiscsi.so.7"

    /// Throws `.notFound` where it is not installed.
    init() throws(Failure) {
        guard let handle = dlopen(Self.name, RTLD_NOW | RTLD_LOCAL) else {
            throw Failure(
                .notFound, "targets cannot be looked at", why: dlerror().map { String(cString: $0) } ?? Self.name,
                remedy: "install the package libiscsi7")
        }
        func find<Function>(_ symbol: String) throws(Failure) -> Function {
            guard let address = dlsym(handle, symbol) else {
                throw Failure(.failed, "\(Self.name) cannot be used", why: "it has no '\(symbol)'")
            }
            return unsafeBitCast(address, to: Function.self)
        }
        createContext = try find("iscsi_create_context")
        destroyContext = try find("iscsi_destroy_context")
        setTargetName = try find("iscsi_set_targetname")
        setSessionType = try find("iscsi_set_session_type")
        setHeaderDigest = try find("iscsi_set_header_digest")
        setInitiatorAccount = try find("iscsi_set_initiator_username_pwd")
        setTargetAccount = try find("iscsi_set_target_username_pwd")
        setTimeout = try find("iscsi_set_timeout")
        setNoReconnect = try find("iscsi_set_noautoreconnect")
        bindInterfaces = try find("iscsi_set_bind_interfaces")
        connect = try find("iscsi_connect_sync")
        login = try find("iscsi_login_sync")
        logout = try find("iscsi_logout_sync")
        error = try find("iscsi_get_error")
        discover = try find("iscsi_discovery_sync")
        freeDiscovery = try find("iscsi_free_discovery_data")
        reportUnits = try find("iscsi_reportluns_sync")
        inquiry = try find("iscsi_inquiry_sync")
        readCapacity = try find("iscsi_readcapacity16_sync")
        freeTask = try find("scsi_free_scsi_task")
    }
}
