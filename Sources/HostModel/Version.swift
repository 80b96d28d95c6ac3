/// The version of xenlvs, also told to the other host.
public enum Version {
    public static let text = "0.1.0"
}
