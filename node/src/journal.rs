//! DELs that got no answer, which the plugin left in files; see [`rpc::journal`].

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, DirEntry, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rpc::journal::{Entry, FOLDER, SUFFIX};
use rustix::fs::OFlags;

/// An entry that can't be read gets this appended to its name, so that it is looked at by people, and not again.
const BAD: &str = ".bad";

/// No entry is longer: it holds a few names.
const MAX_LENGTH: u64 = 64 << 10;

/// An unfinished write this old has no writer any more: a plugin lives for seconds.
const ABANDONED: Duration = Duration::from_secs(10 * 60);

/// The folder in which the plugin leaves DELs.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    /// Entries that can neither be used nor got out of the way, by name: said once.
    given_up: HashSet<OsString>,
    /// How many of them are still in the folder.
    passed_over: usize,
    unreadable: bool,
}

/// An entry that is still in the folder.
#[derive(Debug)]
pub struct Pending {
    /// What it says.
    pub entry: Entry,
    name: OsString,
    path: PathBuf,
}

impl Journal {
    /// Makes the journal's folder in `socket_folder` if need be, and removes what dead plugins left half-written there.
    pub fn open(socket_folder: &Path) -> io::Result<Self> {
        let folder = socket_folder.join(FOLDER);
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(named(&folder, &error)),
            _ => {}
        }
        fs::read_dir(&folder)
            .and_then(remove_abandoned)
            .map_err(|error| named(&folder, &error))?;
        Ok(Self::of(folder))
    }

    /// The journal in `socket_folder`, if a plugin or a daemon made one. Nothing changes.
    pub fn existing(socket_folder: &Path) -> io::Result<Option<Self>> {
        let folder = socket_folder.join(FOLDER);
        match fs::read_dir(&folder) {
            Ok(_) => Ok(Some(Self::of(folder))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(named(&folder, &error)),
        }
    }

    fn of(folder: PathBuf) -> Self {
        Self {
            folder,
            given_up: HashSet::new(),
            passed_over: 0,
            unreadable: false,
        }
    }

    /// The entries in the folder, oldest first within a boot.
    ///
    /// What can't be read is moved aside or, if that fails, reported once; it never hides the others.
    pub fn pending(&mut self) -> Vec<Pending> {
        let names = match self.names() {
            Ok(names) => names,
            Err(error) => {
                if !self.unreadable {
                    tracing::error!(folder = %self.folder.display(), %error, "the DEL journal can't be read");
                }
                self.unreadable = true;
                return Vec::new();
            }
        };
        self.unreadable = false;
        names.into_iter().filter_map(|name| self.read(name)).collect()
    }

    /// How many entries [`Journal::pending`] doesn't return though they are in the folder: they stay until somebody
    /// removes them.
    #[must_use]
    pub fn passed_over(&self) -> usize {
        self.passed_over
    }

    /// Forgets an entry, after what it says is on stable storage. If it can't be removed, that is reported, and it is
    /// passed over from now on.
    ///
    /// If it comes back after a restart it does no harm: by its stamp it releases nothing that was made after it.
    pub fn done(&mut self, pending: Pending) {
        match fs::remove_file(&pending.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::error!(
                    file = %pending.path.display(), %error,
                    "an applied journal entry can't be removed; it is passed over until the next start, remove it"
                );
                self.give_up(pending.name);
            }
            _ => {}
        }
    }

    /// Forgets entries for good when this returns, after what they say is on stable storage.
    pub fn all_done(&mut self, pending: Vec<Pending>) -> io::Result<()> {
        if pending.is_empty() {
            return Ok(());
        }
        for Pending { path, .. } in pending {
            fs::remove_file(&path).map_err(|error| named(&path, &error))?;
        }
        File::open(&self.folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|error| named(&self.folder, &error))
    }

    fn give_up(&mut self, name: OsString) {
        self.given_up.insert(name);
        self.passed_over += 1;
    }

    fn names(&mut self) -> io::Result<Vec<OsString>> {
        self.passed_over = 0;
        let mut names = Vec::new();
        let folder = match fs::read_dir(&self.folder) {
            // The plugin makes it when it needs it.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(names),
            folder => folder?,
        };
        for file in folder {
            let name = file?.file_name();
            if self.given_up.contains(&name) {
                self.passed_over += 1;
            } else if name.as_encoded_bytes().ends_with(SUFFIX.as_bytes()) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn read(&mut self, name: OsString) -> Option<Pending> {
        let path = self.folder.join(&name);
        let decoded = match read_file(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => Err(error.to_string()),
            Ok(bytes) => Entry::decode(&bytes).map_err(|error| error.to_string()),
        };
        match decoded {
            Ok(entry) => Some(Pending { entry, name, path }),
            Err(problem) => {
                self.set_aside(name, &path, &problem);
                None
            }
        }
    }

    fn set_aside(&mut self, name: OsString, path: &Path, problem: &str) {
        let mut aside = path.as_os_str().to_owned();
        aside.push(BAD);
        match fs::rename(path, &aside) {
            Ok(()) => tracing::error!(
                file = %Path::new(&aside).display(), problem,
                "a journal entry can't be read and was moved aside; the addresses it should release stay reserved \
                 until their pod is judged gone"
            ),
            Err(error) => {
                tracing::error!(
                    file = %path.display(), problem, %error,
                    "a journal entry can't be read, nor moved aside; it is passed over"
                );
                self.give_up(name);
            }
        }
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a file"));
    }
    let mut bytes = Vec::new();
    if file.take(MAX_LENGTH + 1).read_to_end(&mut bytes)? as u64 > MAX_LENGTH {
        return Err(io::Error::other("too long for an entry"));
    }
    Ok(bytes)
}

fn remove_abandoned(files: impl Iterator<Item = io::Result<DirEntry>>) -> io::Result<()> {
    for file in files {
        let file = file?;
        match remove_if_abandoned(&file) {
            // Its plugin is alive, and has finished or removed it meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(
                file = %file.path().display(), %error,
                "what a dead plugin left half-written can't be removed; it does no harm"
            ),
            Ok(()) => {}
        }
    }
    Ok(())
}

