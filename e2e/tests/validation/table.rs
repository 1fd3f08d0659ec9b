//! The table of `crd::cases`, and what webhook, controller and daemon say of each case: what its parser says, all of it and in the
//! same words. What the API server says is tried there.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use e2e::bed::Bed;
use e2e::harness::Test;
use e2e::wait;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use serde_json::json;

use super::daemon;
use super::served::Webhook;
use crate::crd::cases::{self, Case, Kind};
use crate::crd::pools::{Faults, refused, storable, under_types_only};

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::nodes(
        "validation::table::webhook_controller_and_daemon_say_of_every_case_what_the_parsers_say",
        every_case,
    )]
}

async fn every_case(bed: Arc<Bed>) -> Result<()> {
    let mut wrong = Vec::new();
    // Where the API server lets everything pass, so that the others are asked.
    let stored = under_types_only(&bed, async || {
        let stored = storable(&bed, cases::all()).await?;
        wrong.extend(daemon::wrong(&bed, &stored).await?);
        let _webhook = Webhook::start(&bed, bed.controller(), 9443).await?;
        wrong.extend(webhook(&bed, &stored).await?);
        wrong.extend(controller(&bed, &stored).await?);
        Ok(stored)
    })
    .await?;
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    still_managed(&bed, &stored).await
}

async fn webhook(bed: &Bed, cases: &[Case]) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for case in cases {
        let said = refused(bed, case.kind, &format!("w-{}", case.name), &case.spec).await?;
        let expected: Faults = case.parser.iter().map(ToString::to_string).collect();
        if said != expected {
            wrong.push(format!("{}: the webhook says {said:#?}", case.name));
        }
    }
    Ok(wrong)
}

async fn controller(bed: &Bed, cases: &[Case]) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for (name, valid, message) in wait_verdicts(bed, cases).await? {
        let case = cases.iter().find(|case| case.name == name).context("a case")?;
        let said = valid || bounded_is(&message, &case.text());
        if valid != case.is_valid() || !said {
            wrong.push(format!("{name}: the controller says {valid}: {message}"));
        }
    }
    Ok(wrong)
}

/// Whether `message` is `text`, as far as a condition repeats it.
fn bounded_is(message: &str, text: &str) -> bool {
    const LIMIT: usize = 2048;
    if text.len() <= LIMIT {
        return message == text;
    }
    let beginning = message.strip_suffix(" ...");
    // What doesn't fit may be a character of four bytes.
    beginning.is_some_and(|b| text.starts_with(b) && (LIMIT - 8..LIMIT).contains(&b.len()))
}

/// Waits until every pool has the condition `SpecValid`, and returns name, status and message of each.
async fn wait_verdicts(bed: &Bed, cases: &[Case]) -> Result<Vec<(String, bool, String)>> {
    wait::until("every pool to be judged", wait::USUAL, async || {
        let mut verdicts = Vec::new();
        for kind in [Kind::IPPool, Kind::CIDRPool] {
            match kind.api(bed).list(&ListParams::default()).await {
                Ok(pools) => verdicts.extend(pools.items.iter().filter_map(verdict)),
                Err(error) => return wait::not_yet(error.to_string()),
            }
        }
        if verdicts.len() == cases.len() {
            wait::done(verdicts)
        } else {
            wait::not_yet(format!("{} of {}", verdicts.len(), cases.len()))
        }
    })
    .await
}

fn verdict(pool: &DynamicObject) -> Option<(String, bool, String)> {
    let conditions = pool.data.pointer("/status/conditions")?.as_array()?;
    let condition = conditions.iter().find(|c| c["type"] == "SpecValid")?;
    let message = condition["message"].as_str()?.to_owned();
    Some((
        pool.metadata.name.clone()?,
        condition["status"] == "True",
        message,
    ))
}

/// Under the rules again, and with the webhook asked: the controller goes on writing the status of all of them, and people
/// their labels.
async fn still_managed(bed: &Bed, cases: &[Case]) -> Result<()> {
    let patch = PatchParams::default();
    for case in cases {
        let pools = case.kind.api(bed);
        let label = json!({ "metadata": { "labels": { "a": "b" } } });
        let labelled = pools.patch(case.name, &patch, &Patch::Merge(&label)).await;
        labelled.with_context(|| case.name.to_owned())?;
        let status = json!({ "status": { "conditions": [] } });
        let emptied = pools
            .patch_status(case.name, &patch, &Patch::Merge(&status))
            .await;
        emptied.with_context(|| case.name.to_owned())?;
    }
    wait_verdicts(bed, cases).await?;
    Ok(())
}
