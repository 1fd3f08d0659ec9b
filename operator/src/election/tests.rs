//! Elections over a Lease that is compared and swapped, on a clock that the test moves.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use process::shutdown::Shutdown;
use proptest::prelude::*;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::elector::{Elector, Lost};
use super::lease::LeaseStore;
use super::machine::{Answer, Ask, Machine, Next};
use super::{LEASE, Timing};
use crate::call::CallError;
use crate::leadership::Leadership;

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// The API server.
#[derive(Debug, Default)]
struct Server {
    lease: Option<Lease>,
    version: u64,
}

impl Server {
    fn apply(&mut self, ask: &Ask) -> Answer {
        let stored = |server: &mut Self, lease: &Lease| {
            server.version += 1;
            let mut lease = lease.clone();
            lease.metadata.resource_version = Some(server.version.to_string());
            server.lease = Some(lease.clone());
            Answer::Lease(Box::new(lease))
        };
        match (ask, self.lease.clone()) {
            (Ask::Read, Some(lease)) => Answer::Lease(Box::new(lease)),
            (Ask::Read | Ask::Replace(_), None) => Answer::Absent,
            (Ask::Create(_), Some(_)) => Answer::Conflict,
            (Ask::Create(lease), None) => stored(self, lease),
            (Ask::Replace(lease), Some(current)) => {
                assert!(
                    lease.metadata.resource_version.is_some(),
                    "a write that would overwrite anything"
                );
                if lease.metadata.resource_version == current.metadata.resource_version {
                    stored(self, lease)
                } else {
                    Answer::Conflict
                }
            }
        }
    }
}

/// What the network does to one request.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// It is lost.
    Lost,
    /// It is refused.
    Refused,
    /// It is done, and the answer is lost.
    AnswerLost,
    /// It is done long after nobody waits for the answer any more.
    Late(Duration),
    /// It takes a while.
    Slow(Duration),
}

#[derive(Clone, Debug, Default)]
struct Link {
    server: Arc<Mutex<Server>>,
    faults: Arc<Mutex<VecDeque<Option<Fault>>>>,
    down: Arc<Mutex<bool>>,
}

impl Link {
    fn to(server: &Arc<Mutex<Server>>) -> Self {
        Self {
            server: server.clone(),
            ..Self::default()
        }
    }

    fn apply(&self, ask: &Ask) -> Answer {
        self.server.lock().unwrap().apply(ask)
    }
}

impl LeaseStore for Link {
    async fn ask(&self, ask: &Ask, limit: Duration) -> Result<Answer, CallError> {
        let fault = if *self.down.lock().unwrap() {
            Some(Fault::Lost)
        } else {
            self.faults.lock().unwrap().pop_front().flatten()
        };
        let silence = async {
            sleep(limit).await;
            Err(CallError::NoAnswer(limit))
        };
        match fault {
            None => {
                sleep(5 * MS).await;
                Ok(self.apply(ask))
            }
            Some(Fault::Slow(time)) => {
                sleep(time.min(limit)).await;
                if time >= limit {
                    return Err(CallError::NoAnswer(limit));
                }
                Ok(self.apply(ask))
            }
            Some(Fault::Lost) => silence.await,
            Some(Fault::Refused) => Err(CallError::NoAnswer(Duration::ZERO)),
            Some(Fault::AnswerLost) => {
                self.apply(ask);
                silence.await
            }
            Some(Fault::Late(time)) => {
                let (link, ask) = (self.clone(), ask.clone());
                tokio::spawn(async move {
                    sleep(time).await;
                    link.apply(&ask);
                });
                silence.await
            }
        }
    }
}

/// A candidate at work.
struct Candidate {
    link: Link,
    leadership: Leadership,
    release: Shutdown,
    running: JoinHandle<Result<(), Lost>>,
}

