//! What planning a pool found out, and how it is told: in conditions, which stay, and in events, which are said once.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::conditions::{Verdict, bounded, counted, listed, set};

/// Condition: whether the spec can be followed.
pub const SPEC_VALID: &str = "SpecValid";
/// Condition: whether every selected node has a range.
pub const NODES_ALLOCATED: &str = "NodesAllocated";
/// Condition: whether entries stand that no longer fit.
pub const STALE_ALLOCATIONS: &str = "StaleAllocations";

/// Reason of events and conditions: the spec breaks a rule.
pub const INVALID_SPEC: &str = "InvalidSpec";

/// Reason of events and conditions: an entry says no range, so nobody knows which addresses its node uses.
pub const UNREADABLE: &str = "UnreadableAllocations";

/// How many nodes of one plan get an event of their own. The condition counts all of them.
const EVENTS_AT_ONCE: usize = 25;

/// What planning a pool found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Findings {
    /// The spec breaks these rules; nothing is dealt.
    Invalid(String),
    /// The spec can be followed.
    Valid {
        /// Selected nodes that get no range because none is free, in name order.
        without_range: Vec<String>,
        /// Entries that stand although they no longer fit: name of the node, and why.
        stale: Vec<(String, String)>,
    },
    /// The spec can be followed, but entries say no range. Their nodes go on with what they said before, which nobody else
    /// knows: nothing is dealt.
    Unreadable {
        /// These entries, for people, in the order of the status; at least one.
        entries: Vec<String>,
        /// As in [`Findings::Valid`].
        stale: Vec<(String, String)>,
    },
}

/// Words that differ between the kinds of pools.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// Why an entry is stale whose text says no range.
    pub no_range: &'static str,
    /// Reason of events and conditions: no range is free.
    pub no_room: &'static str,
    /// Text of the event that says so of a node, contract B.8.
    pub no_room_event: fn(&str) -> String,
}

/// One event to be said of a pool.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Notice {
    /// A word for programs.
    pub reason: &'static str,
    /// A sentence for people.
    pub message: String,
}

/// What has been said of a pool in events, so that nothing is said twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// The rules that its spec breaks.
    invalid: Option<String>,
    /// The entries that say no range.
    unreadable: Option<String>,
    /// Nodes without a range.
    without_range: BTreeSet<String>,
}

impl Findings {
    /// Makes `conditions` say it.
    pub fn write(&self, conditions: &mut Vec<Condition>, words: Words, generation: Option<i64>, now: &Time) {
        for verdict in self.verdicts(words) {
            set(conditions, verdict, generation, now);
        }
    }

    fn verdicts(&self, words: Words) -> [Verdict; 3] {
        let verdict = |condition, holds, reason, message| Verdict {
            condition,
            holds,
            reason,
            message,
        };
        let spec_is_valid = || verdict(SPEC_VALID, Some(true), "Valid", "the spec is followed".to_owned());
        let fit = |stale: &[(String, String)]| {
            if stale.is_empty() {
                let message = "every allocation fits node, selector and spec".to_owned();
                verdict(STALE_ALLOCATIONS, Some(false), "AllFit", message)
            } else {
                let message = stale_message(stale);
                verdict(STALE_ALLOCATIONS, Some(true), "SomeDoNotFit", message)
            }
        };
        match self {
            Self::Invalid(text) => {
                let unknown = |condition| {
                    let message = "not known while the spec is invalid; what is allocated stands".to_owned();
                    verdict(condition, None, INVALID_SPEC, message)
                };
                [
                    verdict(SPEC_VALID, Some(false), INVALID_SPEC, text.clone()),
                    unknown(NODES_ALLOCATED),
                    unknown(STALE_ALLOCATIONS),
                ]
            }
            Self::Valid { without_range, stale } => [
                spec_is_valid(),
                if without_range.is_empty() {
                    let message = "every selected node has a range".to_owned();
                    verdict(NODES_ALLOCATED, Some(true), "RangesAllocated", message)
                } else {
                    verdict(
                        NODES_ALLOCATED,
                        Some(false),
                        words.no_room,
                        no_room(without_range),
                    )
                },
                fit(stale),
            ],
            Self::Unreadable { entries, stale } => [
                spec_is_valid(),
                verdict(NODES_ALLOCATED, Some(false), UNREADABLE, unreadable(entries)),
                fit(stale),
            ],
        }
    }

