//! What a watch has told so far.

use std::collections::BTreeMap;
use std::mem;

use kube::runtime::watcher::Event;

/// An object in a cache.
pub trait Cached: Sized {
    /// Its name, by which it is found.
    fn name(&self) -> &str;

    /// Whether nothing about it differs from `earlier`.
    fn same_as(&self, earlier: &Self) -> bool;

    /// Whether it is a later state than `known`, as far as can be told.
    fn supersedes(&self, known: &Self) -> bool;
}

/// The objects of one kind, by name.
#[derive(Debug)]
pub struct Cache<T> {
    objects: BTreeMap<String, T>,
    /// A list that is being received. What was known before holds until it is complete.
    listing: BTreeMap<String, T>,
    synced: bool,
}

/// An object of which something changed. What it is now, if it still is, stands in the cache.
#[derive(Debug, PartialEq, Eq)]
pub struct Change<T> {
    /// Its name.
    pub name: String,
    /// What it was, if it was.
    pub before: Option<T>,
}

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            listing: BTreeMap::new(),
            synced: false,
        }
    }
}

impl<T: Cached> Cache<T> {
    /// Whether a complete list has been received.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.synced
    }

    /// Every object, by name.
    #[must_use]
    pub fn objects(&self) -> &BTreeMap<String, T> {
        &self.objects
    }

    /// The object of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&T> {
        self.objects.get(name)
    }

    /// Takes in what the watch says, and tells what changed by it. The order of the changes is that of the names.
    ///
    /// A list is believed as a whole. An event that is older than what is known, because the API server answered a write
    /// before the watch told of it, changes nothing.
    pub fn apply(&mut self, event: Event<T>) -> Vec<Change<T>> {
        match event {
            Event::Init => {
                self.listing.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                self.listing.insert(object.name().to_owned(), object);
                Vec::new()
            }
            Event::InitDone => {
                self.synced = true;
                let listed = mem::take(&mut self.listing);
                self.replace(listed)
            }
            Event::Apply(object) => self.learn(object).into_iter().collect(),
            Event::Delete(object) => {
                // Deleted, and made again before the watch told of the former.
                if self
                    .get(object.name())
                    .is_some_and(|known| !object.supersedes(known))
                {
                    return Vec::new();
                }
                self.forget(object.name()).into_iter().collect()
            }
        }
    }

    /// Takes in one object, unless a later state of it is known.
    pub fn learn(&mut self, object: T) -> Option<Change<T>> {
        let known = self.objects.get(object.name());
        if known.is_some_and(|known| object.same_as(known) || !object.supersedes(known)) {
            return None;
        }
        let name = object.name().to_owned();
        let before = self.objects.insert(name.clone(), object);
        Some(Change { name, before })
    }

    fn forget(&mut self, name: &str) -> Option<Change<T>> {
        let (name, before) = self.objects.remove_entry(name)?;
        Some(Change {
            name,
            before: Some(before),
        })
    }

    fn replace(&mut self, listed: BTreeMap<String, T>) -> Vec<Change<T>> {
        let mut before = mem::replace(&mut self.objects, listed);
        let mut changes: Vec<Change<T>> = self
            .objects
            .iter()
            .filter_map(|(name, now)| match before.remove(name) {
                Some(earlier) if now.same_as(&earlier) => None,
                before => Some(Change {
                    name: name.clone(),
                    before,
                }),
            })
            .collect();
        changes.extend(before.into_iter().map(|(name, object)| Change {
            name,
            before: Some(object),
        }));
        changes.sort_by(|a, b| a.name.cmp(&b.name));
        changes
    }
}

/// `event` about something else.
pub fn map<A, B>(event: Event<A>, f: impl FnOnce(A) -> B) -> Event<B> {
    match event {
        Event::Apply(a) => Event::Apply(f(a)),
        Event::Delete(a) => Event::Delete(f(a)),
        Event::Init => Event::Init,
        Event::InitApply(a) => Event::InitApply(f(a)),
        Event::InitDone => Event::InitDone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name and version.
    #[derive(Clone, Debug, PartialEq, Eq)]
    struct Thing(&'static str, u32);

    impl Cached for Thing {
        fn name(&self) -> &str {
            self.0
        }
        fn same_as(&self, earlier: &Self) -> bool {
            self == earlier
        }
        fn supersedes(&self, known: &Self) -> bool {
            self.1 >= known.1
        }
    }

    fn change(name: &str, before: Option<Thing>) -> Change<Thing> {
        Change {
            name: name.to_owned(),
            before,
        }
    }

    fn list(cache: &mut Cache<Thing>, things: &[Thing]) -> Vec<Change<Thing>> {
        cache.apply(Event::Init);
        for thing in things {
            assert_eq!(cache.apply(Event::InitApply(thing.clone())), []);
        }
        cache.apply(Event::InitDone)
    }

    #[test]
    fn a_second_list_tells_only_what_differs() {
        let mut cache = Cache::default();
        assert!(!cache.is_synced());
        let changes = list(&mut cache, &[Thing("a", 1), Thing("b", 1), Thing("c", 1)]);
        assert_eq!(changes.len(), 3);
        assert!(cache.is_synced());
        let changes = list(&mut cache, &[Thing("a", 1), Thing("c", 2), Thing("d", 1)]);
        assert_eq!(
            changes,
            [
                change("b", Some(Thing("b", 1))),
                change("c", Some(Thing("c", 1))),
                change("d", None)
            ]
        );
    }

    #[test]
    fn what_was_known_holds_until_a_list_is_complete() {
        let mut cache = Cache::default();
        list(&mut cache, &[Thing("a", 1)]);
        cache.apply(Event::Init);
        cache.apply(Event::InitApply(Thing("b", 1)));
        assert!(cache.get("a").is_some() && cache.get("b").is_none());
        cache.apply(Event::Init);
        assert_eq!(
            cache.apply(Event::InitDone),
            [change("a", Some(Thing("a", 1)))],
            "the list began again"
        );
    }

    #[test]
    fn an_event_that_is_older_than_an_answer_changes_nothing() {
        let mut cache = Cache::default();
        list(&mut cache, &[Thing("a", 1)]);
        assert_eq!(cache.learn(Thing("a", 3)), Some(change("a", Some(Thing("a", 1)))));
        assert_eq!(cache.apply(Event::Apply(Thing("a", 2))), []);
        assert_eq!(
            cache.apply(Event::Apply(Thing("a", 3))),
            [],
            "what the answer said already"
        );
        assert_eq!(cache.apply(Event::Delete(Thing("a", 2))), []);
        assert_eq!(cache.get("a"), Some(&Thing("a", 3)));
        assert_eq!(
            cache.apply(Event::Delete(Thing("a", 4))),
            [change("a", Some(Thing("a", 3)))]
        );
    }
}
