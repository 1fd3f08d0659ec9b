//! Allocate: what an interface gets, and what is refused, with the codes and words of the Go daemon (contract B.4).

use std::time::Duration;

use api::node_pool::NodePool;
use api::pool_key::PoolKind;
use node::clock::BootClock;
use rpc::v1::{AllocateRequest, AllocationInfo, IpamFeatures, IpamParameters, PoolType, Route};
use tonic::{Code, Request};

use crate::support::{
    connect, parameters, pool, refusal, refused, serve, serve_standing, serve_with, v4, v6,
};

fn with_ips(container: &str, pools: &[&str], ips: &[&str]) -> IpamParameters {
    IpamParameters {
        requested_ips: ips.iter().map(ToString::to_string).collect(),
        ..parameters(container, pools)
    }
}

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
async fn an_address_comes_with_prefix_gateway_and_routes() {
    let served = serve().await;
    let allocations = served.allocate(parameters("a", &["v6", "v4"])).await.unwrap();
    let routes = ["::/0", "fd00:1::/64"].map(|dest| Route {
        dest: dest.to_owned(),
    });
    let expected = [
        AllocationInfo {
            pool: "v6".to_owned(),
            ip: "fd52:2eb5:44::2/48".to_owned(),
            gateway: "fd52:2eb5:44::1".to_owned(),
            pool_type: PoolType::Ippool.into(),
            routes: routes.to_vec(),
        },
        AllocationInfo {
            pool: "v4".to_owned(),
            ip: "192.168.0.1/16".to_owned(),
            pool_type: PoolType::Ippool.into(),
            ..AllocationInfo::default()
        },
    ];
    assert_eq!(allocations, expected);
}

#[tokio::test]
async fn a_cidr_pool_s_address_has_the_length_of_the_node_s_prefix() {
    let cidr = NodePool {
        gateway: "10.0.0.30".parse().ok(),
        ..pool(
            PoolKind::CidrPool,
            "same",
            "10.0.0.16/28",
            ("10.0.0.17", "10.0.0.30"),
        )
    };
    let ip = pool(PoolKind::IpPool, "same", "10.1.0.0/16", ("10.1.0.1", "10.1.0.9"));
    let served = serve_with(BootClock::new().unwrap(), vec![cidr, ip]).await;
    let mut call = parameters("a", &["same"]);
    call.set_pool_type(PoolType::Cidrpool);
    let [allocation] = &served.allocate(call.clone()).await.unwrap()[..] else {
        panic!("not one")
    };
    assert_eq!(
        (&*allocation.pool, &*allocation.ip, &*allocation.gateway),
        ("same", "10.0.0.17/28", "10.0.0.30")
    );
    assert_eq!(allocation.pool_type(), PoolType::Cidrpool);
    // The same name is another pool as an IPPool, which is also what an unspecified type means.
    assert_eq!(served.add("a", &["same"]).await.unwrap(), ["10.1.0.1/16"]);
    // Indexes count from the first usable address.
    call.cni_containerid = "b".to_owned();
    call.features = Some(IpamFeatures {
        allocate_default_gateway: false,
        allocate_ip_with_index: Some(1),
    });
    assert_eq!(served.allocate(call).await.unwrap()[0].ip, "10.0.0.18/28");
}

#[tokio::test]
async fn routes_are_sorted_and_said_once_the_default_first() {
    let unsorted = ["10.0.0.0/8", "5.0.0.0/16", "5.0.0.0/8", "10.0.0.0/8"];
    let routed = NodePool {
        gateway: "192.168.0.4".parse().ok(),
        default_gateway: true,
        routes: unsorted.map(|route| route.parse().unwrap()).to_vec(),
        ..v4()
    };
    let served = serve_with(BootClock::new().unwrap(), vec![routed]).await;
    let allocations = served.allocate(parameters("a", &["v4"])).await.unwrap();
    let got: Vec<_> = allocations[0].routes.iter().map(|r| &*r.dest).collect();
    assert_eq!(got, ["0.0.0.0/0", "5.0.0.0/8", "5.0.0.0/16", "10.0.0.0/8"]);
}

#[tokio::test]
async fn the_next_address_is_looked_for_after_the_last_one_given_and_around() {
    let served = serve().await;
    for (container, address) in [("a", "1"), ("b", "2"), ("c", "3")] {
        let expected = [format!("192.168.0.{address}/16")];
        assert_eq!(served.add(container, &["v4"]).await.unwrap(), expected);
    }
    served.del(parameters("a", &["v4"])).await.unwrap();
    served.del(parameters("c", &["v4"])).await.unwrap();
    // Neither a DEL nor a static address moves the place.
    served
        .allocate(with_ips("d", &["v4"], &["192.168.0.1"]))
        .await
        .unwrap();
    assert_eq!(served.add("e", &["v4"]).await.unwrap(), ["192.168.0.4/16"]);
    assert_eq!(served.add("f", &["v4"]).await.unwrap(), ["192.168.0.3/16"]);
}