    /// The events that it takes, and what has been said after them. Without `before`, as after a start, `conditions` tell
    /// what was said.
    #[must_use]
    pub fn notices(
        &self,
        before: Option<&Said>,
        conditions: &[Condition],
        words: Words,
    ) -> (Vec<Notice>, Said) {
        let before = before.map_or_else(|| self.told_by(conditions, words), Said::clone);
        match self {
            Self::Invalid(text) => {
                let text = bounded(text.clone());
                let notice = Notice {
                    reason: INVALID_SPEC,
                    message: text.clone(),
                };
                let news = before.invalid.as_ref() != Some(&text);
                let said = Said {
                    invalid: Some(text),
                    ..before
                };
                (news.then_some(notice).into_iter().collect(), said)
            }
            Self::Unreadable { entries, .. } => {
                let text = bounded(unreadable(entries));
                let notice = Notice {
                    reason: UNREADABLE,
                    message: text.clone(),
                };
                let news = before.unreadable.as_ref() != Some(&text);
                let said = Said {
                    invalid: None,
                    unreadable: Some(text),
                    ..before
                };
                (news.then_some(notice).into_iter().collect(), said)
            }
            Self::Valid { without_range, .. } => {
                let notices = without_range
                    .iter()
                    .filter(|node| !before.without_range.contains(*node))
                    .take(EVENTS_AT_ONCE)
                    .map(|node| Notice {
                        reason: words.no_room,
                        message: (words.no_room_event)(node),
                    })
                    .collect();
                let said = Said {
                    invalid: None,
                    unreadable: None,
                    without_range: without_range.iter().cloned().collect(),
                };
                (notices, said)
            }
        }
    }

    /// What conditions that an earlier process left say that it has said.
    fn told_by(&self, conditions: &[Condition], words: Words) -> Said {
        let message = |type_: &str, reason: &str| {
            conditions
                .iter()
                .find(|c| c.type_ == type_ && c.status == "False" && c.reason == reason)
                .map(|c| c.message.clone())
        };
        let without_range = match (message(NODES_ALLOCATED, words.no_room), self) {
            (None, _) => BTreeSet::new(),
            // The message counts the nodes that it doesn't name: the same message, the same nodes.
            (Some(told), Self::Valid { without_range, .. }) if told == bounded(no_room(without_range)) => {
                without_range.iter().cloned().collect()
            }
            (Some(told), _) => names_in(&told),
        };
        Said {
            invalid: message(SPEC_VALID, INVALID_SPEC),
            unreadable: message(NODES_ALLOCATED, UNREADABLE),
            without_range,
        }
    }
}

fn no_room(without_range: &[String]) -> String {
    let nodes = counted(without_range.len(), "node", "nodes");
    format!("no free range for {nodes}: {}", listed(without_range))
}

fn unreadable(entries: &[String]) -> String {
    let count = counted(entries.len(), "entry", "entries");
    let entries = listed(entries);
    // What to do comes first: the rest may be cut.
    format!(
        "no range is dealt until an administrator restores or removes {count} without a readable range: {entries}"
    )
}

