//! Running tests: on two clusters side by side, because tests wait more than they compute.
//!
//! The binary behaves as `cargo test` does: the same arguments, the same closing line, the same exit code. Each of the
//! `--test-threads` takes a test, takes a cluster that no other thread is using (and brings one up if there is none),
//! and runs the test there; each test begins with [`Bed::reset`]. After the last one all clusters are taken down.

use std::any::Any;
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::future::join_all;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use tokio::runtime::Runtime;

use crate::bed::Bed;
use crate::cluster::ClusterSpec;
use crate::interrupt;
use crate::progress::say;
use crate::service;

type Body = Box<dyn FnOnce(Arc<Bed>) -> Pin<Box<dyn Future<Output = Result<()>>>> + Send>;

/// A test: a name that says what must hold, and an async function of the [`Bed`].
pub struct Test {
    name: String,
    needs_nodes: bool,
    body: Body,
}

impl Test {
    /// A test that needs an API server only. It runs on a cluster that the user named, too.
    pub fn api<F, R>(name: &str, body: F) -> Self
    where
        F: FnOnce(Arc<Bed>) -> R + Send + 'static,
        R: Future<Output = Result<()>> + 'static,
    {
        Self {
            name: name.to_owned(),
            needs_nodes: false,
            body: Box::new(move |bed| Box::pin(body(bed))),
        }
    }

    /// A test that needs nodes of our own, and is skipped without.
    pub fn nodes<F, R>(name: &str, body: F) -> Self
    where
        F: FnOnce(Arc<Bed>) -> R + Send + 'static,
        R: Future<Output = Result<()>> + 'static,
    {
        Self {
            needs_nodes: true,
            ..Self::api(name, body)
        }
    }
}

/// How many clusters share the tests, unless `--test-threads` says otherwise. Two keep two cores busy.
const CLUSTERS: usize = 2;

/// Runs the tests that the command line selects.
#[must_use]
pub fn main(tests: Vec<Test>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    if Bed::is_existing() {
        // There is one cluster.
        arguments.test_threads = Some(1);
    }
    arguments.test_threads.get_or_insert(CLUSTERS);
    match run(&arguments, tests) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("e2e: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments, tests: Vec<Test>) -> Result<ExitCode> {
    let runtime = Arc::new(Runtime::new().context("could not start tokio")?);
    runtime.block_on(async { interrupt::take_down_on_signal() })?;
    let stage = Arc::new(Stage {
        runtime: runtime.clone(),
        free: Mutex::default(),
        bringing_up: tokio::sync::Mutex::default(),
        times: Mutex::default(),
    });
    let trials = tests.into_iter().map(|test| trial(test, &stage)).collect();
    let conclusion = libtest_mimic::run(arguments, trials);
    let beds = std::mem::take(&mut *lock(&stage.free));
    let downs = runtime.block_on(join_all(beds.iter().map(|bed| bed.down())));
    downs.into_iter().collect::<Result<()>>()?;
    stage.say_slowest();
    Ok(conclusion.exit_code())
}

/// What the tests of a run share.
struct Stage {
    runtime: Arc<Runtime>,
    /// The clusters that no test is using.
    free: Mutex<Vec<Arc<Bed>>>,
    /// Held while a cluster is brought up, one at a time. True once one failed to come up.
    bringing_up: tokio::sync::Mutex<bool>,
    /// How long each test took, its reset included.
    times: Mutex<Vec<(Duration, String)>>,
}

/// How many of the slowest tests are named at the end.
const SLOWEST: usize = 10;

impl Stage {
    /// A cluster for the caller alone, until it gives it back to `free`. Who finds none that is free brings one up; once that
    /// has failed, there are no more, and who asks gets a short word.
    async fn bed(&self) -> Result<Arc<Bed>> {
        if let Some(bed) = lock(&self.free).pop() {
            return Ok(bed);
        }
        let mut failed = self.bringing_up.lock().await;
        ensure!(!*failed, "there is no cluster for it, see the first failure");
        *failed = true;
        let bed = if Bed::is_existing() {
            Bed::existing().await?
        } else {
            Bed::up(&ClusterSpec::default()).await?
        };
        *failed = false;
        Ok(Arc::new(bed))
    }

    /// Names the tests that a run waits for most: whoever wants it shorter looks there first.
    fn say_slowest(&self) {
        let mut times = lock(&self.times);
        times.sort_unstable_by(|a, b| b.cmp(a));
        for (time, name) in times.iter().take(SLOWEST) {
            say(format!("{:5.1} s  {name}", time.as_secs_f32()));
        }
    }

    fn run(&self, name: &str, body: Body) -> Result<(), Failed> {
        interrupt::hold_if_begun();
        let bed = self
            .runtime
            .block_on(self.bed())
            .map_err(|error| failed(format!("{error:#}")))?;
        let begun = Instant::now();
        let outcome = self.run_on(&bed, name, body);
        lock(&self.times).push((begun.elapsed(), name.to_owned()));
        lock(&self.free).push(bed);
        outcome
    }

    fn run_on(&self, bed: &Arc<Bed>, name: &str, body: Body) -> Result<(), Failed> {
        if let Err(error) = self.runtime.block_on(bed.reset()) {
            let logs = logs(bed, None);
            return Err(failed(format!(
                "could not reset the cluster before the test: {error:#}\n{logs}"
            )));
        }
        let marks = marks(bed);
        // A failed assertion must not keep the logs from being printed.
        let run = AssertUnwindSafe(|| self.runtime.block_on(body(bed.clone())));
        let outcome = match catch_unwind(run) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => format!("{error:#}"),
            Err(panic) => format!("a failed assertion: {}", message(panic.as_ref())),
        };
        Err(failed(format!("{name}: {outcome}\n{}", logs(bed, Some(&marks)))))
    }
}

