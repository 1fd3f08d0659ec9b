//! Is the container's network namespace the one that the plugin runs in?

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::{Code, Error};

/// Where a process finds its own network namespace. Its threads have the same here: none ever enters another.
pub const OWN: &str = "/proc/self/ns/net";

/// Refuses `netns` if it is the plugin's own: the runtime mixed something up, and configuring that namespace would
/// change the host's network.
///
/// A path that leads nowhere is let through, as in the CNI library: the namespace of a DEL may be gone, and one that is
/// not there is certainly not the plugin's own.
pub fn refuse_own(netns: &Path) -> Result<(), Error> {
    let Ok(netns) = fs::metadata(netns) else {
        return Ok(());
    };
    let own = fs::metadata(OWN).map_err(|error| {
        Error::new(
            Code::InvalidNetns,
            format!("get plugin's netns failed: {OWN}: {error}"),
        )
    })?;
    if identity(&netns) == identity(&own) {
        return Err(Error::new(
            Code::InvalidNetns,
            "plugin's netns and netns from CNI_NETNS should not be the same",
        ));
    }
    Ok(())
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_namespace_is_refused() {
        assert_eq!(
            refuse_own(Path::new("/proc/thread-self/ns/net"))
                .unwrap_err()
                .code,
            Code::InvalidNetns
        );
        assert_eq!(refuse_own(Path::new("/proc/self/ns/mnt")), Ok(()));
        assert_eq!(refuse_own(Path::new("/run/netns/gone")), Ok(()));
        assert_eq!(refuse_own(Path::new("")), Ok(()));
    }
}
