//! The webhook as the API server meets it: over TLS, with certificates that change.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod support;

use api::pool_key::PoolKind;
use prometheus::{Encoder, TextEncoder};
use serde_json::json;
use support::{CIDRPOOLS, IPPOOLS, Mount, PATIENCE, Pair, Served, answer, creation, until};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

fn valid() -> serde_json::Value {
    creation("IPPool", &json!({"subnet": "10.0.0.0/16", "perNodeBlockSize": 8}))
}

#[tokio::test]
async fn each_kind_is_judged_at_its_path() {
    let pair = Pair::make();
    let served = Served::ready(&Mount::with(&pair)).await;
    let client = pair.client();
    let verdict = served.review(&client, IPPOOLS, &valid()).await;
    assert_eq!(
        (&verdict["response"]["uid"], &verdict["response"]["allowed"]),
        (&json!("7"), &json!(true))
    );
    let prefix = creation(
        "CIDRPool",
        &json!({"cidr": "10.0.0.0/16", "perNodeNetworkPrefix": 33}),
    );
    let verdict = served.review(&client, CIDRPOOLS, &prefix).await;
    assert_eq!(verdict["response"]["allowed"], false);
    assert_eq!(
        verdict["response"]["status"]["details"]["causes"][0]["field"],
        "spec.perNodeNetworkPrefix"
    );
}

#[tokio::test]
async fn what_is_learnt_of_other_pools_while_it_serves_shows_in_warnings() {
    let pair = Pair::make();
    let served = Served::ready(&Mount::with(&pair)).await;
    let client = pair.client();
    let verdict = served.review(&client, IPPOOLS, &valid()).await;
    assert!(verdict["response"].get("warnings").is_none(), "{verdict}");
    served
        .other_pools
        .set(PoolKind::CidrPool, "rail", "10.0.0.0/8".parse().ok());
    let verdict = served.review(&client, IPPOOLS, &valid()).await;
    let warning = verdict["response"]["warnings"][0].as_str().unwrap();
    assert!(
        warning.contains("overlaps cidrpool/rail (10.0.0.0/8)"),
        "{warning}"
    );
}

