//! What was built: the version that every binary of the project reports, set by the environment of the build.

/// `<version>(<tree state><release status>), commit:<commit>, date:<date>`.
///
/// From VERSION, GIT_TREE_STATE, RELEASE_STATUS, GIT_COMMIT and BUILD_DATE at build time. A plain `cargo build` gives
/// the crate's version and says what it doesn't know.
#[must_use]
pub fn version() -> String {
    format!(
        "{}({}{}), commit:{}, date:{}",
        option_env!("VERSION").unwrap_or(env!("CARGO_PKG_VERSION")),
        option_env!("GIT_TREE_STATE").unwrap_or("unknown tree"),
        option_env!("RELEASE_STATUS").unwrap_or(""),
        option_env!("GIT_COMMIT").unwrap_or("unknown"),
        option_env!("BUILD_DATE").unwrap_or("unknown"),
    )
}
