//! Where the search in a pool goes on, from a store in which only that is known of it: one that was taken over.

use api::node_pool::NodePool;
use api::pool_key::{PoolKey, PoolKind};

use super::*;
use crate::table::Known;

/// All pools of `kinds` are known, and these are this node's.
fn known(kinds: &[PoolKind], pools: impl IntoIterator<Item = NodePool>) -> Table {
    let mut table = Table {
        known: Known::default(),
        ..table(pools)
    };
    for kind in kinds {
        table.known.synced(*kind);
    }
    table
}

fn cidrpool() -> NodePool {
    NodePool {
        key: PoolKey::new(PoolKind::CidrPool, "rail"),
        ..pool("rail", "10.1.0.1", "10.1.0.9")
    }
}

/// `p` and the CIDRPool `rail` stopped after the third address.
async fn taken_over() -> Core {
    let core = start();
    let store = core.store();
    let folder = core.end().await;
    let connection = rusqlite::Connection::open(store).unwrap();
    let places = "INSERT INTO pools (pool, last_reserved, last_config)
                  VALUES ('p', '10.0.0.3', '{}'), ('cidrpool/rail', '10.1.0.3', '{}'), ('cidrpool/gone', NULL, '{}')";
    connection.execute_batch(places).unwrap();
    connection.close().unwrap();
    start_with(folder, BootClock::new().unwrap())
}

fn stored(core: &Core) -> Vec<String> {
    let connection = rusqlite::Connection::open(core.store()).unwrap();
    let mut rows = connection
        .prepare("SELECT pool FROM pools ORDER BY pool")
        .unwrap();
    let names = rows.query_map([], |row| row.get(0)).unwrap();
    names.map(Result::unwrap).collect()
}

async fn next_of_rail(core: &Core) -> Vec<String> {
    let call = AllocateCall {
        pools: vec![cidrpool().key],
        ..add("a", &[])
    };
    let grants = core.writer.allocate(call, Caller::default()).await.unwrap();
    grants.iter().map(|g| g.address.addr().to_string()).collect()
}

#[tokio::test]
async fn a_place_is_kept_until_all_pools_of_its_kind_are_known() {
    let core = taken_over().await;
    core.writer
        .set_table(known(&[PoolKind::IpPool], []))
        .await
        .unwrap();
    assert_eq!(stored(&core), ["cidrpool/gone", "cidrpool/rail"]);
    let both = [PoolKind::IpPool, PoolKind::CidrPool];
    core.writer.set_table(known(&both, [cidrpool()])).await.unwrap();
    assert_eq!(stored(&core), ["cidrpool/rail"]);
    assert_eq!(next_of_rail(&core).await, ["10.1.0.4"]);
}

#[tokio::test]
async fn a_place_that_the_ledger_forgets_the_store_forgets_too() {
    let core = taken_over().await;
    core.writer
        .set_table(known(&[PoolKind::IpPool], []))
        .await
        .unwrap();
    let core = core.restart().await;
    assert_eq!(stored(&core), ["cidrpool/gone", "cidrpool/rail"]);
    let both = [PoolKind::IpPool, PoolKind::CidrPool];
    // The configurations are those that are stored already: none.
    core.writer.set_table(known(&both, [])).await.unwrap();
    assert_eq!(stored(&core), Vec::<String>::new());
    core.writer.set_table(known(&both, [cidrpool()])).await.unwrap();
    assert_eq!(next_of_rail(&core).await, ["10.1.0.1"]);
}
