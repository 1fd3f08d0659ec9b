//! The rules of contract B.12 that the API server itself can refuse a spec by: CEL expressions, and the limits that keep
//! their cost bounded. Data only; crd-gen puts it into the schemas.
//!
//! The parsers ([`crate::ippool_config`], [`crate::cidrpool_config`]) know every rule; this is the part of it that CEL can
//! say, for clusters in which no webhook runs. CEL can't order two addresses, sees no index of a list's entry from the
//! spec, and pays for every step, so an entry's order, and the uniqueness of static allocations beyond the first
//! [`COMPARED`], are left to the webhook and the controller.
//!
//! What makes a rule safe for objects that were stored before it:
//! * It sits on `spec` or below, never on the root: an update that leaves `spec` as it is (of the status, of metadata) then
//!   only warns (CRD ratcheting, Kubernetes 1.30 and later).
//! * It is never evaluated to an error, and never exceeds what an evaluation may cost (1,000,000 units): neither is ratcheted.
//!   Hence every `cidr(...)` and `ip(...)` stands behind an `isCIDR` or `isIP` of the same text, and a rule that goes over a
//!   list is true of one with more than [`MOST_ENTRIES`] entries, each of which costs 30 units at most.
//!
//! The functions for addresses are Kubernetes 1.31's; nothing newer is used. Texts are those of the parsers. Where the
//! API server omits the value (a rule on `spec` has the whole spec as its value) the message begins with it. Messages are
//! made with `format`, because the estimated cost of a `+` is that of the longest request if a text comes out of a `filter`.

use serde::Serialize;

mod cidrpool;
mod ippool;
mod network;
mod selector;

pub use cidrpool::{COMPARED, cidrpool};
pub use ippool::ippool;

/// What a kind's schema gets beyond types and descriptions.
#[derive(Clone, Debug, PartialEq)]
pub struct Additions {
    /// Rules, each with the place of its schema.
    pub rules: Vec<(Place, Rule)>,
    /// Limits of values, each with the place of its schema.
    pub limits: Vec<(Place, Limit)>,
}

/// Where a schema is: `spec.exclusions[].startIP`.
pub type Place = &'static str;

/// One entry of a schema's `x-kubernetes-validations`, as it is written there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// True if the value is valid. A CEL expression of `self`, never an error.
    pub rule: String,
    /// What is wrong.
    pub message: &'static str,
    /// What is wrong, with the value: a CEL expression that is evaluated when `rule` is false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_expression: Option<String>,
    /// The field below that is wrong, `.gateway`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field_path: Option<&'static str>,
    /// What kind of fault it is; an invalid value if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

/// Kinds of faults, in the words of Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Reason {
    /// There is no value, and one is needed.
    #[serde(rename = "FieldValueRequired")]
    Required,
    /// There is a value, and there can't be one.
    #[serde(rename = "FieldValueForbidden")]
    Forbidden,
}

/// A limit of plain OpenAPI, which costs no CEL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// So many characters at most.
    MaxLength(u32),
    /// So many entries at most.
    MaxItems(u32),
    /// This regular expression.
    Pattern(&'static str),
}

impl Rule {
    fn new(rule: impl Into<String>, message: &'static str) -> Self {
        Self {
            rule: rule.into(),
            message,
            message_expression: None,
            field_path: None,
            reason: None,
        }
    }

    fn at(self, field_path: &'static str) -> Self {
        Self {
            field_path: Some(field_path),
            ..self
        }
    }

    fn because(self, reason: Reason) -> Self {
        Self {
            reason: Some(reason),
            ..self
        }
    }

    fn saying(self, expression: impl Into<String>) -> Self {
        Self {
            message_expression: Some(expression.into()),
            ..self
        }
    }

    /// Says the text that the expression `value` gives, in quotes, before the message.
    fn naming(self, value: &str) -> Self {
        let expression = format!("'\"%s\": {}'.format([{value}])", in_quotes(self.message));
        self.saying(expression)
    }

    /// Says the number that the expression `value` gives before the message.
    fn counting(self, value: &str) -> Self {
        let expression = format!("'%d: {}'.format([{value}])", in_quotes(self.message));
        self.saying(expression)
    }
}