impl Candidate {
    fn start(identity: &str, link: Link) -> Self {
        let (terms, leadership) = Leadership::elected();
        let release = Shutdown::new();
        let elector = Elector::new(identity.to_owned(), Timing::default(), link.clone(), terms);
        Self {
            link,
            leadership,
            running: tokio::spawn(elector.run(release.clone())),
            release,
        }
    }

    fn leads(&self) -> bool {
        self.leadership.leads()
    }
}

/// Lets `time` pass. At no moment of it do two lead.
async fn pass(time: Duration, candidates: &[&Candidate]) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        sleep_until(end.min(Instant::now() + 20 * MS)).await;
        assert!(
            candidates.iter().filter(|c| c.leads()).count() <= 1,
            "two lead at once"
        );
    }
}

/// How long until `candidate` leads.
async fn time_until_leading(candidate: &Candidate, others: &[&Candidate]) -> Duration {
    let start = Instant::now();
    while !candidate.leads() {
        assert!(start.elapsed() < 60 * SECOND, "nobody leads");
        let all: Vec<&Candidate> = others.iter().copied().chain([candidate]).collect();
        pass(MS, &all).await;
    }
    start.elapsed()
}

fn record(holder: &str, renewed: Timestamp) -> LeaseSpec {
    LeaseSpec {
        holder_identity: Some(holder.to_owned()),
        lease_duration_seconds: Some(15),
        lease_transitions: Some(3),
        acquire_time: Some(MicroTime(renewed)),
        renew_time: Some(MicroTime(renewed)),
        ..LeaseSpec::default()
    }
}

fn server(spec: Option<LeaseSpec>) -> Arc<Mutex<Server>> {
    let mut server = Server::default();
    if spec.is_some() {
        server.apply(&Ask::Create(Lease {
            spec,
            ..Lease::default()
        }));
    }
    Arc::new(Mutex::new(server))
}

fn spec(server: &Arc<Mutex<Server>>) -> LeaseSpec {
    server.lock().unwrap().lease.clone().unwrap().spec.unwrap()
}