/// Only files are the plugin's: whatever else somebody put there stays.
fn remove_if_abandoned(file: &DirEntry) -> io::Result<()> {
    let name = file.file_name();
    let name = name.as_encoded_bytes();
    if name.ends_with(SUFFIX.as_bytes()) || name.ends_with(BAD.as_bytes()) {
        return Ok(());
    }
    let metadata = file.metadata()?;
    let age = SystemTime::now()
        .duration_since(metadata.modified()?)
        .unwrap_or_default();
    if metadata.is_file() && age > ABANDONED {
        tracing::info!(file = %file.path().display(), "removing what a dead plugin left half-written");
        fs::remove_file(file.path())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rpc::journal::Stamp;
    use rpc::v1::IpamParameters;

    use super::*;

    fn entry(container: &str) -> Entry {
        Entry::new(
            Stamp {
                boot_id: "b".to_owned(),
                boottime_ns: 1,
            },
            &IpamParameters {
                cni_containerid: container.to_owned(),
                cni_ifname: "net1".to_owned(),
                ..IpamParameters::default()
            },
        )
    }

    fn containers(journal: &mut Journal) -> Vec<String> {
        journal
            .pending()
            .into_iter()
            .map(|p| p.entry.container_id)
            .collect()
    }

    #[test]
    fn entries_come_in_order_until_they_are_done() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path()).unwrap();
        assert!(journal.pending().is_empty());
        let put = |name: &str, container: &str| {
            fs::write(
                folder.path().join(FOLDER).join(name),
                entry(container).encode().unwrap(),
            )
            .unwrap();
        };
        put("b.json", "second");
        put("a.json", "first");
        put(".c.tmp", "unfinished");
        assert_eq!(containers(&mut journal), ["first", "second"]);
        let first = journal.pending().remove(0);
        journal.done(first);
        assert_eq!(containers(&mut journal), ["second"]);
    }

    #[test]
    fn an_applied_entry_that_can_not_be_removed_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path()).unwrap();
        let file = folder.path().join(FOLDER).join("a.json");
        let bytes = entry("first").encode().unwrap();
        fs::write(&file, &bytes).unwrap();
        let applied = journal.pending().remove(0);
        // Not even root can remove this as a file.
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        journal.done(applied);
        assert_eq!(journal.passed_over(), 1);
        fs::remove_dir(&file).unwrap();
        fs::write(&file, &bytes).unwrap();
        assert!(journal.pending().is_empty());
        assert_eq!(journal.passed_over(), 1);
        fs::remove_file(&file).unwrap();
        assert!(journal.pending().is_empty());
        assert_eq!(journal.passed_over(), 0);
    }

    #[test]
    fn a_journal_that_nobody_made_is_not_made_to_look_into_it() {
        let folder = tempfile::tempdir().unwrap();
        for absent in [folder.path().to_owned(), folder.path().join("absent")] {
            assert!(Journal::existing(&absent).unwrap().is_none());
            assert!(!absent.join(FOLDER).exists());
        }
        fs::create_dir(folder.path().join(FOLDER)).unwrap();
        for name in ["a.json", "b.json"] {
            let file = folder.path().join(FOLDER).join(name);
            fs::write(file, entry(name).encode().unwrap()).unwrap();
        }
        let mut journal = Journal::existing(folder.path()).unwrap().unwrap();
        let pending = journal.pending();
        assert_eq!(pending.len(), 2);
        journal.all_done(pending).unwrap();
        assert!(journal.pending().is_empty());
        // What can't be removed is told: it may come back.
        let file = folder.path().join(FOLDER).join("a.json");
        fs::write(&file, entry("c").encode().unwrap()).unwrap();
        let pending = journal.pending();
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        let error = journal.all_done(pending).unwrap_err().to_string();
        assert!(error.contains("a.json"), "{error}");
    }

    #[test]
    fn what_can_not_be_read_is_moved_aside_and_hides_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path()).unwrap();
        let file = |name: &str| folder.path().join(FOLDER).join(name);
        fs::write(file("a.json"), "{").unwrap();
        fs::create_dir(file("b.json")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", file("c.json")).unwrap();
        fs::write(file("d.json"), vec![b' '; 1 << 17]).unwrap();
        fs::write(file("e.json"), entry("good").encode().unwrap()).unwrap();
        assert_eq!(containers(&mut journal), ["good"]);
        for name in ["a", "b", "c", "d"] {
            assert!(
                fs::symlink_metadata(file(&format!("{name}.json.bad"))).is_ok(),
                "{name}"
            );
        }
        assert_eq!(containers(&mut journal), ["good"]);
    }

    #[test]
    fn a_folder_that_goes_and_comes_is_no_trouble() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path()).unwrap();
        fs::remove_dir(folder.path().join(FOLDER)).unwrap();
        assert!(journal.pending().is_empty());
        fs::create_dir(folder.path().join(FOLDER)).unwrap();
        fs::write(
            folder.path().join(FOLDER).join("a.json"),
            entry("late").encode().unwrap(),
        )
        .unwrap();
        assert_eq!(containers(&mut journal), ["late"]);
    }

    #[test]
    fn only_old_unfinished_writes_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(FOLDER)).unwrap();
        let file = |name: &str| folder.path().join(FOLDER).join(name);
        let old = SystemTime::now() - 2 * ABANDONED;
        for name in [".old.tmp", "old.json", "old.json.bad"] {
            File::create(file(name)).unwrap().set_modified(old).unwrap();
        }
        File::create(file(".young.tmp")).unwrap();
        Journal::open(folder.path()).unwrap();
        assert!(!file(".old.tmp").exists());
        assert!(file("old.json").exists() && file("old.json.bad").exists() && file(".young.tmp").exists());
    }

    #[test]
    fn what_is_no_file_is_no_trouble_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let theirs = folder.path().join(FOLDER).join("somebody's");
        fs::create_dir_all(&theirs).unwrap();
        let old = SystemTime::now() - 2 * ABANDONED;
        File::open(&theirs).unwrap().set_modified(old).unwrap();
        Journal::open(folder.path()).unwrap();
        assert!(theirs.exists());
    }

    #[test]
    fn a_plugin_at_work_is_no_trouble_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        for name in [".a.tmp", ".b.tmp"] {
            File::create(file(name)).unwrap();
        }
        let files: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        fs::rename(file(".a.tmp"), file("a.json")).unwrap();
        remove_abandoned(files.into_iter()).unwrap();
        assert!(file("a.json").exists() && file(".b.tmp").exists());
    }
}
