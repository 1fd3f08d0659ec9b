//! Containers that exist by name only, which is all that an IPAM sees of one.

/// A container and its pod, with names as long as a runtime and the API server make them: what a daemon keeps of each
/// decides its memory and its disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Container {
    /// CNI_CONTAINERID: 64 characters.
    pub(super) id: String,
    /// The pod's name, in namespace `default`.
    pub(super) pod: String,
    /// The pod's UID: 36 characters.
    pub(super) uid: String,
}

impl Container {
    /// The one with this number among those of its `kind`, a word of at most 40 letters and hyphens.
    pub(super) fn new(kind: &str, number: usize) -> Self {
        let width = 63_usize.saturating_sub(kind.len());
        Self {
            id: format!("{kind}-{number:0width$}"),
            pod: format!("{kind}-{number:05}"),
            uid: format!("b3ac8000-0000-4000-8000-{number:012}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_long_as_real_ones() {
        let container = Container::new("fill", 59_999);
        assert_eq!((container.id.len(), container.uid.len()), (64, 36));
        assert_ne!(container, Container::new("fill", 9_999));
    }
}
