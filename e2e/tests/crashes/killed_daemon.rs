//! A daemon that is killed again and again while plugins call it.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use e2e::bed::Bed;
use e2e::cni::Scratch;
use e2e::progress::say;
use e2e::{store, wait};
use futures::future::try_join_all;
use tokio::net::UnixStream;

use super::book::{Book, Known};
use super::dice::{self, Dice};
use super::journal;
use super::plugin::{Outcome, Plugin};
use crate::setting;

const KILLS: usize = 200;
const WORKERS: u64 = 4;
/// So many containers of a worker have an address at most. All together they fill half of the block, so that addresses
/// come round again soon.
const HELD: usize = 5;
const POOL: &str = "killed-daemon";
const BLOCK: u32 = 40;
/// A daemon that answers is killed within this time, one that starts within the other.
const LIFE: Duration = Duration::from_millis(80);
const CHILDHOOD: Duration = Duration::from_millis(40);

struct Scene<'a> {
    plugin: Plugin<'a>,
    book: RefCell<Book>,
    over: Cell<bool>,
    counts: RefCell<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    added: usize,
    unanswered: usize,
    deleted: usize,
    checked: usize,
}

pub(super) async fn keeps_what_it_answered(bed: Arc<Bed>) -> Result<()> {
    let seed = dice::seed()?;
    run(&bed, seed)
        .await
        .with_context(|| format!("E2E_SEED={seed} makes the same choices again"))
}

async fn run(bed: &Bed, seed: u64) -> Result<()> {
    let node = setting::first_node(bed, POOL, "10.77.0.0/16", BLOCK).await?;
    let scratch = Scratch::create(node, "killed-daemon").await?;
    let scene = Scene {
        plugin: Plugin::new(node, scratch.path(), POOL, 5),
        book: RefCell::default(),
        over: Cell::new(false),
        counts: RefCell::default(),
    };
    let workers = (0..WORKERS).map(|number| scene.worker(number, Dice::new(seed, number)));
    let (_, starts) = futures::try_join!(try_join_all(workers), scene.killer(Dice::new(seed, WORKERS)))?;

    // Every container was deleted, some while there was no daemon.
    scene.wait_answering().await?;
    journal::wait_drained(node).await?;
    scene.verify().await?;
    let left = store::reservations(node).await?;
    ensure!(left.is_empty(), "left in the store: {left:?}");
    let files = journal::files(node)?;
    ensure!(files.is_empty(), "left in the journal: {files:?}");

    let log = std::fs::read_to_string(node.machine.path("/var/log/nv-ipam-cni.log"))?;
    let journalled = log
        .lines()
        .filter(|line| line.contains("ipam-node will find this DEL in"))
        .count();
    let counts = scene.counts.into_inner();
    say(format!(
        "seed {seed}: {KILLS} kills, {counts:?}, {journalled} in the journal; from start to socket: {}",
        quantiles(starts)
    ));
    ensure!(
        counts.added > KILLS
            && counts.checked > KILLS / 10
            && counts.unanswered > KILLS / 10
            && journalled > KILLS / 10,
        "nothing was at stake"
    );
    Ok(())
}

