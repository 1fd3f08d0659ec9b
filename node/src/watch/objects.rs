//! The pool objects of one kind, as a watch has them.

use std::collections::BTreeMap;
use std::mem;

use kube::core::DeserializeGuard;
use kube::runtime::watcher::{Error, Event};

use crate::table::{PoolObject, PoolResource, Table};

/// What the API server has answered so far when it was asked for all objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// Nothing.
    None,
    /// That it has no such kind, or that it isn't this daemon's to know.
    Refusal,
    /// All of them; what became of them since is known as well.
    Objects,
}

/// The pool objects of one kind that the API server has.
#[derive(Debug)]
pub(super) struct Objects<K> {
    node: String,
    answer: Answer,
    known: BTreeMap<String, PoolObject<K>>,
    /// A new list, while it comes in. Until it is whole the objects are those that were known before.
    arriving: BTreeMap<String, PoolObject<K>>,
}

impl<K: PoolResource> Objects<K> {
    /// Those that `node` needs.
    pub(super) fn new(node: &str) -> Self {
        Self {
            node: node.to_owned(),
            answer: Answer::None,
            known: BTreeMap::new(),
            arriving: BTreeMap::new(),
        }
    }

    /// Takes note of what the watch came across. Whether anything else may follow from it than before.
    pub(super) fn observe(&mut self, outcome: Result<Event<DeserializeGuard<K>>, Error>) -> bool {
        match outcome {
            Ok(Event::Init) => {
                self.arriving.clear();
                return false;
            }
            Ok(Event::InitApply(object)) => {
                let object = self.reduced(object);
                self.arriving.insert(object.name(), object);
                return false;
            }
            Ok(Event::InitDone) => {
                self.known = mem::take(&mut self.arriving);
                self.answer = Answer::Objects;
            }
            Ok(Event::Apply(object)) => {
                let object = self.reduced(object);
                self.known.insert(object.name(), object);
            }
            Ok(Event::Delete(object)) => {
                self.known.remove(&PoolObject::new(object, &self.node).name());
            }
            Err(error) if self.answer == Answer::None && is_refusal(&error) => self.answer = Answer::Refusal,
            Err(_) => return false,
        }
        true
    }

    fn reduced(&self, object: DeserializeGuard<K>) -> PoolObject<K> {
        let object = PoolObject::new(object, &self.node);
        let before = self.known.get(&object.name());
        object.succeeding(before)
    }

    /// The table that follows on `table` from what is known.
    pub(super) fn followed_from(&self, table: &Table) -> Table {
        if self.are_known() {
            table.follow(self.known.values(), &self.node)
        } else {
            table.clone()
        }
    }

    /// Whether all objects are known.
    pub(super) fn are_known(&self) -> bool {
        self.answer == Answer::Objects
    }

    /// Whether the API server, which has not said which objects there are, refuses to. It need not be for ever.
    pub(super) fn are_refused(&self) -> bool {
        self.answer == Answer::Refusal
    }
}

