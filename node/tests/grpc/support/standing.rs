//! A core whose writer stands still while a test needs it to.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use node::bind_address::BindAddress;
use node::clock::{BootClock, Clock};
use node::table::{Knowledge, Table};
use rpc::journal::Stamp;

use super::{Served, serve_within, socket_in, v4, v6};

/// A clock at which the writer stands, once it is told to, until it is let go.
pub(crate) struct Gate {
    clock: BootClock,
    hold: Receiver<(Sender<()>, Receiver<()>)>,
}

impl Clock for Gate {
    fn stamp(&self) -> Stamp {
        let stamp = self.clock.stamp();
        if let Ok((standing, go)) = self.hold.try_recv() {
            standing.send(()).unwrap();
            // An error lets it go as well.
            let _ = go.recv();
        }
        stamp
    }

    fn boot_id(&self) -> &str {
        self.clock.boot_id()
    }
}

/// With the pools of [`serve`], and a writer that stands at the beginning of a batch until something is sent, or the sender dropped.
pub(crate) async fn serve_standing() -> (Served, Sender<()>) {
    serve_standing_within(Duration::MAX).await
}

/// The same, and told to stop it waits for what runs for as long as `grace`.
pub(crate) async fn serve_standing_within(grace: Duration) -> (Served, Sender<()>) {
    let (hold, told) = channel();
    let gate = Gate {
        clock: BootClock::new().unwrap(),
        hold: told,
    };
    let folder = tempfile::tempdir().unwrap();
    let address = BindAddress::Unix(socket_in(folder.path()));
    let served = serve_within(grace, folder, address, gate).await;
    let table = Table::of([v4(), v6()], Knowledge::Synced);
    served.writer.set_table(table).await.unwrap();
    let (standing, stands) = channel();
    let (go, wait) = channel();
    hold.send((standing, wait)).unwrap();
    stands.recv().unwrap();
    (served, go)
}
