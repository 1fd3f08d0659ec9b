//! Daemon and plugin, killed or stopped at moments that dice choose: what was answered holds, and nothing is left behind.
//!
//! A failure names its seed; `E2E_SEED` makes the same choices again (when processes run is still the kernel's choice).

mod book;
mod dice;
mod journal;
mod killed_daemon;
mod killed_plugin;
mod plugin;
mod slow_daemon;

use e2e::harness::Test;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::nodes(
            "crashes::a_daemon_killed_at_any_moment_keeps_what_it_answered",
            killed_daemon::keeps_what_it_answered,
        ),
        Test::nodes(
            "crashes::a_del_that_timed_out_frees_no_later_add",
            slow_daemon::late_del,
        ),
        Test::nodes(
            "crashes::an_add_that_timed_out_leaves_nothing_after_its_del",
            slow_daemon::late_add,
        ),
        Test::nodes(
            "crashes::a_journal_entry_frees_what_was_there_before_it_only",
            slow_daemon::entry_by_hand,
        ),
        Test::nodes(
            "crashes::an_add_that_was_killed_leaves_nothing_after_its_del",
            killed_plugin::add,
        ),
        Test::nodes(
            "crashes::a_del_that_is_killed_leaves_no_half_entry",
            killed_plugin::del,
        ),
    ]
}
