use api::pool_key::{PoolKey, PoolKind};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use proptest::prelude::*;

use super::*;
use crate::reservation::{Made, Owner, Pod};

const NOW: &str = "this-boot";

fn reservation(id: i64, pod: &str, uid: &str) -> Reservation {
    Reservation {
        id: RowId(id),
        pool: PoolKey::new(PoolKind::IpPool, "pool1"),
        address: [10, 0, 0, 1].into(),
        owner: Owner {
            container: format!("c{id}"),
            interface: "net1".into(),
        },
        pod: Pod {
            uid: uid.to_owned(),
            name: pod.to_owned(),
            namespace: "default".into(),
        },
        network: "".into(),
        made: Made {
            boot_id: NOW.into(),
            boottime_ns: 1,
        },
        pod_seen: true,
    }
}

fn api_pod(uid: &str, annotations: &[(&str, &str)]) -> ApiPod {
    ApiPod::of(&ObjectMeta {
        uid: Some(uid.to_owned()),
        annotations: Some(
            annotations
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        ),
        ..ObjectMeta::default()
    })
}

fn there(pod: &str, api_pod: ApiPod) -> Evidence {
    Evidence::from_iter([(PodName::new("default", pod).unwrap(), api_pod)])
}

fn nobody() -> Evidence {
    Evidence::default()
}

fn judge() -> Judge {
    Judge::new(NOW.to_owned(), ALLOWED_MISSES)
}

/// The check, of `checks` with this evidence, at which `reservation` is released.
fn released_at(
    judge: &mut Judge,
    reservation: &Reservation,
    evidence: &Evidence,
    checks: usize,
) -> Option<usize> {
    (1..=checks).find(|_| {
        !judge
            .check(std::slice::from_ref(reservation), evidence)
            .gone
            .is_empty()
    })
}

#[test]
fn the_fourth_miss_in_a_row_releases() {
    assert_eq!(
        released_at(&mut judge(), &reservation(1, "web", "u1"), &nobody(), 9),
        Some(4)
    );
}

#[test]
fn a_pod_that_comes_back_starts_the_count_anew() {
    let (mut judge, web) = (judge(), reservation(1, "web", "u1"));
    assert_eq!(released_at(&mut judge, &web, &nobody(), 3), None);
    assert_eq!(
        released_at(&mut judge, &web, &there("web", api_pod("u1", &[])), 1),
        None
    );
    assert_eq!(released_at(&mut judge, &web, &nobody(), 9), Some(4));
}

#[test]
fn another_pod_of_that_name_is_another_pod() {
    let evidence = there("web", api_pod("u2", &[]));
    assert_eq!(
        released_at(&mut judge(), &reservation(1, "web", "u1"), &evidence, 9),
        Some(4)
    );
    assert_eq!(
        released_at(&mut judge(), &reservation(1, "web", "u2"), &evidence, 9),
        None
    );
    assert_eq!(
        released_at(&mut judge(), &reservation(1, "web", ""), &evidence, 9),
        None,
        "no UID to compare"
    );
}

#[test]
fn a_static_pod_is_found_by_what_its_mirror_pod_says() {
    for annotation in STATIC {
        let evidence = there("etcd-host-a", api_pod("mirror", &[(annotation, "hash")]));
        assert_eq!(
            released_at(&mut judge(), &reservation(1, "etcd-host-a", "hash"), &evidence, 9),
            None
        );
        assert_eq!(
            released_at(&mut judge(), &reservation(1, "etcd-host-a", "old"), &evidence, 9),
            Some(4)
        );
    }
}

const STATIC: [&str; 2] = crate::cleaner::pod::STATIC_POD_ANNOTATIONS;

#[test]
fn a_pod_never_seen_in_this_boot_is_reported_once_and_kept() {
    let mut judge = judge();
    let unseen = Reservation {
        pod_seen: false,
        ..reservation(1, "made-up", "u1")
    };
    let reports: Vec<usize> = (1..=9)
        .map(|_| {
            let verdicts = judge.check(std::slice::from_ref(&unseen), &nobody());
            assert_eq!(verdicts.gone, Vec::<&Reservation>::new());
            verdicts.unexplained.len()
        })
        .collect();
    assert_eq!(reports, [0, 0, 0, 1, 0, 0, 0, 0, 0]);
}

