//! Real pods on a real node: from their creation until all run, and from their deletion until all are gone.

mod crowd;

use anyhow::Result;
use serde_json::{Value, json};

use self::crowd::{Crowd, Took};
use super::Scale;
use super::fill::{Filled, POOL};
use super::table::{Table, millis, ratio};
use super::times::Times;
use crate::bed::Bed;
use crate::progress::Step;

/// The network that pods get: the first in alphabetical order counts.
const FILE: &str = "10-bench.conflist";

/// A bridge whose addresses come from one of two.
struct Ipam {
    name: &'static str,
    /// What all addresses begin with.
    addresses: &'static str,
    configuration: Value,
}

fn ipams() -> [Ipam; 2] {
    [
        Ipam {
            name: "nv-ipam",
            addresses: "10.",
            configuration: json!({ "type": "nv-ipam", "poolName": POOL }),
        },
        Ipam {
            name: "host-local",
            addresses: "172.16.",
            configuration: json!({ "type": "host-local", "ranges": [[{ "subnet": "172.16.0.0/16" }]] }),
        },
    ]
}

/// As many pods as a kubelet takes unless told otherwise, in turns with one and the other's addresses.
pub(super) async fn run(bed: &Bed, scale: Scale) -> Result<Vec<Table>> {
    let node = Filled::start(bed).await?.node;
    let ipams = ipams();
    let (pods, rounds) = scale.pick((100, 3), (20, 1));
    let mut took = [Vec::new(), Vec::new()];
    for round in 0..=rounds {
        for (ipam, took) in ipams.iter().zip(&mut took) {
            // The first round only fills caches.
            let count = if round == 0 { pods / 10 } else { pods };
            let step = Step::begin(format!(
                "starting and removing {count} pods with addresses of {}",
                ipam.name
            ));
            let crowd = Crowd {
                prefix: format!("{}-{round}", ipam.name),
                node: node.name.clone(),
                count,
                addresses: ipam.addresses,
            };
            node.install_network(FILE, &network(ipam)).await?;
            let once = crowd.measure(&bed.client).await?;
            if round > 0 {
                took.push(once);
            }
            step.end();
        }
    }
    node.remove_network(FILE).await?;
    Ok(vec![table(pods, &ipams, &took)])
}

fn network(ipam: &Ipam) -> String {
    json!({
        "cniVersion": "1.0.0",
        "name": format!("bench-{}", ipam.name),
        "plugins": [{
            "type": "bridge",
            // At most 15 characters.
            "bridge": format!("br-{}", ipam.name),
            "isGateway": true,
            "ipam": ipam.configuration,
        }],
    })
    .to_string()
}

fn table(pods: usize, ipams: &[Ipam; 2], took: &[Vec<Took>; 2]) -> Table {
    let mut table = Table::new(
        format!("{pods} pods at once on one node"),
        &[
            "addresses from",
            "all running",
            "x host-local",
            "one of them, p50",
            "p99",
            "all gone",
            "x host-local",
        ],
    );
    let median = |took: &[Took], of: fn(&Took) -> std::time::Duration| {
        Times::new(took.iter().map(of).collect()).median()
    };
    let [_, peer] = took;
    for (ipam, took) in ipams.iter().zip(took) {
        let [running, peers_running] = [took, peer].map(|took| median(took, |took| took.all_running));
        let [gone, peers_gone] = [took, peer].map(|took| median(took, |took| took.all_gone));
        let each = Times::new(took.iter().flat_map(|took| &took.running).copied().collect());
        table.row([
            ipam.name.to_owned(),
            millis(running),
            ratio(running, peers_running),
            millis(each.median()),
            millis(each.quantile(99)),
            millis(gone),
            ratio(gone, peers_gone),
        ]);
    }
    table.remark(format!(
        "From the first request to the last word of the API server: medians of {} rounds of each, in turns. The same bridge \
         plugin gives the same interfaces; kubelet, containerd and runc take nearly all of the time.",
        peer.len()
    ));
    table
}