#[tokio::test(start_paused = true)]
async fn who_comes_first_leads_and_a_released_lease_is_soon_taken() {
    let server = server(None);
    let a = Candidate::start("a", Link::to(&server));
    assert!(time_until_leading(&a, &[]).await < SECOND);
    let (b, c) = (
        Candidate::start("b", Link::to(&server)),
        Candidate::start("c", Link::to(&server)),
    );
    pass(60 * SECOND, &[&a, &b, &c]).await;
    assert!(a.leads());
    assert_eq!(spec(&server).lease_transitions, Some(0));

    a.release.request();
    assert_eq!(a.running.await.unwrap(), Ok(()));
    let released = spec(&server);
    assert_eq!(
        (
            released.holder_identity.as_deref(),
            released.lease_duration_seconds
        ),
        (Some(""), Some(1)),
        "as client-go releases"
    );
    let start = Instant::now();
    while !b.leads() && !c.leads() {
        pass(MS, &[&b, &c]).await;
        assert!(start.elapsed() < 3 * SECOND);
    }
    assert_eq!(spec(&server).lease_transitions, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_stops_before_another_starts() {
    let server = server(None);
    let a = Candidate::start("a", Link::to(&server));
    time_until_leading(&a, &[]).await;
    let b = Candidate::start("b", Link::to(&server));
    pass(30 * SECOND, &[&a, &b]).await;
    *a.link.down.lock().unwrap() = true;
    let cut_off = Instant::now();
    while a.leads() {
        pass(MS, &[&a, &b]).await;
    }
    let stopped = cut_off.elapsed();
    assert!(stopped <= 10 * SECOND && stopped > 7 * SECOND, "{stopped:?}");
    let took_over = stopped + time_until_leading(&b, &[&a]).await;
    assert!(
        took_over >= 13 * SECOND && took_over < 19 * SECOND,
        "{took_over:?}"
    );
    assert_eq!(a.running.await.unwrap(), Err(Lost::NotRenewed(10 * SECOND)));
}

/// The record's times are another machine's. Only how long it stays the same counts.
#[tokio::test(start_paused = true)]
async fn no_clock_is_compared_with_another() {
    for renewed in [Timestamp::MIN, Timestamp::UNIX_EPOCH, Timestamp::MAX] {
        let server = server(Some(record("elsewhere", renewed)));
        let a = Candidate::start("a", Link::to(&server));
        let waited = time_until_leading(&a, &[]).await;
        assert!(waited >= 15 * SECOND && waited < 18 * SECOND, "{waited:?}");
        assert_eq!(spec(&server).lease_transitions, Some(4));
        a.running.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_renews_is_never_displaced() {
    let server = server(Some(record("go", Timestamp::UNIX_EPOCH)));
    let a = Candidate::start("a", Link::to(&server));
    for tick in 0..30 {
        pass(10 * SECOND, &[&a]).await;
        assert!(!a.leads());
        let mut server = server.lock().unwrap();
        let Answer::Lease(mut lease) = server.apply(&Ask::Read) else {
            panic!()
        };
        lease.spec = Some(record("go", Timestamp::from_second(tick + 1).unwrap()));
        server.apply(&Ask::Replace(*lease));
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_lease_another_holds_stops() {
    let server = server(None);
    let a = Candidate::start("a", Link::to(&server));
    time_until_leading(&a, &[]).await;
    {
        let mut server = server.lock().unwrap();
        let Answer::Lease(mut lease) = server.apply(&Ask::Read) else {
            panic!()
        };
        lease.spec = Some(record("usurper", Timestamp::UNIX_EPOCH));
        server.apply(&Ask::Replace(*lease));
    }
    assert_eq!(a.running.await.unwrap(), Err(Lost::Taken("usurper".to_owned())));
    assert!(!a.leadership.leads());
    assert_eq!(
        spec(&server).holder_identity.as_deref(),
        Some("usurper"),
        "not given back"
    );
}

#[tokio::test(start_paused = true)]
async fn a_deleted_lease_is_made_again() {
    let server = server(None);
    let a = Candidate::start("a", Link::to(&server));
    time_until_leading(&a, &[]).await;
    server.lock().unwrap().lease = None;
    pass(5 * SECOND, &[&a]).await;
    assert!(a.leads());
    assert_eq!(spec(&server).holder_identity.as_deref(), Some("a"));
}

/// The renewal was done, but nobody heard of it: what the candidate knows is outdated, and it is its own.
#[tokio::test(start_paused = true)]
async fn a_renewal_whose_answer_was_lost_is_not_a_lost_lease() {
    let server = server(None);
    let a = Candidate::start("a", Link::to(&server));
    time_until_leading(&a, &[]).await;
    a.link.faults.lock().unwrap().push_back(Some(Fault::AnswerLost));
    pass(30 * SECOND, &[&a]).await;
    assert!(a.leads());
}

/// The take-over is done at the server after the candidate gave it up, while it already asks again.
#[tokio::test(start_paused = true)]
async fn a_take_over_that_is_done_late_is_noticed() {
    let server = server(Some(LeaseSpec::default()));
    let link = Link::to(&server);
    // The first request reads; the second takes.
    link.faults
        .lock()
        .unwrap()
        .extend([None, Some(Fault::Late(4 * SECOND))]);
    let a = Candidate::start("a", link);
    let b = Candidate::start("b", Link::to(&server));
    pass(20 * SECOND, &[&a, &b]).await;
    assert!(a.leads() || b.leads());
}

#[tokio::test(start_paused = true)]
async fn a_release_that_meets_a_late_renewal_is_tried_again() {
    let server = server(None);
    let a = Candidate::start("a", Link::to(&server));
    time_until_leading(&a, &[]).await;
    a.link.faults.lock().unwrap().push_back(Some(Fault::AnswerLost));
    // The next renewal is at the server, its answer on the way for ever.
    pass(2500 * MS, &[&a]).await;
    a.release.request();
    assert_eq!(a.running.await.unwrap(), Ok(()));
    assert_eq!(spec(&server).holder_identity.as_deref(), Some(""));
}

#[tokio::test(start_paused = true)]
async fn giving_the_lease_back_takes_no_longer_than_it_may() {
    let server = server(None);
    let a = Candidate::start("a", Link::to(&server));
    time_until_leading(&a, &[]).await;
    *a.link.down.lock().unwrap() = true;
    let start = Instant::now();
    a.release.request();
    assert_eq!(a.running.await.unwrap(), Ok(()));
    assert!(start.elapsed() <= 500 * MS, "{:?}", start.elapsed());
}

#[test]
fn a_renewal_changes_only_the_time_of_renewal() {
    let mut machine = Machine::new("a".to_owned(), Timing::default());
    let (now, wall) = (Instant::now(), Timestamp::from_second(100).unwrap());
    assert_eq!(machine.ask(wall), Ask::Read);
    machine.answered(&Ask::Read, Answer::Absent, now, now);
    let create = machine.ask(wall);
    let Ask::Create(created) = &create else {
        panic!("{create:?}")
    };
    assert_eq!(created.metadata.name.as_deref(), Some(LEASE));
    let next = machine.answered(&create, Answer::Lease(Box::new(created.clone())), now, now);
    assert_eq!(
        (next, machine.leads_until()),
        (Next::AfterPause, Some(now + 10 * SECOND))
    );
    let Ask::Replace(renewed) = machine.ask(Timestamp::from_second(102).unwrap()) else {
        panic!()
    };
    let (created, renewed) = (created.spec.clone().unwrap(), renewed.spec.unwrap());
    assert_eq!(
        renewed.renew_time,
        Some(MicroTime(Timestamp::from_second(102).unwrap()))
    );
    assert_eq!(
        LeaseSpec {
            renew_time: created.renew_time.clone(),
            ..renewed
        },
        created
    );
}

fn fault() -> impl Strategy<Value = Option<Fault>> {
    let time = (0_u64..20_000).prop_map(Duration::from_millis);
    prop_oneof![
        4 => Just(None),
        2 => Just(Some(Fault::Lost)),
        1 => Just(Some(Fault::Refused)),
        2 => Just(Some(Fault::AnswerLost)),
        2 => time.clone().prop_map(|t| Some(Fault::Late(t))),
        1 => time.prop_map(|t| Some(Fault::Slow(t))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    /// Two minutes of faults for three candidates, each of which is started anew under another name when it has lost.
    #[test]
    fn whatever_the_network_does_two_never_lead(
        faults in prop::collection::vec(prop::collection::vec(fault(), 60), 3),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let server = server(None);
            let mut led = false;
            let mut candidates: Vec<Candidate> = faults
                .iter()
                .enumerate()
                .map(|(i, faults)| {
                    let link = Link::to(&server);
                    link.faults.lock().unwrap().extend(faults);
                    Candidate::start(&format!("{i}"), link)
                })
                .collect();
            for tick in 0..16_000 {
                if tick == 12_000 {
                    // The network is well again.
                    for candidate in &candidates {
                        candidate.link.faults.lock().unwrap().clear();
                    }
                    led = false;
                }
                sleep(10 * MS).await;
                let leaders = candidates.iter().filter(|c| c.leads()).count();
                assert!(leaders <= 1, "two lead after {} ms", tick * 10);
                led |= leaders == 1;
                for (i, candidate) in candidates.iter_mut().enumerate() {
                    if candidate.running.is_finished() {
                        *candidate = Candidate::start(&format!("{i} of {tick}"), candidate.link.clone());
                    }
                }
            }
            assert!(led, "nobody leads although nothing is wrong");
        });
    }
}