#[tokio::test]
async fn what_is_no_review_is_answered_with_the_http_code_for_it() {
    let pair = Pair::make();
    let served = Served::ready(&Mount::with(&pair)).await;
    let client = pair.client();
    let post =
        |path: &str, content_type: &str| format!("POST {path} HTTP/1.1\r\nContent-Type: {content_type}");
    let json = post(IPPOOLS, "application/json; charset=utf-8");
    let old = json!({"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview"}).to_string();
    let empty = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}).to_string();
    let too_much = vec![b' '; (8 << 20) + 1];
    for (head, body, code, text) in [
        (&post("/", "application/json"), "{}".as_bytes(), 404, ""),
        (&format!("GET {IPPOOLS} HTTP/1.1"), b"", 405, ""),
        (
            &post(IPPOOLS, "text/plain"),
            b"{}",
            415,
            "expected application/json",
        ),
        (
            &format!("POST {IPPOOLS} HTTP/1.1"),
            b"{}",
            415,
            "expected application/json",
        ),
        (&json, b"", 400, "no AdmissionReview: "),
        (&json, b"[[[", 400, "no AdmissionReview: "),
        (
            &json,
            old.as_bytes(),
            400,
            "of admission.k8s.io/v1beta1, and not of admission.k8s.io/v1",
        ),
        (&json, empty.as_bytes(), 400, "without a request"),
        (&json, &too_much, 413, ""),
        (&json, valid().to_string().as_bytes(), 200, "AdmissionReview"),
    ] {
        let (status, answer) = served.send(&client, head, body).await;
        assert!(
            status == code && answer.contains(text),
            "{head}: {status} {answer}"
        );
    }
    let mut shown = Vec::new();
    TextEncoder::new()
        .encode(&served.registry.gather(), &mut shown)
        .unwrap();
    let shown = String::from_utf8(shown).unwrap();
    for (code, count) in [(200, 1), (400, 4), (413, 1), (415, 2)] {
        let line = format!(
            r#"controller_runtime_webhook_requests_total{{code="{code}",webhook="{IPPOOLS}"}} {count}"#
        );
        assert!(shown.contains(&line), "{line} in {shown}");
    }
    assert!(
        shown.contains("certwatcher_read_certificate_total 1\n"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_new_handshake_gets_the_new_certificate() {
    let (old, new) = (Pair::make(), Pair::make());
    let mut mount = Mount::with(&old);
    let served = Served::ready(&mount).await;
    served.review(&old.client(), IPPOOLS, &valid()).await;
    assert!(served.connect(&new.client()).await.is_err());

    mount.exchange(&new.certificate, &new.key);
    until(async || served.connect(&new.client()).await.is_ok()).await;
    served.review(&new.client(), IPPOOLS, &valid()).await;
    assert!(served.connect(&old.client()).await.is_err());
}

#[tokio::test]
async fn a_new_pair_that_cannot_be_used_keeps_the_old_one() {
    let (old, new) = (Pair::make(), Pair::make());
    let mut mount = Mount::with(&old);
    let served = Served::ready(&mount).await;
    mount.exchange(&new.certificate, &old.key);
    let errors = async || {
        let gathered = served.registry.gather();
        let errors = gathered
            .iter()
            .find(|f| f.name() == "certwatcher_read_certificate_errors_total");
        errors.unwrap().get_metric()[0].get_counter().get_value() > 0.5
    };
    until(errors).await;
    served.review(&old.client(), IPPOOLS, &valid()).await;
    assert_eq!(served.readiness.check(), Ok(()));

    mount.exchange(&new.certificate, &new.key);
    until(async || served.connect(&new.client()).await.is_ok()).await;
}

#[tokio::test]
async fn without_a_certificate_it_is_not_ready_and_says_why_until_there_is_one() {
    let pair = Pair::make();
    let mut mount = Mount::empty();
    let served = Served::start(mount.path()).await;
    let says = |text: &str| {
        let missing = served.readiness.check().unwrap_err();
        missing.starts_with("webhook: ") && missing.contains(text)
    };
    let absent = mount.path().join("tls.crt").display().to_string();
    until(async || says(&absent)).await;
    assert!(served.connect(&pair.client()).await.is_err());
    mount.exchange(&pair.certificate, &pair.key);
    until(async || served.readiness.check().is_ok()).await;
    served.review(&pair.client(), IPPOOLS, &valid()).await;
}

#[tokio::test]
async fn a_client_that_never_shakes_hands_keeps_nobody_waiting() {
    let pair = Pair::make();
    let served = Served::ready(&Mount::with(&pair)).await;
    let silent = TcpStream::connect(served.address).await.unwrap();
    served.review(&pair.client(), IPPOOLS, &valid()).await;
    drop(silent);
}

#[tokio::test]
async fn silent_clients_of_any_number_keep_nobody_waiting_for_ever() {
    let pair = Pair::make();
    let served = Served::ready(&Mount::with(&pair)).await;
    let mut silent = Vec::new();
    for _ in 0..128 {
        silent.push(TcpStream::connect(served.address).await.unwrap());
    }
    served.review(&pair.client(), IPPOOLS, &valid()).await;
}

#[tokio::test]
async fn a_request_whose_body_does_not_come_gives_its_turn_to_the_next() {
    let pair = Pair::make();
    let served = Served::ready(&Mount::with(&pair)).await;
    let head = format!(
        "POST {IPPOOLS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"
    );
    let mut without_body = Vec::new();
    for _ in 0..16 {
        let mut stream = served.connect(&pair.client()).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        without_body.push(stream);
    }
    served.review(&pair.client(), IPPOOLS, &valid()).await;
    for mut stream in without_body {
        assert_eq!(answer(&mut stream).await.0, 408);
    }
}

#[tokio::test]
async fn a_client_that_refuses_the_certificate_is_counted_apart_from_one_that_speaks_no_tls() {
    let (pair, other) = (Pair::make(), Pair::make());
    let served = Served::ready(&Mount::with(&pair)).await;
    let failed = |refused: u32, other: u32| {
        let shown = TextEncoder::new()
            .encode_to_string(&served.registry.gather())
            .unwrap();
        [("refused", refused), ("other", other)]
            .iter()
            .all(|(reason, count)| {
                shown.contains(&format!(
                    "nv_ipam_controller_webhook_failed_handshakes_total{{reason=\"{reason}\"}} {count}\n"
                ))
            })
    };
    assert!(failed(0, 0));
    assert!(served.connect(&other.client()).await.is_err());
    until(async || failed(1, 0)).await;
    let mut plain = TcpStream::connect(served.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    until(async || failed(1, 1)).await;
    served.review(&pair.client(), IPPOOLS, &valid()).await;
    assert!(failed(1, 1));
}

#[tokio::test]
async fn a_request_that_is_under_way_at_the_end_gets_its_answer() {
    let pair = Pair::make();
    let served = Served::ready(&Mount::with(&pair)).await;
    let mut stream = served.connect(&pair.client()).await.unwrap();
    let body = valid().to_string();
    let head = format!(
        "POST {IPPOOLS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // Asked for the body, it has begun.
    let mut asked = [0; 25];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut asked)
        .await
        .unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    served.shutdown.request();
    stream.write_all(body.as_bytes()).await.unwrap();
    assert_eq!(answer(&mut stream).await.0, 200);
    timeout(PATIENCE, served.ended).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_hangs_does_not_hold_up_the_end() {
    let pair = Pair::make();
    let served = Served::ready(&Mount::with(&pair)).await;
    let silent = TcpStream::connect(served.address).await.unwrap();
    let hanging = served.connect(&pair.client()).await.unwrap();
    served.shutdown.request();
    timeout(PATIENCE, served.ended).await.unwrap().unwrap().unwrap();
    drop((silent, hanging));
}
