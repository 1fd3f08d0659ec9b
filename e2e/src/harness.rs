//! Running tests: one cluster for all of them, brought up when the first is about to run and taken down after the last.
//!
//! The binary behaves as `cargo test` does: the same arguments, the same closing line, the same exit code. Tests run one
//! after the other, because they share nodes; each begins with [`Bed::reset`].

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

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

/// Runs the tests that the command line selects.
#[must_use]
pub fn main(tests: Vec<Test>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They share nodes.
    arguments.test_threads = Some(1);
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
        bed: OnceCell::new(),
        times: Mutex::default(),
    });
    let trials = tests.into_iter().map(|test| trial(test, &stage)).collect();
    let conclusion = libtest_mimic::run(arguments, trials);
    if let Some(Some(bed)) = stage.bed.get() {
        runtime.block_on(bed.down())?;
    }
    stage.say_slowest();
    Ok(conclusion.exit_code())
}

/// The cluster of this run: not there yet, up, or failed to come up.
struct Stage {
    runtime: Arc<Runtime>,
    bed: OnceCell<Option<Arc<Bed>>>,
    /// How long each test took, its reset included.
    times: Mutex<Vec<(Duration, String)>>,
}

/// How many of the slowest tests are named at the end.
const SLOWEST: usize = 10;

impl Stage {
    /// The first caller brings the cluster up and gets its failure; the others get a short word.
    async fn bed(&self) -> Result<Arc<Bed>> {
        let mut failure = None;
        let up = async {
            match if Bed::is_existing() {
                Bed::existing().await
            } else {
                Bed::up(&ClusterSpec::default()).await
            } {
                Ok(bed) => Some(Arc::new(bed)),
                Err(error) => {
                    failure = Some(error);
                    None
                }
            }
        };
        let bed = Box::pin(self.bed.get_or_init(|| up)).await.clone();
        bed.ok_or_else(|| {
            failure.unwrap_or_else(|| anyhow::anyhow!("there is no cluster, see the first failure"))
        })
    }

    /// Names the tests that a run waits for most: whoever wants it shorter looks there first.
    fn say_slowest(&self) {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.sort_unstable_by(|a, b| b.cmp(a));
        for (time, name) in times.iter().take(SLOWEST) {
            say(format!("{:5.1} s  {name}", time.as_secs_f32()));
        }
    }

    fn run(&self, name: &str, body: Body) -> Result<(), Failed> {
        let bed = self
            .runtime
            .block_on(self.bed())
            .map_err(|error| Failed::from(format!("{error:#}")))?;
        let begun = Instant::now();
        let outcome = self.run_on(&bed, name, body);
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.push((begun.elapsed(), name.to_owned()));
        outcome
    }

    fn run_on(&self, bed: &Arc<Bed>, name: &str, body: Body) -> Result<(), Failed> {
        if let Err(error) = self.runtime.block_on(bed.reset()) {
            let logs = logs(bed, None);
            return Err(Failed::from(format!(
                "could not reset the cluster before the test: {error:#}\n{logs}"
            )));
        }
        let marks = marks(bed);
        // A failed assertion must not keep the logs from being printed.
        let run = AssertUnwindSafe(|| self.runtime.block_on(body(bed.clone())));
        let outcome = match catch_unwind(run) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => format!("{error:#}"),
            Err(_) => "a failed assertion, printed above".to_owned(),
        };
        Err(Failed::from(format!(
            "{name}: {outcome}\n{}",
            logs(bed, Some(&marks))
        )))
    }
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
    say("a test failed; the ends of the logs are printed with it below");
    text
}

fn end_of(log: &std::path::Path, lines: usize) -> String {
    format!(
        "--- the end of {}\n{}\n",
        log.display(),
        service::tail(log, lines)
    )
}
