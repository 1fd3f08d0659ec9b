//! A controller with flags of its own, beside the bed's.

use std::path::PathBuf;

use e2e::app::App;
use e2e::bed::Bed;
use rustix::process::Signal;

/// Ended when it is dropped, so that no test leaves one behind.
pub(crate) struct Extra(pub(crate) App);

impl Extra {
    /// One like the bed's, on other ports. Not started.
    pub(crate) fn new(bed: &Bed) -> Self {
        Self(bed.another_controller(1))
    }

    /// Replaces flags, or adds them.
    pub(crate) fn with(self, flags: &[&str]) -> Self {
        let name = |flag: &str| flag.split('=').next().unwrap_or_default().to_owned();
        let mut argv = self.0.service.argv();
        argv.retain(|word| !flags.iter().any(|flag| name(flag) == name(word)));
        argv.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self.0.service.set_argv(argv);
        self
    }

    /// Like the bed's, but not asking whether another one leads.
    pub(crate) fn alone(bed: &Bed) -> Self {
        Self::new(bed).with(&["--leader-elect=false"])
    }
}

impl Drop for Extra {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.0.service.signal(Signal::KILL);
    }
}

/// The folder, on this machine, that the bed's controller has its kubeconfig in.
pub(crate) fn folder(bed: &Bed) -> PathBuf {
    bed.cluster()
        .map_or_else(|_| bed.logs(), |cluster| cluster.folder.clone())
}

/// The flag that gives the controller a kubeconfig of this name in [`folder`].
pub(crate) fn kubeconfig_flag(bed: &Bed, file: &str) -> String {
    let argv = bed.controller().service.argv();
    let own = argv.iter().find_map(|word| word.strip_prefix("--kubeconfig="));
    let path = PathBuf::from(own.unwrap_or_default()).with_file_name(file);
    format!("--kubeconfig={}", path.display())
}
