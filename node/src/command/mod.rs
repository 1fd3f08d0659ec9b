//! What `ipam-node store ...` does: administrators look into a store, change it, and give it back to the Go version.
//!
//! Results go to standard output, everything else to standard error. Exit code 1 says that nothing was done, but for
//! output that nobody took.

mod list;

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;

use api::pool_key::PoolKey;
use clap::{Args, Subcommand, ValueEnum};
use process::Fatal;

use crate::bind_address::BindAddress;
use crate::journal::Journal;
use crate::store::{self, InPlace, StoreLock, Stored};

/// What ipam-node does instead of serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Look into the store, change it, or give it back to the Go ipam-node
    #[command(subcommand)]
    Store(StoreCommand),
}

/// What is done to a store.
#[derive(Clone, Debug, Subcommand)]
pub enum StoreCommand {
    /// Print who holds which address
    ///
    /// Works while the daemon runs, and with a store of the Go ipam-node before it is taken over. INDEX is the address's number in this node's range of the pool, where 0 is the first
    /// address that can be handed out: what a network's `allocateIPWithIndex` takes. (The perNodeExclusions and the
    /// gatewayIndex of a CIDRPool count from the network address instead, so they are greater by one; but not where prefixes
    /// are /31, /32, /127 or /128, whose first address can be handed out too.) It is `-` for an
    /// address outside of the range. SEEN says whether the pod was ever in the API: if it was, the address is released
    /// after the pod is gone; if not, only by a DEL, by GC, after the next boot, or by hand.
    List(List),
    /// Print the store as the Go ipam-node writes it, or turn it into that
    ///
    /// Without --in-place the JSON goes to standard output, and nothing changes; works while the daemon runs. What the Go
    /// format has no place for is left out: the network of a reservation, and whether its pod was seen.
    Export(Export),
    /// Release an address by hand
    ///
    /// Works while the daemon runs, which sees it before it hands out or releases anything else. Make sure that nothing
    /// uses the address: it will be handed out again, after those that come next in the pool.
    Release(Release),
}

/// Flags of `store list`.
#[derive(Args, Clone, Debug)]
pub struct List {
    /// How to print it: a table for people, or all there is in JSON.
    #[arg(long, short, value_enum, default_value = "table")]
    output: Output,
}

/// How a list is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

/// Flags of `store export`.
#[derive(Args, Clone, Debug)]
pub struct Export {
    /// Turn the store itself into one that the Go ipam-node starts with, and keep the database as <store-file>.db. DELs that
    /// wait beside the socket of --bind-address, which the Go ipam-node doesn't read, are applied before. The daemon must
    /// not run. Where that is done already, or there is nothing to do, it succeeds too, so that it can stand
    /// as an init container before a Go ipam-node. Started again, this ipam-node takes over what it finds.
    #[arg(long)]
    in_place: bool,
}

/// Flags of `store release`.
#[derive(Args, Clone, Debug)]
pub struct Release {
    /// The pool: the name of an IPPool, or cidrpool/ and that of a CIDRPool, as `store list` prints it.
    #[arg(long, value_name = "POOL")]
    pool: String,

    /// The address, without prefix length.
    #[arg(long, value_name = "ADDRESS")]
    address: IpAddr,
}

impl Command {
    /// Does it, on the store at `store_file` of the daemon that serves at `bind_address`, and says how the process ends.
    #[must_use]
    pub fn run(self, store_file: &Path, bind_address: &str) -> ExitCode {
        let Self::Store(command) = self;
        let done = match command {
            StoreCommand::List(list) => print_list(store_file, list.output),
            StoreCommand::Export(Export { in_place: false }) => print_export(store_file),
            StoreCommand::Export(Export { in_place: true }) => export_in_place(store_file, bind_address),
            StoreCommand::Release(release) => release.run(store_file),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                // Whoever closed standard output knows.
                let _ = writeln!(io::stderr(), "ipam-node: {}", process::chain(&*error));
                ExitCode::FAILURE
            }
        }
    }
}

fn print_list(store_file: &Path, output: Output) -> Result<(), Fatal> {
    let rows = list::rows(store::content(store_file)?);
    print(&match output {
        Output::Table => list::table(&rows),
        Output::Json => list::json(&rows)?,
    })
}

fn print_export(store_file: &Path) -> Result<(), Fatal> {
    print(&store::go_store(store_file)?.print())
}

fn export_in_place(store_file: &Path, bind_address: &str) -> Result<(), Fatal> {
    let path = store_file.display();
    let lock = StoreLock::take(store_file)?;
    let journal = match bind_address.parse()? {
        BindAddress::Unix(socket) => Journal::existing(socket.parent().unwrap_or(Path::new("/")))
            .map_err(|error| format!("can't read the journal of DELs beside the socket: {error}"))?,
        BindAddress::Tcp(_) => None,
    };
    let done = store::export_in_place(lock, journal)?;
    print(&match done {
        InPlace::Exported { store, applied } => {
            let entries: usize = store.pools().map(|(_, pool)| pool.entries().count()).sum();
            format!(
                "applied {applied} DELs that waited in the journal; the store {path} is one of the Go ipam-node now, with \
                 {entries} reservations; the database that it was is kept as {path}.db\n"
            )
        }
        InPlace::Already => format!("the store {path} is one of the Go ipam-node already\n"),
        InPlace::Nothing => format!("the store {path} holds nothing: the Go ipam-node can start with it\n"),
    })
}

impl Release {
    fn run(self, store_file: &Path) -> Result<(), Fatal> {
        let pool = PoolKey::from_text(self.pool);
        let Some(Stored {
            reservation, created, ..
        }) = store::release(store_file, &pool, self.address)?
        else {
            return Err(format!(
                "{} is not reserved in pool {}; `ipam-node store list` prints what is",
                self.address,
                pool.as_str()
            )
            .into());
        };
        print(&format!(
            "released {} of pool {}: pod {}/{}, container {}, interface {}, reserved {}\n",
            reservation.address,
            pool.as_str(),
            reservation.pod.namespace,
            reservation.pod.name,
            reservation.owner.container,
            reservation.owner.interface,
            created
        ))
    }
}

fn print(text: &str) -> Result<(), Fatal> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever reads has read enough, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed.map_err(|error| format!("printing: {error}").into()),
    }
}
