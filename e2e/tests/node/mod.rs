//! A node: the daemon, the plugin, and the kubelet and the containerd that use them.

mod api_server_away;
mod bad_input;
mod cidr;
mod daemon;
mod daemon_away;
mod dual_stack;
mod exclusions;
mod full_block;
mod garbage;
mod go_store;
mod grpc_go;
mod named_addresses;
mod networks;
mod pod_network;
mod pods_seen;
mod read_only;
mod stands;
mod stores;
mod wire;

use e2e::harness::Test;

pub(crate) fn tests() -> Vec<Test> {
    let tests = [
        api_server_away::tests(),
        bad_input::tests(),
        cidr::tests(),
        daemon::tests(),
        daemon_away::tests(),
        dual_stack::tests(),
        exclusions::tests(),
        full_block::tests(),
        garbage::tests(),
        go_store::tests(),
        grpc_go::tests(),
        named_addresses::tests(),
        networks::tests(),
        pods_seen::tests(),
        read_only::tests(),
        stands::tests(),
        stores::tests(),
        wire::tests(),
    ];
    tests.into_iter().flatten().collect()
}
