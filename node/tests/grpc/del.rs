//! IsAllocated and Deallocate (contract B.3, B.5).

use rpc::v1::{IpamParameters, PoolType};
use tonic::Code;

use crate::support::{parameters, refusal, refused, serve};

#[tokio::test]
async fn an_address_is_given_checked_and_released() {
    let served = serve().await;
    assert_eq!(served.add("a", &["v4"]).await.unwrap(), ["192.168.0.1/16"]);
    served.check(parameters("a", &["v4"])).await.unwrap();
    let bare = IpamParameters {
        metadata: None,
        ..parameters("a", &["v4"])
    };
    served.del(bare.clone()).await.unwrap();
    assert_eq!(
        refusal(served.check(parameters("a", &["v4"])).await),
        refused(
            Code::NotFound,
            r#"reservation for pool "v4", poolType "ippool" not found"#
        )
    );
    served.del(bare).await.expect("releasing nothing succeeds");
    served.del(parameters("a", &["unknown"])).await.unwrap();
    assert_eq!(
        served.add("b", &["v4"]).await.unwrap(),
        ["192.168.0.2/16"],
        "the next one, not the freed one"
    );
}

#[tokio::test]
async fn a_check_looks_for_a_reservation_in_each_pool_and_names_the_first_without() {
    let served = serve().await;
    served.add("a", &["v4"]).await.unwrap();
    let missing = |pool: &str, pool_type: &str| {
        refused(
            Code::NotFound,
            &format!(r#"reservation for pool "{pool}", poolType "{pool_type}" not found"#),
        )
    };
    let check = |parameters| served.check(parameters);
    assert_eq!(
        refusal(check(parameters("a", &["v4", "v6"])).await),
        missing("v6", "ippool")
    );
    assert_eq!(
        refusal(check(parameters("a", &["nope", "other"])).await),
        missing("nope", "ippool")
    );
    let mut cidr = parameters("a", &["v4"]);
    cidr.set_pool_type(PoolType::Cidrpool);
    assert_eq!(refusal(check(cidr).await), missing("v4", "cidrpool"));
    let other_interface = IpamParameters {
        cni_ifname: "net2".to_owned(),
        ..parameters("a", &["v4"])
    };
    assert_eq!(refusal(check(other_interface).await), missing("v4", "ippool"));
    let without_pod = IpamParameters {
        metadata: None,
        ..parameters("a", &["v4"])
    };
    assert_eq!(
        refusal(check(without_pod).await),
        refused(Code::InvalidArgument, "parameters.metadata is required field")
    );
    // The pool need not be configured, nor the address be the one that is there.
    served.lose_pools().await;
    let other_address = IpamParameters {
        requested_ips: vec!["192.168.0.4".to_owned()],
        ..parameters("a", &["v4"])
    };
    check(other_address).await.unwrap();
}

#[tokio::test]
async fn a_del_needs_no_configured_pool() {
    let served = serve().await;
    served.add("a", &["v4", "v6"]).await.unwrap();
    served.lose_pools().await;
    served.del(parameters("a", &["v4", "v6"])).await.unwrap();
    assert_eq!(served.writer.reservations().await.unwrap(), []);
}

#[tokio::test]
async fn a_del_without_network_releases_in_the_pools_that_it_names_only() {
    let served = serve().await;
    let nameless = |pools: &[&str]| IpamParameters {
        network_name: String::new(),
        ..parameters("a", pools)
    };
    served.allocate(nameless(&["v4", "v6"])).await.unwrap();
    served.del(nameless(&["v4"])).await.unwrap();
    let left = served.writer.reservations().await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].pool.as_str(), "v6");
}

#[tokio::test]
async fn a_del_follows_its_network_into_a_pool_it_does_not_name_any_more() {
    let served = serve().await;
    served.add("a", &["v4"]).await.unwrap();
    for stranger in ["other", ""] {
        served
            .del(IpamParameters {
                network_name: stranger.to_owned(),
                ..parameters("a", &["v6"])
            })
            .await
            .unwrap();
    }
    served.check(parameters("a", &["v4"])).await.unwrap();
    served.del(parameters("a", &["v6"])).await.unwrap();
    assert!(served.check(parameters("a", &["v4"])).await.is_err());
}

#[tokio::test]
async fn a_del_without_owner_is_an_invalid_argument() {
    let served = serve().await;
    for (broken, field) in [
        (parameters("", &["v4"]), "cni_containerid"),
        (
            IpamParameters {
                cni_ifname: String::new(),
                ..parameters("a", &["v4"])
            },
            "cni_ifname",
        ),
    ] {
        assert_eq!(
            refusal(served.del(broken).await),
            refused(
                Code::InvalidArgument,
                &format!("parameters.{field} is required field")
            )
        );
    }
}