#[test]
fn a_pod_never_seen_in_an_earlier_boot_is_released() {
    let mut old = Reservation {
        pod_seen: false,
        ..reservation(1, "web", "u1")
    };
    old.made.boot_id = "earlier-boot".into();
    assert_eq!(released_at(&mut judge(), &old, &nobody(), 9), Some(4));
    assert_eq!(
        released_at(&mut judge(), &old, &there("web", api_pod("u1", &[])), 9),
        None
    );
    old.made.boot_id = "".into();
    assert_eq!(
        released_at(&mut judge(), &old, &nobody(), 9),
        None,
        "it may be of this boot"
    );
}

#[test]
fn what_names_no_pod_is_not_judged() {
    for (name, namespace) in [("", "default"), ("web", ""), ("", "")] {
        let mut nameless = reservation(1, name, "u1");
        nameless.pod.namespace = namespace.into();
        assert_eq!(released_at(&mut judge(), &nameless, &nobody(), 9), None);
    }
}

#[test]
fn a_name_that_no_pod_can_have_is_missing_and_never_asked_for() {
    let hostile = reservation(1, "../../nodes/host-a", "u1");
    assert_eq!(pod_name(&hostile), None);
    assert_eq!(released_at(&mut judge(), &hostile, &nobody(), 9), Some(4));
}

#[test]
fn a_reservation_made_later_for_the_same_interface_has_its_own_count() {
    let mut judge = judge();
    assert_eq!(
        released_at(&mut judge, &reservation(1, "web", "u1"), &nobody(), 3),
        None
    );
    assert_eq!(
        released_at(&mut judge, &reservation(2, "web", "u1"), &nobody(), 9),
        Some(4)
    );
}

#[test]
fn only_what_is_new_is_recorded_as_seen() {
    let known = reservation(1, "web", "u1");
    let new = Reservation {
        pod_seen: false,
        ..reservation(2, "web", "u1")
    };
    let other = Reservation {
        pod_seen: false,
        ..reservation(3, "web", "u2")
    };
    assert_eq!(
        newly_seen(&[known, new, other], &there("web", api_pod("u1", &[]))),
        [RowId(2)]
    );
}

/// At each check: whether the row exists, and whether its pod is in the API.
fn histories() -> impl Strategy<Value = Vec<Vec<(bool, bool)>>> {
    prop::collection::vec(
        prop::collection::vec((prop::bool::weighted(0.9), prop::bool::weighted(0.3)), 12),
        1..5,
    )
}

proptest! {
    /// Against the rule in slow words: of the row's checks, are the last four misses, and was the one before not?
    #[test]
    fn verdicts_are_those_of_the_whole_history(
        histories in histories(), seen in prop::collection::vec(any::<bool>(), 5),
        old in prop::collection::vec(any::<bool>(), 5), allowed in 0_u32..5,
    ) {
        let mut judge = Judge::new(NOW.to_owned(), allowed);
        for check in 0..12 {
            let mut reservations = Vec::new();
            let mut evidence = Evidence::default();
            let (mut gone, mut unexplained) = (Vec::new(), Vec::new());
            for (row, history) in histories.iter().enumerate() {
                let (exists, found) = history[check];
                let id = i64::try_from(row).unwrap();
                let mut reservation = reservation(id, &format!("pod-{row}"), "u");
                reservation.pod_seen = seen[row];
                if old[row] {
                    reservation.made.boot_id = "earlier-boot".into();
                }
                if found {
                    evidence.add(pod_name(&reservation).unwrap(), api_pod("u", &[]));
                }
                let misses = history[..=check].iter().rev().take_while(|(exists, found)| *exists && !found).count();
                if misses > allowed as usize && (seen[row] || old[row]) {
                    gone.push(id);
                } else if misses == allowed as usize + 1 {
                    unexplained.push(id);
                }
                if exists {
                    reservations.push(reservation);
                }
            }
            let verdicts = judge.check(&reservations, &evidence);
            let ids = |rows: &[&Reservation]| rows.iter().map(|r| r.id.0).collect::<Vec<_>>();
            prop_assert_eq!(ids(&verdicts.gone), gone);
            prop_assert_eq!(ids(&verdicts.unexplained), unexplained);
        }
    }
}
