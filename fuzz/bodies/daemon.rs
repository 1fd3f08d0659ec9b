//! Files that others wrote and the daemon reads.
//!
//! Run by the fuzz targets and, over the committed corpus, by `node/tests/repository`.
#![allow(dead_code, reason = "each target uses a part")]

use node::call::ReleaseCall;
use node::go_store::{GoStore, GoStoreError};
use rpc::journal::Entry;
use serde_json::{Map, Value};

/// A store of the Go daemon. No mutation finds the right checksum, so a wrong one is put right.
pub(crate) fn go_store(input: &[u8]) {
    match GoStore::parse(input) {
        Ok(store) => check(&store),
        Err(GoStoreError::Checksum { computed, .. }) => {
            // It may be stricter, with members that the store hasn't; and a list can stand for an object.
            let Ok(mut root) = serde_json::from_slice::<Map<String, Value>>(input) else {
                return;
            };
            root.insert("checksum".to_owned(), computed.into());
            match GoStore::parse(Value::from(root).to_string().as_bytes()) {
                Ok(store) => check(&store),
                // There is one content in four billion that has it.
                Err(error) => assert_eq!(computed, 0, "{error}"),
            }
        }
        // It is one line of a log.
        Err(error) => assert!(!error.to_string().contains(['\n', '\r']), "{error}"),
    }
}

/// What is printed is the same store again, with a checksum that fits.
fn check(store: &GoStore) {
    let printed = store.print();
    let again = GoStore::parse(printed.as_bytes()).unwrap_or_else(|error| panic!("{error}: {printed}"));
    assert_eq!(&again, store);
    assert_eq!(again.print(), printed);
    for (key, pool) in store.pools() {
        let mut addresses: Vec<_> = pool.entries().map(|entry| entry.address).collect();
        addresses.sort_unstable();
        addresses.dedup();
        assert_eq!(
            addresses.len(),
            pool.entries().count(),
            "an address twice in {key}"
        );
    }
}

/// A DEL that the plugin left.
pub(crate) fn journal_entry(input: &[u8]) {
    let Ok(entry) = Entry::decode(input) else {
        return;
    };
    let encoded = entry.encode().unwrap();
    assert_eq!(Entry::decode(&encoded).unwrap(), entry);
    assert!(
        !entry
            .stamp
            .is_after(&entry.stamp.boot_id, entry.stamp.boottime_ns, "this boot"),
        "it releases what was reserved after it began"
    );
    let call = ReleaseCall::from(&entry);
    assert_eq!(
        (call.owner.container, call.owner.interface),
        (entry.container_id, entry.interface_name.into())
    );
}
