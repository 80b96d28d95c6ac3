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

    /// Throws `.notFound` where it is not installed. Its interface has had that name since 1.18.
    init() throws(Failure) {
        let library = try DynamicLibrary("libiscsi.so.7", package: "libiscsi7", doing: "targets cannot be looked at")
        createContext = try library.function("iscsi_create_context")
        destroyContext = try library.function("iscsi_destroy_context")
        setTargetName = try library.function("iscsi_set_targetname")
        setSessionType = try library.function("iscsi_set_session_type")
        setHeaderDigest = try library.function("iscsi_set_header_digest")
        setInitiatorAccount = try library.function("iscsi_set_initiator_username_pwd")
        setTargetAccount = try library.function("iscsi_set_target_username_pwd")
        setTimeout = try library.function("iscsi_set_timeout")
        setNoReconnect = try library.function("iscsi_set_noautoreconnect")
        bindInterfaces = try library.function("iscsi_set_bind_interfaces")
        connect = try library.function("iscsi_connect_sync")
        login = try library.function("iscsi_login_sync")
        logout = try library.function("iscsi_logout_sync")
        error = try library.function("iscsi_get_error")
        discover = try library.function("iscsi_discovery_sync")
        freeDiscovery = try library.function("iscsi_free_discovery_data")
        reportUnits = try library.function("iscsi_reportluns_sync")
        inquiry = try library.function("iscsi_inquiry_sync")
        readCapacity = try library.function("iscsi_readcapacity16_sync")
        freeTask = try library.function("scsi_free_scsi_task")
    }
}
