//! The fuzz targets' corpus, as an ordinary test: `make fuzz` looks for more of it.

#[path = "../../../fuzz/corpus.rs"]
mod files;
#[path = "../../../fuzz/bodies/plugin.rs"]
mod plugin;

#[test]
fn every_network_configuration_is_read_or_refused() {
    files::run("network_configuration", plugin::network_configuration);
}

#[test]
fn every_cni_args_is_read_or_refused() {
    files::run("cni_args", plugin::cni_args);
}

#[test]
fn every_answer_is_read_or_refused_however_it_is_cut() {
    files::run("grpc_answer", plugin::grpc_answer);
}
