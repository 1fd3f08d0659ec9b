//! The committed corpus, as ordinary tests run it.

use std::fs;
use std::path::Path;

/// Runs `body` on every file of the target's corpus. A failure names the file.
pub(crate) fn run(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|file| file.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    for path in paths {
        // Shown with the failure.
        println!("{}", path.display());
        body(&fs::read(&path).unwrap());
    }
}
