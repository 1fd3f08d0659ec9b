//! CollectGarbage, as far as no pods come into it. Those are in the tests of the whole daemon.

use node::clock::{BootClock, Clock};
use rpc::v1::{Attachment, CollectGarbageRequest};
use tonic::Code;

use crate::support::{parameters, refusal, refused, serve};

fn gc(network: &str, live: &[&str]) -> CollectGarbageRequest {
    CollectGarbageRequest {
        network_name: network.to_owned(),
        live: live
            .iter()
            .map(|&container| Attachment {
                cni_containerid: container.to_owned(),
                cni_ifname: "net1".to_owned(),
            })
            .collect(),
        began: Some(BootClock::new().unwrap().stamp()),
    }
}

#[tokio::test]
async fn a_call_that_is_not_clear_is_an_invalid_argument() {
    let served = serve().await;
    assert_eq!(
        refusal(served.gc(gc("", &[])).await),
        refused(Code::InvalidArgument, "network_name is required field")
    );
    assert_eq!(
        refusal(served.gc(gc("mynet", &["a", ""])).await),
        refused(Code::InvalidArgument, "live[1].cni_containerid is required field")
    );
    let timeless = CollectGarbageRequest {
        began: None,
        ..gc("mynet", &[])
    };
    assert_eq!(
        refusal(served.gc(timeless).await),
        refused(Code::InvalidArgument, "began is required field")
    );
}

/// The API server can't be reached: whoever had to ask it would be refused.
#[tokio::test]
async fn what_can_not_be_garbage_needs_no_question_about_pods() {
    let served = serve().await;
    assert_eq!(
        served.gc(gc("mynet", &[])).await.unwrap(),
        0,
        "nothing is reserved"
    );
    let before = gc("mynet", &[]);
    served.add("a", &["v4"]).await.unwrap();
    let nameless = rpc::v1::IpamParameters {
        network_name: String::new(),
        ..parameters("b", &["v4"])
    };
    served.allocate(nameless).await.unwrap();
    assert_eq!(served.gc(gc("mynet", &["a"])).await.unwrap(), 0, "it is alive");
    assert_eq!(served.gc(gc("other", &[])).await.unwrap(), 0, "it is another's");
    assert_eq!(
        served.gc(before).await.unwrap(),
        0,
        "it came while the plugin was at it"
    );
}

#[tokio::test]
async fn while_pods_can_not_be_asked_for_nothing_is_released() {
    let served = serve().await;
    served.add("a", &["v4"]).await.unwrap();
    let (code, message) = refusal(served.gc(gc("mynet", &[])).await);
    assert_eq!(code, Code::Unavailable);
    assert!(
        message.starts_with("1 address(es) are held by attachments that the runtime doesn't list")
            && message.contains("default/web"),
        "{message}"
    );
    served.check(parameters("a", &["v4"])).await.unwrap();
    assert_eq!(served.metrics.garbage_releases.get(), 0);
}
