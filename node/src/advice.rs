//! What to do about a file operation that failed.

use std::io::{Error, ErrorKind};

/// The end of a sentence about `error`, met in the folder of what `flag` names; empty if the error says it all.
pub(crate) fn on(error: &Error, flag: &str) -> String {
    match error.kind() {
        ErrorKind::ReadOnlyFilesystem => {
            format!("; the folder of {flag} has to be mounted writable, and outlive the daemon")
        }
        ErrorKind::PermissionDenied => format!("; ipam-node has to be allowed to write the folder of {flag}"),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            format!("; make room on the file system of {flag}")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_administrator_can_do_is_said() {
        let advice = |kind| on(&Error::from(kind), "--store-file");
        assert!(
            advice(ErrorKind::ReadOnlyFilesystem)
                .contains("the folder of --store-file has to be mounted writable")
        );
        assert!(advice(ErrorKind::PermissionDenied).contains("allowed to write"));
        assert!(advice(ErrorKind::StorageFull).contains("make room"));
        assert_eq!(advice(ErrorKind::NotFound), "");
    }
}
