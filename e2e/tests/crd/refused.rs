//! Every case, and what parser and API server say of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Result, ensure};
use api::cidrpool_config::CidrPoolConfig;
use api::ippool_config::IpPoolConfig;
use api::validate::FieldErrors;
use e2e::bed::Bed;
use e2e::harness::Test;
use serde_json::json;

use super::cases::{self, Case, Kind};
use super::pools::{are, refused, untyped};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::api(
            "crd::refused::parsers_and_api_server_say_of_every_case_what_it_says",
            every_case,
        ),
        Test::api(
            "crd::refused::integers_that_no_client_can_read_are_not_stored",
            integers,
        ),
        Test::api("crd::refused::kubectl_shows_field_and_text", shown),
    ]
}

/// What the parser says, in its order.
fn parsed(case: &Case) -> Result<Vec<String>> {
    let object = serde_json::to_value(case.kind.object(case.name, &case.spec)?)?;
    let errors = match case.kind {
        Kind::IPPool => IpPoolConfig::parse(&serde_json::from_value(object)?).err(),
        Kind::CIDRPool => CidrPoolConfig::parse(&serde_json::from_value(object)?).err(),
    };
    let FieldErrors(errors) = errors.unwrap_or(FieldErrors(Vec::new()));
    Ok(errors.iter().map(ToString::to_string).collect())
}

async fn every_case(bed: Arc<Bed>) -> Result<()> {
    let cases = cases::all();
    let names: BTreeSet<&str> = cases.iter().map(|case| case.name).collect();
    ensure!(names.len() == cases.len(), "two cases have one name");
    let mut wrong = Vec::new();
    for case in &cases {
        let said = parsed(case)?;
        if said != case.parser {
            wrong.push(format!("{}: the parser says {said:#?}", case.name));
        }
        let said = refused(&bed, case.kind, case.name, &case.spec).await?;
        let texts: Vec<&str> = said.iter().map(String::as_str).collect();
        if !are(&texts, case.said()) {
            wrong.push(format!("{}: the API server says {said:#?}", case.name));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// One such object would end every client's watch, ours and the Go version's: they read int32 and int64.
async fn integers(bed: Arc<Bed>) -> Result<()> {
    for (kind, spec) in [
        (
            Kind::IPPool,
            json!({ "subnet": "10.7.0.0/24", "perNodeBlockSize": 9_223_372_036_854_775_808_u64 }),
        ),
        (
            Kind::IPPool,
            json!({ "subnet": "fd00::/64", "perNodeBlockSize": 3_000_000_000_u32,
                "perNodeExclusions": [{ "startIndex": 0, "endIndex": 2_147_483_648_u32 }] }),
        ),
        (
            Kind::CIDRPool,
            json!({ "cidr": "fd00::/48", "perNodeNetworkPrefix": 64, "gatewayIndex": 2_147_483_648_u32 }),
        ),
        (
            Kind::CIDRPool,
            json!({ "cidr": "fd00::/48", "perNodeNetworkPrefix": 4_294_967_360_u64 }),
        ),
    ] {
        let said = refused(&bed, kind, "too-large", &spec).await?;
        ensure!(!said.is_empty(), "{spec} is accepted");
    }
    Ok(())
}

async fn shown(bed: Arc<Bed>) -> Result<()> {
    let pool = json!({
        "apiVersion": "nv-ipam.nvidia.com/v1alpha1", "kind": "IPPool",
        "metadata": { "name": "shown", "namespace": "kube-system" },
        "spec": { "subnet": "10.7.0.0/24", "perNodeBlockSize": 300, "gateway": "10.8.0.1", "exclusions": [{ "startIP": "x", "endIP": "10.7.0.9" }] },
    });
    let ran = bed.kubectl.apply(&pool.to_string()).await?;
    let lines: Vec<String> = ran.stderr.lines().map(|line| untyped(line.trim_end())).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let expected = [
        r#"The IPPool "shown" is invalid:"#,
        r#"* spec.exclusions[0].startIP: Invalid value: "x": is invalid IP address"#,
        r#"* spec.gateway: Invalid value: "10.8.0.1": is not part of the subnet"#,
        "* spec.perNodeBlockSize: Invalid value: 300: is larger then amount of IPs available in the subnet",
    ];
    ensure!(ran.code == Some(1) && are(&lines, &expected), "{ran:?}");
    Ok(())
}
