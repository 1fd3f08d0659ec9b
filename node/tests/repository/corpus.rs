//! The fuzz targets' corpus, as an ordinary test: `make fuzz` looks for more of it.

#[path = "../../../fuzz/bodies/daemon.rs"]
mod daemon;
#[path = "../../../fuzz/corpus.rs"]
mod files;

#[test]
fn every_store_of_a_go_daemon_is_read_whole_or_refused() {
    files::run("go_store", daemon::go_store);
}

#[test]
fn every_journal_entry_is_read_or_refused() {
    files::run("journal_entry", daemon::journal_entry);
}