/// A failed test takes nothing away from the others.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(why: String) -> Failed {
    interrupt::hold_if_begun();
    say("a test failed; why, and the ends of its cluster's logs, is printed at the end");
    Failed::from(why)
}

/// What a panic says.
fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("printed above")
}

fn trial(test: Test, stage: &Arc<Stage>) -> Trial {
    let stage = stage.clone();
    let Test {
        name,
        needs_nodes,
        body,
    } = test;
    let title = name.clone();
    Trial::ignorable_test(title, move || {
        if needs_nodes && Bed::is_existing() {
            return Ok(Completion::ignored_with(
                "needs nodes of our own; E2E_EXISTING_CLUSTER is set",
            ));
        }
        stage.run(&name, body).map(|()| Completion::Completed)
    })
}

/// How long every log was when the test began.
fn marks(bed: &Bed) -> BTreeMap<std::path::PathBuf, u64> {
    let files = std::fs::read_dir(bed.logs()).into_iter().flatten().flatten();
    files
        .filter_map(|file| Some((file.path(), file.metadata().ok()?.len())))
        .collect()
}

/// The ends of the logs that grew since `marks`, ours in more detail than the cluster's.
fn logs(bed: &Bed, marks: Option<&BTreeMap<std::path::PathBuf, u64>>) -> String {
    let mut text = String::new();
    let files = std::fs::read_dir(bed.logs()).into_iter().flatten().flatten();
    let mut paths: Vec<_> = files
        .map(|file| file.path())
        .filter(|path| path.extension().is_some_and(|end| end == "log"))
        .collect();
    paths.sort();
    for path in paths {
        let length = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
        if marks
            .and_then(|marks| marks.get(&path))
            .is_some_and(|&mark| mark == length)
        {
            continue;
        }
        let ours = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("ipam-"));
        let lines = if ours { 60 } else { 8 };
        text.push_str(&end_of(&path, lines));
    }
    if let Ok(cluster) = bed.cluster() {
        for node in &cluster.nodes {
            let path = node.machine.folder.join("var/log/nv-ipam-cni.log");
            text.push_str(&end_of(&path, 30));
        }
    }
    text
}

fn end_of(log: &std::path::Path, lines: usize) -> String {
    format!(
        "--- the end of {}\n{}\n",
        log.display(),
        service::tail(log, lines)
    )
}