/// A text as it stands between apostrophes.
fn in_quotes(text: &str) -> String {
    text.replace('\'', "\\'")
}

/// A fault that entries of a list can have.
struct EntryFault {
    /// The list, `self.routes`.
    list: &'static str,
    /// What the expression calls an entry.
    entry: &'static str,
    /// An expression that is true if the entry has the fault.
    fault: String,
}

impl EntryFault {
    /// An expression that is true if no entry has the fault, and of a list that is absent or longer than it may be.
    fn nowhere(&self) -> String {
        let Self { list, entry, fault } = self;
        format!("(!has({list}) || {list}.size() > {MOST_ENTRIES} || !{list}.exists({entry}, {fault}))")
    }

    /// The first entry that has it, when there is one.
    fn first(&self) -> String {
        let Self { list, entry, fault } = self;
        format!("{list}.filter({entry}, {fault})[0]")
    }

    /// The rule that no entry has the fault if the expression `premise` is true. Where it says so, the expressions `values` are
    /// put into `text`; if the list is long it says `message` only, because to find an entry costs more than to see that there
    /// is one.
    fn rule(&self, premise: &str, message: &'static str, text: &str, values: &[&str]) -> Rule {
        let list = self.list;
        let (short, text, values) = (in_quotes(message), in_quotes(text), values.join(", "));
        Rule::new(format!("!{premise} || {}", self.nowhere()), message)
            .at(list.trim_start_matches("self"))
            .saying(format!(
                "{list}.size() > {MOST_SEARCHED} ? '{short}' : '{text}'.format([{values}])"
            ))
    }
}

/// The longest address in text: IPv6 with an IPv4 part.
const ADDRESS: Limit = Limit::MaxLength(45);

/// An address with the longest prefix length.
const CIDR: Limit = Limit::MaxLength(49);

/// A node's name.
const NODE_NAME: Limit = Limit::MaxLength(253);

/// The most entries that a list may have: the cost of the rules is bounded by it. About as many fit into an object of 1.5 MB,
/// the most that etcd stores by default.
pub const MOST_ENTRIES: u32 = 32_768;

/// The most entries of a list that are searched for the one to name.
const MOST_SEARCHED: u32 = 10_000;

const ENTRIES: Limit = Limit::MaxItems(MOST_ENTRIES);

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<(Place, Rule)> {
        [ippool().rules, cidrpool().rules].concat()
    }

    #[test]
    fn no_rule_sits_on_the_root() {
        for (place, rule) in all() {
            let below = place == "spec" || place.starts_with("spec.");
            assert!(below, "{place}: {}", rule.rule);
        }
    }

    /// An evaluation error is not ratcheted: the status of an object stored before the rule could never be written again.
    #[test]
    fn nothing_is_parsed_that_was_not_looked_at_before() {
        for (place, rule) in all() {
            for parsed in ["cidr(", "ip("] {
                for (at, _) in rule.rule.match_indices(parsed) {
                    let (before, rest) = rule.rule.split_at(at);
                    let argument = rest[parsed.len()..].split(')').next().unwrap_or_default();
                    // `.ip()`, which parses nothing.
                    if argument.is_empty() {
                        continue;
                    }
                    let looked = ["isCIDR", "isIP"].map(|look| format!("{look}({argument})"));
                    assert!(
                        looked.iter().any(|look| before.contains(look)),
                        "{place}: {argument} in {}",
                        rule.rule
                    );
                }
            }
        }
    }

    #[test]
    fn every_rule_has_a_message_of_its_own_words() {
        for (place, rule) in all() {
            assert!(!rule.message.is_empty() && rule.message.len() < 200, "{place}");
            assert!(!rule.message.contains('\n'), "{place}");
        }
    }

    #[test]
    fn a_message_with_an_apostrophe_is_quoted() {
        let rule = Rule::new("self", "if 'a' is b").naming("self.a");
        assert_eq!(
            rule.message_expression.as_deref(),
            Some(r#"'"%s": if \'a\' is b'.format([self.a])"#)
        );
    }
}