impl Scene<'_> {
    /// A runtime with containers of its own: it deletes whatever it added, or tried to.
    async fn worker(&self, number: u64, mut dice: Dice) -> Result<()> {
        let mut held: Vec<String> = Vec::new();
        let mut deleted: Option<String> = None;
        let mut next = 0;
        while !self.over.get() {
            match dice.below(8) {
                0..=2 if !held.is_empty() => {
                    let container = held.swap_remove(dice.index(held.len())?);
                    self.del(&container).await?;
                    deleted = Some(container);
                }
                3..=4 if !held.is_empty() => self.check(&held[dice.index(held.len())?]).await?,
                5 if deleted.is_some() => {
                    if let Some(container) = &deleted {
                        self.check_gone(container).await?;
                    }
                }
                _ if held.len() < HELD => {
                    // Half of them for a container that was deleted just now.
                    let again = deleted.take().filter(|_| dice.below(2) == 0);
                    let container = again.unwrap_or_else(|| {
                        next += 1;
                        format!("worker-{number}-{next}")
                    });
                    if self.add(&container).await? {
                        held.push(container);
                    } else {
                        self.del(&container).await?;
                        deleted = Some(container);
                    }
                }
                _ => self.check(&held[dice.index(held.len())?]).await?,
            }
        }
        for container in held {
            self.del(&container).await?;
        }
        Ok(())
    }

    /// Kills the daemon and starts it again, and verifies what it has then. Returns how long starts took until it answered.
    async fn killer(&self, mut dice: Dice) -> Result<Vec<Duration>> {
        let daemon = &self.plugin.node.daemon.service;
        let mut starts = Vec::new();
        let mut started = None;
        for kill in 0..KILLS {
            // Some daemons die while they start.
            let life = if dice.below(8) == 0 {
                dice.time(Duration::ZERO, CHILDHOOD)?
            } else {
                self.wait_answering().await?;
                starts.extend(started.map(|started: Instant| started.elapsed()));
                self.verify()
                    .await
                    .with_context(|| format!("after kill {kill}"))?;
                dice.time(Duration::ZERO, LIFE)?
            };
            tokio::time::sleep(life).await;
            daemon
                .must_be_running()
                .with_context(|| format!("nobody killed it after kill {kill}"))?;
            daemon.kill().await?;
            started = Some(Instant::now());
            daemon.start().await?;
        }
        self.over.set(true);
        Ok(starts)
    }

    async fn wait_answering(&self) -> Result<()> {
        let node = self.plugin.node;
        wait::until("the daemon to answer", wait::USUAL, async || {
            if let Err(error) = node.daemon.service.must_be_running() {
                return wait::done(Err(error));
            }
            match UnixStream::connect(journal::socket(node)).await {
                Ok(_) => wait::done(Ok(())),
                Err(error) => wait::not_yet(error.to_string()),
            }
        })
        .await?
    }

    async fn verify(&self) -> Result<()> {
        let before = self.book.borrow().settled();
        let pending = journal::containers(self.plugin.node)?;
        let rows = store::reservations(self.plugin.node).await?;
        self.book.borrow().verify(&before, &pending, &rows)
    }

    /// True if it was answered.
    async fn add(&self, container: &str) -> Result<bool> {
        self.book.borrow_mut().begin(container);
        let known = match self.plugin.add(container).await? {
            Outcome::Success(address) => Known::Held(address),
            Outcome::NoAnswer(_) => Known::Unanswered,
            other => bail!("ADD of {container}: {other:?}"),
        };
        let answered = known != Known::Unanswered;
        self.book.borrow_mut().end(container, known)?;
        let mut counts = self.counts.borrow_mut();
        *if answered {
            &mut counts.added
        } else {
            &mut counts.unanswered
        } += 1;
        Ok(answered)
    }

    async fn del(&self, container: &str) -> Result<()> {
        self.book.borrow_mut().begin(container);
        self.plugin.del(container).await?;
        self.counts.borrow_mut().deleted += 1;
        self.book.borrow_mut().end(container, Known::Gone)
    }

    async fn check(&self, container: &str) -> Result<()> {
        match self.plugin.check(container).await? {
            Outcome::Success(_) => self.counts.borrow_mut().checked += 1,
            Outcome::NoAnswer(_) => {}
            other => bail!("CHECK of {container}, which has an address: {other:?}"),
        }
        Ok(())
    }

    async fn check_gone(&self, container: &str) -> Result<()> {
        match self.plugin.check(container).await? {
            Outcome::Refused(_) => self.counts.borrow_mut().checked += 1,
            Outcome::NoAnswer(_) => {}
            other => bail!("CHECK of {container}, which was deleted: {other:?}"),
        }
        Ok(())
    }
}

fn quantiles(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |percent: usize| {
        times
            .get(times.len() * percent / 100)
            .copied()
            .unwrap_or_default()
    };
    format!("p50 {:?}, p99 {:?}", at(50), at(99))
}
