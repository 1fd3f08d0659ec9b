//! The shim itself.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{InstallError, Installed, atomic};

/// The name under which container runtimes and other plugins call the shim.
const NAME: &str = "nv-ipam";

/// What the Go version calls its unfinished copies, followed by digits. It never removes them.
const LEFTOVER_OF_GO: &str = "_nv-ipam";

/// Where the shim comes from, and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BinaryInstall {
    /// The program to copy.
    pub source: PathBuf,
    /// The folder of CNI plugins.
    pub folder: PathBuf,
}

impl BinaryInstall {
    /// The path that the shim is installed at.
    #[must_use]
    pub fn target(&self) -> PathBuf {
        self.folder.join(NAME)
    }

    /// Installs the shim, with its source's content and mode, atomically and durably. A shim that is the same already
    /// is not touched; unfinished copies of earlier runs, also of the Go version's, are removed.
    pub fn run(&self) -> Result<Installed, InstallError> {
        self.try_run().map_err(|source| InstallError {
            path: self.target(),
            advice: "check that --cni-bin-dir is the host's folder of CNI plugins, mounted writable and not full, or pass \
                     --cni-skip-nv-ipam-binary-copy and install nv-ipam by other means",
            source,
        })
    }

    fn try_run(&self) -> io::Result<Installed> {
        let target = self.target();
        remove_leftovers_of_go(&self.folder)?;
        if is_same(&self.source, &target)? {
            atomic::remove_leftover(&target)?;
            return Ok(Installed::Unchanged);
        }
        let mut source = File::open(&self.source)?;
        let mode = source.metadata()?.permissions().mode() & 0o7777;
        let mut program = Vec::new();
        source.read_to_end(&mut program)?;
        // At once: then Linux caches it in large folios, from which it starts sooner until it is read again (docs/benchmarks.md).
        atomic::replace(&target, mode, |file| file.write_all(&program))?;
        Ok(Installed::Written)
    }
}

fn remove_leftovers_of_go(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let suffix = name.to_str().and_then(|name| name.strip_prefix(LEFTOVER_OF_GO));
        if suffix.is_some_and(|suffix| suffix.bytes().all(|c| c.is_ascii_digit()))
            && entry.file_type()?.is_file()
        {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Whether two files have the same content and mode. A target that isn't there is not the same.
fn is_same(source: &Path, target: &Path) -> io::Result<bool> {
    let (source, target) = match File::open(target) {
        Ok(target) => (File::open(source)?, target),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let (wanted, there) = (source.metadata()?, target.metadata()?);
    if wanted.len() != there.len() || wanted.permissions().mode() != there.permissions().mode() {
        return Ok(false);
    }
    let (mut source, mut target) = (BufReader::new(source), BufReader::new(target));
    loop {
        let (a, b) = (source.fill_buf()?, target.fill_buf()?);
        let length = a.len().min(b.len());
        if length == 0 {
            return Ok(a.is_empty() && b.is_empty());
        }
        if a[..length] != b[..length] {
            return Ok(false);
        }
        source.consume(length);
        target.consume(length);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::process::Command;

    use tempfile::TempDir;

    use super::*;

    struct Node {
        _root: TempDir,
        install: BinaryInstall,
    }

    /// A node with the program `content` to install, and an empty plugin folder.
    fn node(content: &str) -> Node {
        let root = tempfile::tempdir().unwrap();
        let install = BinaryInstall {
            source: root.path().join("source"),
            folder: root.path().join("bin"),
        };
        fs::create_dir(&install.folder).unwrap();
        fs::write(&install.source, content).unwrap();
        fs::set_permissions(&install.source, fs::Permissions::from_mode(0o751)).unwrap();
        Node { _root: root, install }
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn inode(path: &Path) -> u64 {
        fs::metadata(path).unwrap().ino()
    }

    #[test]
    fn content_and_mode_are_the_sources() {
        let node = node("program");
        assert_eq!(node.install.run().unwrap(), Installed::Written);
        let target = node.install.target();
        assert_eq!(fs::read_to_string(&target).unwrap(), "program");
        assert_eq!(
            fs::metadata(&target).unwrap().permissions().mode() & 0o7777,
            0o751
        );
        assert_eq!(names(&node.install.folder), ["nv-ipam"]);
    }

    #[test]
    fn a_shim_that_is_the_same_is_not_touched() {
        let node = node("program");
        node.install.run().unwrap();
        let before = inode(&node.install.target());
        assert_eq!(node.install.run().unwrap(), Installed::Unchanged);
        assert_eq!(inode(&node.install.target()), before);
    }

    #[test]
    fn another_content_of_the_same_length_or_another_mode_is_written() {
        let node = node("program");
        node.install.run().unwrap();
        fs::write(&node.install.source, "PROGRAM").unwrap();
        assert_eq!(node.install.run().unwrap(), Installed::Written);
        assert_eq!(fs::read_to_string(node.install.target()).unwrap(), "PROGRAM");
        fs::set_permissions(node.install.target(), fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(node.install.run().unwrap(), Installed::Written);
        assert_eq!(node.install.run().unwrap(), Installed::Unchanged);
    }

    #[test]
    fn leftovers_of_crashes_go_and_nothing_else_does() {
        let node = node("program");
        let files = [
            ".nv-ipam.new",
            "_nv-ipam",
            "_nv-ipam0815",
            "_nv-ipam-mine",
            "bridge",
        ];
        for round in 0..2 {
            for name in files {
                fs::write(node.install.folder.join(name), "").unwrap();
            }
            node.install.run().unwrap();
            assert_eq!(
                names(&node.install.folder),
                ["_nv-ipam-mine", "bridge", "nv-ipam"],
                "round {round}"
            );
        }
    }

    #[test]
    fn a_shim_that_runs_is_replaced_and_runs_on() {
        let mut node = node("");
        node.install.source = "/bin/sleep".into();
        node.install.run().unwrap();
        let mut running = Command::new(node.install.target()).arg("60").spawn().unwrap();
        node.install.source = "/bin/true".into();
        let outcome = node.install.run();
        let ended = running.try_wait();
        running.kill().unwrap();
        running.wait().unwrap();
        assert_eq!(outcome.unwrap(), Installed::Written);
        assert_eq!(ended.unwrap(), None);
        assert!(Command::new(node.install.target()).status().unwrap().success());
    }

    #[test]
    fn a_folder_that_takes_no_file_is_an_error_that_says_what_to_do() {
        let mut node = node("program");
        node.install.folder = node.install.source.join("bin");
        let error = node.install.run().unwrap_err().to_string();
        assert!(
            error.contains("source/bin/nv-ipam; check that --cni-bin-dir"),
            "{error}"
        );
    }

    #[test]
    fn a_failed_copy_leaves_the_old_shim_and_nothing_else() {
        let node = node("program");
        node.install.run().unwrap();
        let failed = atomic::replace(&node.install.target(), 0o755, |_| {
            Err(io::Error::other("disk full"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "disk full");
        assert_eq!(fs::read_to_string(node.install.target()).unwrap(), "program");
        assert_eq!(names(&node.install.folder), ["nv-ipam"]);
    }
}
