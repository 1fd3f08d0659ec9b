//! Whether the API server serves a kind of pool at all. Clusters of older Go versions don't know CIDRPools: there the image
//! can be exchanged, and what they know works.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube::{Client, Resource};
use process::readiness::Gate;
use tokio::time::sleep;

use crate::call::{CallError, within};
use crate::watch::Retries;

/// How long one question may take.
const LIMIT: Duration = Duration::from_secs(5);

/// What came of asking for a kind.
#[derive(Debug)]
enum Answer {
    Served,
    NotServed,
    /// Nothing is known, and why.
    Unknown(String),
}

/// Returns when the API server says that it serves `K`, and asks until then. Once it says that it doesn't, `gate` is open:
/// there is nothing to wait for. A question without an answer changes nothing, and at the end the gate is closed.
pub(crate) async fn wait_until_served<K: Resource<DynamicType = ()>>(client: &Client, gate: &Gate) {
    let (kind, version) = (K::plural(&()), K::api_version(&()));
    wait(&kind, gate, || async {
        Answer::of(
            &kind,
            // Everybody may ask this, also who may not list the kind.
            within(LIMIT, client.list_api_group_resources(&version)).await,
        )
    })
    .await;
}

async fn wait<F: Future<Output = Answer>>(kind: &str, gate: &Gate, mut ask: impl FnMut() -> F) {
    let mut is_off = false;
    let mut trouble = None;
    let mut pauses = Retries::default();
    loop {
        let new_trouble = match ask().await {
            Answer::Served => break,
            Answer::NotServed => {
                if !is_off {
                    is_off = true;
                    gate.open();
                    tracing::warn!(
                        "{kind} are off: the API server doesn't serve them; apply config/crd/nv-ipam.nvidia.com.yaml to get them, it is asked again every few seconds"
                    );
                }
                None
            }
            Answer::Unknown(why) => Some(why),
        };
        if let Some(why) = &new_trouble
            && new_trouble != trouble
        {
            tracing::warn!("can't find out whether the API server serves {kind}, asking again: {why}");
        }
        trouble = new_trouble;
        if let Some(pause) = pauses.next() {
            sleep(pause).await;
        }
    }
    if is_off {
        gate.close("not yet");
        tracing::info!("{kind} are on: the API server serves them now");
    }
}

impl Answer {
    fn of(kind: &str, answer: Result<APIResourceList, CallError>) -> Self {
        match answer {
            Ok(served) if served.resources.iter().any(|resource| resource.name == kind) => Self::Served,
            Ok(_) => Self::NotServed,
            Err(error) => match error.status().map(|status| status.code) {
                // Of a group that it doesn't serve at all it says so in plain text, without a reason.
                Some(404) => Self::NotServed,
                Some(403) => Self::Unknown(format!(
                    "{error}; the ClusterRole system:discovery gives that right, and by default everybody has it"
                )),
                _ => Self::Unknown(error.to_string()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResource;
    use kube::core::Status;
    use process::readiness::Readiness;

    use super::*;

    /// Gives these answers, and says whether the gate was open at each question and at the end.
    async fn gate_under(answers: impl IntoIterator<Item = Answer>) -> Vec<bool> {
        let readiness = Readiness::new();
        let gate = readiness.gate("cidrpools");
        let mut was_open = Vec::new();
        let mut answers = answers.into_iter();
        wait("cidrpools", &gate, || {
            was_open.push(readiness.check().is_ok());
            std::future::ready(answers.next().unwrap())
        })
        .await;
        assert!(answers.next().is_none(), "it asked for each");
        was_open.push(readiness.check().is_ok());
        was_open
    }

    fn unknown() -> Answer {
        Answer::Unknown("it is unwell".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_kind_that_is_served_is_waited_for() {
        assert_eq!(gate_under([Answer::Served]).await, [false, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_off_stays_off_until_it_is_served_whatever_fails_meanwhile() {
        use Answer::{NotServed, Served};
        assert_eq!(
            gate_under([NotServed, unknown(), NotServed, unknown(), Served]).await,
            [false, true, true, true, true, false]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_that_fails_at_the_start_is_asked_again_behind_a_closed_gate() {
        use Answer::{NotServed, Served};
        assert_eq!(
            gate_under([unknown(), unknown(), NotServed, Served]).await,
            [false, false, false, true, false]
        );
        assert_eq!(gate_under([unknown(), Served]).await, [false, false, false]);
    }

    #[test]
    fn only_an_answer_says_what_is_served() {
        let list = |names: &[&str]| {
            let resource = |name: &&str| APIResource {
                name: (*name).to_owned(),
                ..APIResource::default()
            };
            Ok(APIResourceList {
                resources: names.iter().map(resource).collect(),
                ..APIResourceList::default()
            })
        };
        let of = |answer| Answer::of("cidrpools", answer);
        assert!(matches!(of(list(&["ippools", "cidrpools"])), Answer::Served));
        assert!(matches!(
            of(list(&["ippools", "cidrpools/status"])),
            Answer::NotServed
        ));
        let refusal = |code| {
            let status = Status::failure("page not found", "").with_code(code);
            Err(CallError::Api(kube::Error::Api(Box::new(status))))
        };
        assert!(matches!(of(refusal(404)), Answer::NotServed));
        for code in [401, 403, 429, 500, 503] {
            assert!(matches!(of(refusal(code)), Answer::Unknown(_)), "{code}");
        }
        for lost in [
            CallError::Api(kube::Error::Service("connection refused".into())),
            CallError::NoAnswer(LIMIT),
        ] {
            assert!(matches!(of(Err(lost)), Answer::Unknown(_)));
        }
    }
}
