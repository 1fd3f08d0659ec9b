//! The fuzz targets' corpus, as an ordinary test: `make fuzz` looks for more of it.

#[path = "../../../fuzz/bodies/controller.rs"]
mod controller;
#[path = "../../../fuzz/corpus.rs"]
mod files;

#[test]
fn the_plan_of_every_ippool_keeps_the_invariants() {
    files::run("ippool", controller::ippool);
}

#[test]
fn the_plan_of_every_cidrpool_keeps_the_invariants() {
    files::run("cidrpool", controller::cidrpool);
}
