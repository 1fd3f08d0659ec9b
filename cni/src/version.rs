//! The version that the plugin reports; the daemons report theirs in the same form.

/// `<version>(<tree state><release status>), commit:<commit>, date:<date>`, as the Go version prints it. A release build
/// sets the whole text in the environment variable `NV_IPAM_VERSION`.
pub const VERSION: &str = match option_env!("NV_IPAM_VERSION") {
    Some(version) => version,
    None => concat!(
        "v",
        env!("CARGO_PKG_VERSION"),
        "(unknown), commit:unknown, date:unknown"
    ),
};