/// The nodes that a text of [`no_room`] names, among other words.
fn names_in(text: &str) -> BTreeSet<String> {
    text.split([' ', ','])
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

fn stale_message(stale: &[(String, String)]) -> String {
    let entries: Vec<String> = stale
        .iter()
        .map(|(node, reason)| format!("{node} ({reason})"))
        .collect();
    let (entries, no_longer) = (listed(&entries), counted(stale.len(), "entry", "entries"));
    format!("{no_longer} no longer fit, and stand until an administrator removes them: {entries}")
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    const WORDS: Words = Words {
        no_range: "no range",
        no_room: "NoFreeRanges",
        no_room_event: |node| format!("none for {node}"),
    };

    fn short(nodes: &[&str]) -> Findings {
        Findings::Valid {
            without_range: nodes.iter().map(|n| (*n).to_owned()).collect(),
            stale: Vec::new(),
        }
    }

    fn conditions(findings: &Findings) -> Vec<Condition> {
        let mut conditions = Vec::new();
        findings.write(&mut conditions, WORDS, Some(1), &Time(Timestamp::UNIX_EPOCH));
        conditions
    }

    fn messages(notices: &[Notice]) -> Vec<&str> {
        notices.iter().map(|n| n.message.as_str()).collect()
    }

    #[test]
    fn a_node_without_range_is_said_once() {
        let (notices, said) = short(&["a"]).notices(None, &[], WORDS);
        assert_eq!(messages(&notices), ["none for a"]);
        let (notices, said) = short(&["a", "b"]).notices(Some(&said), &[], WORDS);
        assert_eq!(messages(&notices), ["none for b"]);
        assert_eq!(short(&["a", "b"]).notices(Some(&said), &[], WORDS).0, []);
        let (_, said) = short(&["b"]).notices(Some(&said), &[], WORDS);
        let (notices, _) = short(&["a", "b"]).notices(Some(&said), &[], WORDS);
        assert_eq!(messages(&notices), ["none for a"], "it had one in between");
    }

    #[test]
    fn a_restart_says_again_only_what_the_condition_does_not_tell() {
        let many: Vec<String> = (0..15).map(|i| format!("n{i:02}")).collect();
        let mut many: Vec<&str> = many.iter().map(String::as_str).collect();
        let left = conditions(&short(&many));
        assert_eq!(short(&many).notices(None, &left, WORDS).0, []);
        many.push("n99");
        let (notices, _) = short(&many).notices(None, &left, WORDS);
        assert_eq!(
            messages(&notices).first(),
            Some(&"none for n10"),
            "the first that isn't named"
        );
        assert_eq!(messages(&notices).last(), Some(&"none for n99"));
    }

    #[test]
    fn a_flood_of_nodes_is_not_a_flood_of_events() {
        let many: Vec<String> = (0..1000).map(|i| format!("n{i}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let (notices, said) = short(&many).notices(None, &[], WORDS);
        assert_eq!(notices.len(), EVENTS_AT_ONCE);
        assert_eq!(short(&many).notices(Some(&said), &[], WORDS).0, []);
    }

    #[test]
    fn an_invalid_spec_is_said_once_for_each_text() {
        let invalid = |text: &str| Findings::Invalid(text.to_owned());
        let (notices, said) = invalid("x").notices(None, &[], WORDS);
        assert_eq!(
            (notices[0].reason, messages(&notices)),
            ("InvalidSpec", vec!["x"])
        );
        assert_eq!(invalid("x").notices(Some(&said), &[], WORDS).0, []);
        assert_eq!(messages(&invalid("y").notices(Some(&said), &[], WORDS).0), ["y"]);
        assert_eq!(
            invalid("x").notices(None, &conditions(&invalid("x")), WORDS).0,
            [],
            "a restart"
        );
        let (_, said) = short(&[]).notices(Some(&said), &[], WORDS);
        assert_eq!(
            messages(&invalid("x").notices(Some(&said), &[], WORDS).0),
            ["x"],
            "it was valid in between"
        );
    }

    #[test]
    fn an_invalid_spec_does_not_forget_who_was_told_of_no_room() {
        let (_, said) = short(&["a"]).notices(None, &[], WORDS);
        let (_, said) = Findings::Invalid("x".to_owned()).notices(Some(&said), &[], WORDS);
        assert_eq!(short(&["a"]).notices(Some(&said), &[], WORDS).0, []);
    }

    #[test]
    fn unreadable_entries_are_said_once_for_each_set_of_them_and_what_to_do() {
        let unreadable = |entries: &[&str]| Findings::Unreadable {
            entries: entries.iter().map(|e| (*e).to_owned()).collect(),
            stale: Vec::new(),
        };
        let (_, said) = short(&["c"]).notices(None, &[], WORDS);
        let (notices, said) = unreadable(&["a"]).notices(Some(&said), &[], WORDS);
        let text = "no range is dealt until an administrator restores or removes 1 entry without a readable range: a";
        assert_eq!(notices[0].reason, "UnreadableAllocations");
        assert_eq!(messages(&notices), [text]);
        assert_eq!(unreadable(&["a"]).notices(Some(&said), &[], WORDS).0, []);
        let left = conditions(&unreadable(&["a"]));
        assert_eq!(
            (left[1].status.as_str(), left[1].message.as_str()),
            ("False", text)
        );
        assert_eq!(unreadable(&["a"]).notices(None, &left, WORDS).0, [], "a restart");
        assert_eq!(
            unreadable(&["a", "b"]).notices(Some(&said), &[], WORDS).0.len(),
            1
        );
        let (notices, said) = short(&["c"]).notices(Some(&said), &[], WORDS);
        assert_eq!(notices, [], "that it has no range was said before");
        assert_eq!(
            messages(&unreadable(&["a"]).notices(Some(&said), &[], WORDS).0),
            [text],
            "it was readable in between"
        );
    }

    #[test]
    fn conditions_name_the_first_and_count_the_rest() {
        let stale = (0..12)
            .map(|i| (format!("n{i}"), "node is gone".to_owned()))
            .collect();
        let findings = Findings::Valid {
            without_range: vec!["b".to_owned()],
            stale,
        };
        let conditions = conditions(&findings);
        let told: Vec<_> = conditions
            .iter()
            .map(|c| {
                (
                    c.type_.as_str(),
                    c.status.as_str(),
                    c.reason.as_str(),
                    c.observed_generation,
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("SpecValid", "True", "Valid", Some(1)),
                ("NodesAllocated", "False", "NoFreeRanges", Some(1)),
                ("StaleAllocations", "True", "SomeDoNotFit", Some(1)),
            ]
        );
        assert_eq!(conditions[1].message, "no free range for 1 node: b");
        assert!(conditions[2].message.starts_with(
            "12 entries no longer fit, and stand until an administrator removes them: n0 (node is gone), "
        ));
        assert!(conditions[2].message.ends_with("and 2 more"));
    }
}
