//! The metrics registry.

use prometheus::Registry;
use prometheus::process_collector::ProcessCollector;

/// A registry that has the process's own figures (`process_*`: CPU, memory, open files, start time).
#[must_use]
pub fn process_registry() -> Registry {
    let registry = Registry::new();
    // Registering fails only for a name that is taken, and there is none yet.
    let _ = registry.register(Box::new(ProcessCollector::for_self()));
    registry
}
