//! Generates client and server from node.proto, without a `protoc` on the machine.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    const PROTO: &str = "proto/nvidia/ipam/node/v1/node.proto";
    println!("cargo::rerun-if-changed={PROTO}");
    let descriptors = protox::compile([PROTO], ["proto"])?;
    tonic_prost_build::configure()
        .build_client(std::env::var_os("CARGO_FEATURE_CLIENT").is_some())
        .build_server(std::env::var_os("CARGO_FEATURE_SERVER").is_some())
        // The journal's entries have one, in JSON.
        .type_attribute(
            "nvidia.ipam.node.v1.Stamp",
            "#[derive(serde::Serialize, serde::Deserialize)]",
        )
        // Each side brings the transport it needs.
        .build_transport(false)
        .compile_fds(descriptors)?;
    Ok(())
}