#[tokio::test]
async fn an_unknown_pool_is_not_found() {
    let served = serve().await;
    let of_type = |pools: &[&str], pool_type| {
        let mut call = parameters("a", pools);
        call.set_pool_type(pool_type);
        call
    };
    for (call, message) in [
        (
            of_type(&["nope"], PoolType::Unspecified),
            r#"configuration for pool "nope", poolType "ippool" not found"#,
        ),
        (
            of_type(&["v4", "nope"], PoolType::Ippool),
            r#"configuration for pool "nope", poolType "ippool" not found"#,
        ),
        (
            of_type(&["v4"], PoolType::Cidrpool),
            r#"configuration for pool "v4", poolType "cidrpool" not found"#,
        ),
    ] {
        assert_eq!(
            refusal(served.allocate(call).await),
            refused(Code::NotFound, message)
        );
    }
    assert_eq!(served.writer.reservations().await.unwrap(), []);
}

#[tokio::test]
async fn an_interface_gets_one_address_of_a_pool() {
    let served = serve().await;
    served.add("a", &["v4"]).await.unwrap();
    let exists = refused(
        Code::AlreadyExists,
        r#"allocation already exist in the pool "v4", poolType "ippool""#,
    );
    assert_eq!(refusal(served.add("a", &["v4"]).await), exists);
    assert_eq!(refusal(served.add("a", &["v6", "v4"]).await), exists);
    assert_eq!(refusal(served.add("b", &["v4", "v4"]).await), exists);
    assert_eq!(served.writer.reservations().await.unwrap().len(), 1);
    let other_interface = IpamParameters {
        cni_ifname: "net2".to_owned(),
        ..parameters("a", &["v4"])
    };
    assert_eq!(
        served.allocate(other_interface).await.unwrap()[0].ip,
        "192.168.0.2/16"
    );
}

#[tokio::test]
async fn a_full_pool_is_exhausted_and_the_other_one_untouched() {
    let served = serve().await;
    for container in ["a", "b", "c", "d"] {
        served.add(container, &["v4"]).await.unwrap();
    }
    let exhausted = refused(
        Code::ResourceExhausted,
        r#"no free addresses in the pool "v4", poolType "ippool""#,
    );
    assert_eq!(refusal(served.add("e", &["v4"]).await), exhausted);
    assert_eq!(refusal(served.add("e", &["v6", "v4"]).await), exhausted);
    assert_eq!(served.add("e", &["v6"]).await.unwrap(), ["fd52:2eb5:44::2/48"]);
}

#[tokio::test]
async fn what_is_wrong_with_the_request_is_an_invalid_argument() {
    let served = serve().await;
    let nobody = parameters("", &["v4"]);
    assert_eq!(
        refusal(served.allocate(nobody).await),
        refused(
            Code::InvalidArgument,
            "parameters.cni_containerid is required field"
        )
    );
    let mut client = served.client.clone();
    let nothing = client.allocate(AllocateRequest { parameters: None }).await;
    assert_eq!(
        refusal(nothing),
        refused(Code::InvalidArgument, "parameters is required field")
    );
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

#[tokio::test(flavor = "multi_thread")]
async fn callers_in_parallel_share_commits_and_never_an_address() {
    let served = serve().await;
    let adds = (0..64).map(|n| {
        let mut client = served.client.clone();
        let request = AllocateRequest {
            parameters: Some(parameters(&format!("c{n}"), &["v6"])),
        };
        async move { client.allocate(request).await }
    });
    let before = served.metrics.batch_size.get_sample_count();
    let answers = futures::future::join_all(adds).await;
    let mut ips: Vec<_> = answers
        .into_iter()
        .map(|a| a.unwrap().into_inner().allocations[0].ip.clone())
        .collect();
    ips.sort();
    ips.dedup();
    assert_eq!(ips.len(), 64);
    let commits = served.metrics.batch_size.get_sample_count() - before;
    assert!(commits < 64, "{commits} commits for 64 requests");
    assert_eq!(
        served
            .metrics
            .requests
            .with_label_values(&["Allocate", "OK"])
            .get(),
        64
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_gave_up_gets_nothing_reserved() {
    let (served, go) = serve_standing().await;
    // The daemon is slow, not dead: it has accepted the request, and the caller's patience ends.
    let mut request = Request::new(AllocateRequest {
        parameters: Some(parameters("late", &["v4"])),
    });
    request.set_timeout(Duration::from_millis(100));
    let status = served.client.clone().allocate(request).await.unwrap_err();
    assert!(
        matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled),
        "{status}"
    );
    // Another caller dies: its connection closes, and it never said how long it would wait.
    let mut dying = connect(&served.url).await;
    let call = dying.allocate(AllocateRequest {
        parameters: Some(parameters("dead", &["v4"])),
    });
    tokio::time::timeout(Duration::from_millis(100), call)
        .await
        .expect_err("the writer stands");
    drop(dying);
    go.send(()).unwrap();
    assert_eq!(served.writer.reservations().await.unwrap(), []);
    assert_eq!(served.add("patient", &["v4"]).await.unwrap(), ["192.168.0.1/16"]);
}
