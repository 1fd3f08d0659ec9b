//! The shape of the file.

use std::collections::BTreeMap;
use std::net::IpAddr;

use api::pool_key::PoolKey;
use serde::Deserialize;

use super::error::{EntryProblem, GoStoreError};
use super::text::Object;
use super::{GoEntry, GoPool, GoStore, VERSION};
use crate::reservation::{Owner, Pod};

/// How Go writes a time that nobody set.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

// What is missing is empty, as for Go.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Root {
    version: i64,
    checksum: u32,
    pools: BTreeMap<String, Pool>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pool {
    name: String,
    entries: BTreeMap<String, Entry>,
    last_pool_config: String,
    last_reserved_ip: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    container_id: String,
    interface_name: String,
    ip_address: String,
    metadata: Metadata,
    released_at: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    create_time: String,
    pod_uuid: String,
    pod_name: String,
    pod_namespace: String,
    device_id: String,
    pool_config_snapshot: String,
}

pub(super) fn parse(file: &[u8]) -> Result<GoStore, GoStoreError> {
    let root: Root = serde_json::from_slice(file)?;
    if root.version != VERSION {
        return Err(GoStoreError::Version(root.version));
    }
    if root.checksum == 0 {
        return Err(GoStoreError::NoChecksum);
    }
    let mut store = GoStore::default();
    for (key, pool) in root.pools {
        let parsed = parse_pool(&key, pool)?;
        store.pools.insert(PoolKey::from_text(key), parsed);
    }
    let computed = checksum(&store);
    if computed != root.checksum {
        return Err(GoStoreError::Checksum {
            stated: root.checksum,
            computed,
        });
    }
    Ok(store)
}

fn parse_pool(key: &str, wire: Pool) -> Result<GoPool, GoStoreError> {
    if wire.name != key {
        return Err(GoStoreError::Pool {
            key: key.to_owned(),
            name: wire.name,
        });
    }
    let mut pool = GoPool {
        last_pool_config: wire.last_pool_config,
        ..GoPool::default()
    };
    if !wire.last_reserved_ip.is_empty() {
        match address(&wire.last_reserved_ip) {
            None => {
                return Err(GoStoreError::LastReserved {
                    pool: key.to_owned(),
                    address: wire.last_reserved_ip,
                });
            }
            last => pool.last_reserved = last,
        }
    }
    for (name, entry) in wire.entries {
        parse_entry(&name, entry)
            .and_then(|entry| pool.insert(entry))
            .map_err(|problem| GoStoreError::Entry {
                pool: key.to_owned(),
                entry: name,
                problem,
            })?;
    }
    Ok(pool)
}

fn parse_entry(name: &str, wire: Entry) -> Result<GoEntry, EntryProblem> {
    let Some(address) = address(&wire.ip_address) else {
        return Err(EntryProblem::NoAddress(wire.ip_address));
    };
    let entry = GoEntry {
        owner: Owner {
            container: wire.container_id,
            interface: wire.interface_name.into(),
        },
        address,
        pod: Pod {
            uid: wire.metadata.pod_uuid,
            name: wire.metadata.pod_name,
            namespace: wire.metadata.pod_namespace.into(),
        },
        device_id: wire.metadata.device_id,
        created: wire.metadata.create_time,
        pool_config: wire.metadata.pool_config_snapshot,
        released: wire.released_at.filter(|time| time != NO_TIME),
    };
    if entry.name() != name {
        return Err(EntryProblem::OtherName {
            container: entry.owner.container,
            interface: entry.owner.interface.to_string(),
        });
    }
    Ok(entry)
}

/// Go knows no IPv4 address that is written as an IPv6 one: it is the same to it, and written short.
fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok().map(|address: IpAddr| address.to_canonical())
}

/// What the checksum is made of, and what stands in the file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Summed,
    Written,
}

pub(super) fn print(store: &GoStore) -> String {
    root(store, checksum(store), Part::Written)
}

/// FNV-1a of the file in which it is 0.
fn checksum(store: &GoStore) -> u32 {
    const BASIS: u32 = 0x811c_9dc5;
    const PRIME: u32 = 0x0100_0193;
    root(store, 0, Part::Summed)
        .bytes()
        .fold(BASIS, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(PRIME))
}

fn root(store: &GoStore, checksum: u32, part: Part) -> String {
    let mut out = String::new();
    let mut root = Object::begin(&mut out);
    root.number("version", VERSION);
    root.number("checksum", checksum);
    let mut pools = Object::begin(root.member("pools"));
    for (key, pool) in &store.pools {
        print_pool(pools.member(key.as_str()), key, pool, part);
    }
    pools.end();
    root.end();
    out
}

fn print_pool(out: &mut String, key: &PoolKey, pool: &GoPool, part: Part) {
    let mut object = Object::begin(out);
    object.text("name", key.as_str());
    let mut entries = Object::begin(object.member("entries"));
    for (name, entry) in &pool.entries {
        print_entry(entries.member(name), entry, part);
    }
    entries.end();
    object.text("last_pool_config", &pool.last_pool_config);
    let last = pool.last_reserved.map(|address| address.to_string());
    object.text("last_reserved_ip", &last.unwrap_or_default());
    object.end();
}

fn print_entry(out: &mut String, entry: &GoEntry, part: Part) {
    let mut object = Object::begin(out);
    object.text("container_id", &entry.owner.container);
    object.text("interface_name", &entry.owner.interface);
    object.text("ip_address", &entry.address.to_string());
    let mut metadata = Object::begin(object.member("metadata"));
    metadata.text("create_time", &entry.created);
    metadata.text("pod_uuid", &entry.pod.uid);
    metadata.text("pod_name", &entry.pod.name);
    metadata.text("pod_namespace", &entry.pod.namespace);
    metadata.text("device_id", &entry.device_id);
    metadata.text("pool_config_snapshot", &entry.pool_config);
    metadata.end();
    if let Some(released) = entry.released.as_ref().filter(|_| part == Part::Written) {
        object.text("released_at", released);
    }
    object.end();
}
