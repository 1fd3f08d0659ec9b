//! Allocate, asked for one address: a static one, the gateway's, or one by its index (contract B.4).

use api::node_pool::NodePool;
use node::clock::BootClock;
use rpc::v1::{IpamFeatures, IpamParameters};
use tonic::Code;

use crate::support::{parameters, refusal, refused, serve, serve_with, v4, v6, with_ips};

fn with_features(container: &str, pools: &[&str], gateway: bool, index: Option<i32>) -> IpamParameters {
    IpamParameters {
        features: Some(IpamFeatures {
            allocate_default_gateway: gateway,
            allocate_ip_with_index: index,
        }),
        ..parameters(container, pools)
    }
}

#[tokio::test]
async fn a_static_address_is_given_once() {
    let served = serve().await;
    let given = served
        .allocate(with_ips("a", &["v4"], &["192.168.0.3"]))
        .await
        .unwrap();
    assert_eq!(given[0].ip, "192.168.0.3/16");
    assert_eq!(
        refusal(served.allocate(with_ips("b", &["v4"], &["192.168.0.3"])).await),
        refused(
            Code::ResourceExhausted,
            r#"requested IP is already reserved in the pool "v4", poolType "ippool""#
        )
    );
}

#[tokio::test]
async fn each_static_address_belongs_to_one_of_the_pools() {
    let served = serve().await;
    let unmatched = |ip: &str| {
        refused(
            Code::InvalidArgument,
            &format!(
                "not all requested static IPs can be allocated from the ranges available on the node, ip {ip} has no \
                 matching Pool"
            ),
        )
    };
    let both = with_ips("a", &["v4", "v6"], &["fd52:2eb5:44::9", "192.168.0.2"]);
    let given: Vec<_> = served
        .allocate(both)
        .await
        .unwrap()
        .into_iter()
        .map(|a| a.ip)
        .collect();
    assert_eq!(given, ["192.168.0.2/16", "fd52:2eb5:44::9/48"]);
    // A pool that none of them is of gives any address.
    let one = with_ips("b", &["v4", "v6"], &["192.168.0.4"]);
    assert_eq!(served.allocate(one).await.unwrap()[1].ip, "fd52:2eb5:44::2/48");
    for (ips, left_over) in [
        (&["10.0.0.1"][..], "10.0.0.1"),
        (&["192.168.0.1", "192.168.0.3"][..], "192.168.0.3"),
        (&["192.168.0.1", "fd52:2eb5:44::7"][..], "fd52:2eb5:44::7"),
    ] {
        assert_eq!(
            refusal(served.allocate(with_ips("c", &["v4"], ips)).await),
            unmatched(left_over)
        );
    }
    assert_eq!(served.writer.reservations().await.unwrap().len(), 4);
}

#[tokio::test]
async fn the_gateway_s_address_comes_without_gateway_and_routes() {
    let served = serve().await;
    let given = &served
        .allocate(with_features("a", &["v6"], true, None))
        .await
        .unwrap()[0];
    assert_eq!((&*given.ip, &*given.gateway), ("fd52:2eb5:44::1/48", ""));
    assert!(given.routes.is_empty());
    assert_eq!(
        refusal(served.allocate(with_features("b", &["v4"], true, None)).await),
        refused(
            Code::InvalidArgument,
            r#"pool without gateway can't be used with allocate_default_gateway feature,pool "v4", poolType "ippool""#
        )
    );
}

#[tokio::test]
async fn an_index_counts_from_the_first_usable_address() {
    let served = serve().await;
    let at = async |container: &str, index| {
        served
            .allocate(with_features(container, &["v6"], false, Some(index)))
            .await
    };
    assert_eq!(at("a", 4).await.unwrap()[0].ip, "fd52:2eb5:44::5/48");
    assert_eq!(at("b", 499).await.unwrap()[0].ip, "fd52:2eb5:44::1f4/48");
    assert_eq!(
        refusal(at("c", 0).await),
        refused(
            Code::InvalidArgument,
            r#"requested IP index "0" is the actual gateway, use allocate_default_gateway feature instead"#
        )
    );
    for index in [500, -1, i32::MAX] {
        assert_eq!(
            refusal(at("c", index).await),
            refused(
                Code::InvalidArgument,
                &format!(r#"requested IP index "{index}" is outside of the given chunk"#)
            )
        );
    }
    assert_eq!(
        refusal(at("c", 4).await),
        refused(
            Code::ResourceExhausted,
            r#"requested IP is already reserved in the pool "v6", poolType "ippool""#
        )
    );
    // None of them moved the place from which the next one is looked for.
    assert_eq!(served.add("d", &["v6"]).await.unwrap(), ["fd52:2eb5:44::2/48"]);
}

/// As in the Go daemon, where only the plugin refuses the combination.
#[tokio::test]
async fn an_index_goes_before_gateway_and_static_address() {
    let served = serve().await;
    let with_gateway = with_features("a", &["v6"], true, Some(4));
    let given = &served.allocate(with_gateway).await.unwrap()[0];
    assert_eq!((&*given.ip, &*given.gateway), ("fd52:2eb5:44::5/48", ""));
    let with_ip = IpamParameters {
        requested_ips: vec!["fd52:2eb5:44::7".to_owned()],
        ..with_features("b", &["v6"], false, Some(6))
    };
    assert_eq!(
        served.allocate(with_ip).await.unwrap()[0].ip,
        "fd52:2eb5:44::7/48"
    );
    // It decides, and then the static address is one that no pool gave.
    let with_another_ip = IpamParameters {
        requested_ips: vec!["fd52:2eb5:44::9".to_owned()],
        ..with_features("c", &["v6"], false, Some(7))
    };
    let (code, message) = refusal(served.allocate(with_another_ip).await);
    assert_eq!(code, Code::InvalidArgument);
    assert!(
        message.contains("ip fd52:2eb5:44::9 has no matching Pool"),
        "{message}"
    );
}

#[tokio::test]
async fn what_is_excluded_can_be_asked_for_by_address_and_by_index() {
    let all = api::range::Range::new("192.168.0.1".parse().unwrap(), "192.168.0.4".parse().unwrap()).unwrap();
    let closed = NodePool {
        exclusions: vec![all, all],
        ..v4()
    };
    let served = serve_with(BootClock::new().unwrap(), vec![closed, v6()]).await;
    assert_eq!(refusal(served.add("a", &["v4"]).await).0, Code::ResourceExhausted);
    let by_address = with_ips("a", &["v4"], &["192.168.0.1"]);
    assert_eq!(served.allocate(by_address).await.unwrap()[0].ip, "192.168.0.1/16");
    let by_index = with_features("b", &["v4"], false, Some(1));
    assert_eq!(served.allocate(by_index).await.unwrap()[0].ip, "192.168.0.2/16");
}
