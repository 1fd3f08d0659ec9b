//! Allocate: what an interface gets, and what is refused, with the codes and words of the Go daemon (contract B.4).

use api::node_pool::NodePool;
use api::pool_key::PoolKind;
use node::clock::BootClock;
use rpc::v1::{AllocateRequest, AllocationInfo, IpamFeatures, IpamParameters, PoolType, Route};
use tonic::Code;

use crate::support::{
    parameters, pool, refusal, refused, serve, serve_standing, serve_with, until, v4, with_ips,
};

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

#[tokio::test(flavor = "multi_thread")]
async fn callers_in_parallel_share_commits_and_never_an_address() {
    let (served, go) = serve_standing().await;
    let adds = (0..64).map(|n| {
        let mut client = served.client.clone();
        let request = AllocateRequest {
            parameters: Some(parameters(&format!("c{n}"), &["v6"])),
        };
        tokio::spawn(async move { client.allocate(request).await })
    });
    let adds = futures::future::join_all(adds.collect::<Vec<_>>());
    let before = served.metrics.batch_size.get_sample_count();
    until(|| served.metrics.requests_in_flight.get() == 64).await;
    go.send(()).unwrap();
    let mut ips: Vec<_> = adds
        .await
        .into_iter()
        .map(|answer| answer.unwrap().unwrap().into_inner().allocations[0].ip.clone())
        .collect();
    ips.sort();
    ips.dedup();
    assert_eq!(ips.len(), 64);
    let commits = served.metrics.batch_size.get_sample_count() - before;
    // The last one may have been on its way into the queue.
    assert!(commits <= 2, "{commits} commits for 64 requests");
    assert_eq!(served.answered("Allocate", "OK"), 64);
    assert_eq!(served.metrics.requests_in_flight.get(), 0);
}