/// Whether the API server answered, and not with the objects: it doesn't have the kind (its CRD isn't installed), or this
/// daemon has no right to it. The ClusterRole of a Go version that had no CIDRPool yet gives none, and rights are looked at
/// first.
fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::InitialListFailed(kube::Error::Api(status)) if matches!(status.code, 403 | 404))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use api::ippool::IPPool;
    use api::pool_key::{PoolKey, PoolKind};
    use kube::core::Status;
    use serde_json::json;

    use super::*;
    use crate::table::Knowledge;

    fn object(name: &str, first: u8) -> DeserializeGuard<IPPool> {
        beside(name, first, 101)
    }

    /// Its block begins at `first`, that of host-b at `other`.
    fn beside(name: &str, first: u8, other: u8) -> DeserializeGuard<IPPool> {
        let block = |node: &str, first: u8| json!({"nodeName": node, "startIP": format!("10.0.0.{first}"), "endIP": format!("10.0.0.{}", first + 7)});
        serde_json::from_value(json!({
            "apiVersion": "nv-ipam.nvidia.com/v1alpha1", "kind": "IPPool",
            "metadata": {"name": name, "namespace": "kube-system", "uid": format!("uid-of-{name}")},
            "spec": {"subnet": "10.0.0.0/24", "perNodeBlockSize": 8},
            "status": {"allocations": [block("host-a", first), block("host-b", other)]},
        }))
        .unwrap()
    }

    fn listed(objects: &mut Objects<IPPool>, list: &[DeserializeGuard<IPPool>]) {
        objects.observe(Ok(Event::Init));
        for object in list {
            objects.observe(Ok(Event::InitApply(object.clone())));
        }
        objects.observe(Ok(Event::InitDone));
    }

    fn refusal(code: u16) -> Error {
        let status = Status::failure("the server could not find the requested resource", "NotFound");
        Error::InitialListFailed(kube::Error::Api(Box::new(status.with_code(code))))
    }

    fn of_host_a() -> Objects<IPPool> {
        Objects::new("host-a")
    }

    fn names(objects: &Objects<IPPool>) -> Vec<String> {
        let table = objects.followed_from(&Table::default());
        table.pools.keys().map(ToString::to_string).collect()
    }

    #[test]
    fn a_list_counts_when_it_is_whole() {
        let mut objects = of_host_a();
        objects.observe(Ok(Event::Init));
        objects.observe(Ok(Event::InitApply(object("a", 1))));
        assert!(!objects.are_known() && names(&objects).is_empty());
        objects.observe(Ok(Event::InitDone));
        assert_eq!(names(&objects), ["a"]);

        objects.observe(Ok(Event::Init));
        objects.observe(Ok(Event::InitApply(object("b", 1))));
        assert_eq!(names(&objects), ["a"], "as before, until the new list is whole");
        // It broke off, and comes again.
        listed(&mut objects, &[object("c", 1)]);
        assert_eq!(names(&objects), ["c"]);
    }

    #[test]
    fn single_objects_come_and_go() {
        let mut objects = of_host_a();
        listed(&mut objects, &[object("a", 1)]);
        objects.observe(Ok(Event::Apply(object("b", 1))));
        assert_eq!(names(&objects), ["a", "b"]);
        objects.observe(Ok(Event::Delete(object("a", 1))));
        assert_eq!(names(&objects), ["b"]);
    }

    #[test]
    fn only_an_answer_of_the_api_server_is_a_refusal_and_a_list_ends_it() {
        let mut objects = of_host_a();
        let unreachable = kube::Error::Service("connection refused".into());
        objects.observe(Err(Error::InitialListFailed(unreachable)));
        objects.observe(Err(refusal(503)));
        assert!(!objects.are_refused());
        for code in [403, 404] {
            let mut objects = of_host_a();
            objects.observe(Err(refusal(code)));
            assert!(objects.are_refused() && !objects.are_known(), "{code}");
            listed(&mut objects, &[object("a", 1)]);
            assert!(!objects.are_refused() && objects.are_known(), "{code}");
            objects.observe(Err(refusal(code)));
            assert_eq!(
                names(&objects),
                ["a"],
                "a CRD that is gone later takes nothing away"
            );
        }
    }

    #[test]
    fn while_objects_are_not_known_nothing_is_changed() {
        let before = of_host_a().followed_from(&Table::default());
        assert_eq!(before.known.of(PoolKind::IpPool), Knowledge::Nothing);
        let mut objects = of_host_a();
        listed(&mut objects, &[]);
        let after = objects.followed_from(&Table::default());
        assert_eq!(after.known.of(PoolKind::IpPool), Knowledge::Synced);
        assert_eq!(after.known.of(PoolKind::CidrPool), Knowledge::Nothing);
    }

    #[test]
    fn equal_neighbours_are_held_once_and_others_take_their_place() {
        let mut objects = of_host_a();
        listed(&mut objects, &[object("a", 1)]);
        let held = |objects: &Objects<IPPool>| {
            objects.followed_from(&Table::default()).neighbours[&PoolKey::new(PoolKind::IpPool, "a")].clone()
        };
        let before = held(&objects);
        objects.observe(Ok(Event::Apply(object("a", 9))));
        assert!(Arc::ptr_eq(&before, &held(&objects)));
        listed(&mut objects, &[object("a", 1)]);
        assert!(Arc::ptr_eq(&before, &held(&objects)));
        objects.observe(Ok(Event::Apply(beside("a", 1, 201))));
        let holder = |ip: &str| {
            held(&objects)
                .holder_of(ip.parse().unwrap())
                .node()
                .map(str::to_owned)
        };
        assert_eq!(
            (holder("10.0.0.101"), holder("10.0.0.201")),
            (None, Some("host-b".to_owned()))
        );
    }
}
