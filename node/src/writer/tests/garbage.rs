//! Which reservations a GC may judge.

use std::collections::HashSet;

use super::*;

fn gc(began: Stamp) -> GarbageCall {
    GarbageCall {
        network: "mynet".to_owned(),
        live: HashSet::new(),
        began,
    }
}

fn containers(covered: &[Arc<Reservation>]) -> Vec<&str> {
    covered.iter().map(|r| r.owner.container.as_str()).collect()
}

/// Its stamp is older than the GC, because a batch takes its own before it is committed, which may take long.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_being_reserved_when_a_gc_began_is_not_judged() {
    let (core, reached, let_go) = start_slow();
    // The writer stands before a batch in which the ADD is not, then in the one in which it is.
    reached.recv().unwrap();
    let mut adding = Box::pin(core.writer.allocate(add("a", &["p"]), Caller::default()));
    assert!(futures::poll!(&mut adding).is_pending());
    let_go.send(()).unwrap();
    reached.recv().unwrap();
    let clock = BootClock::new().unwrap();
    let began = clock.stamp();
    drop((let_go, reached));
    adding.await.unwrap();
    let held = core.writer.reservations().await.unwrap();
    assert!(held[0].made.is_before(&began, clock.boot_id()));
    assert_eq!(core.writer.garbage(gc(began)).await, Ok(Vec::new()));
    let covered = core.writer.garbage(gc(clock.stamp())).await.unwrap();
    assert_eq!(containers(&covered), ["a"]);
}

#[tokio::test]
async fn what_is_released_meanwhile_leaves_its_successor_alone() {
    let core = start();
    core.writer.set_table(small()).await.unwrap();
    core.add("a", &["p"]).await.unwrap();
    core.add("b", &["p"]).await.unwrap();
    let clock = BootClock::new().unwrap();
    let covered = core.writer.garbage(gc(clock.stamp())).await.unwrap();
    assert_eq!(containers(&covered), ["a", "b"]);
    core.del("a").await;
    core.add("a", &["p"]).await.unwrap();
    let rows = covered.iter().map(|r| r.id).collect();
    let released = core.writer.release(rows, Caller::default()).await.unwrap();
    assert_eq!(containers(&released), ["b"]);
    assert_eq!(core.held().await, ["a 10.0.0.3"]);
}

#[tokio::test]
async fn who_gave_up_releases_nothing() {
    let core = start();
    core.writer.set_table(small()).await.unwrap();
    core.add("a", &["p"]).await.unwrap();
    let row = core.writer.reservations().await.unwrap()[0].id;
    let gone = Caller {
        deadline: Some(Instant::now()),
        connection: None,
    };
    assert_eq!(
        core.writer.release(vec![row], gone).await,
        Err(Refusal::DeadlinePassed)
    );
    assert_eq!(core.held().await, ["a 10.0.0.1"]);
}
