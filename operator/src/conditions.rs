//! Conditions in a status, as Kubernetes' API conventions have them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// How long a condition's message may get, in bytes. Every daemon reads it.
const MESSAGE_LIMIT: usize = 2048;

/// How many names a message lists before it counts the rest.
const LISTED: usize = 10;

/// What a condition is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Type of the condition.
    pub condition: &'static str,
    /// `None` is `Unknown`.
    pub holds: Option<bool>,
    /// A word for programs.
    pub reason: &'static str,
    /// A sentence for people. It is shortened if it is too long.
    pub message: String,
}

/// Makes `conditions` say `verdict` of the spec of this generation. The time of the last transition changes only when the
/// condition's status does; other conditions, whoever wrote them, stay as they are.
pub fn set(conditions: &mut Vec<Condition>, verdict: Verdict, generation: Option<i64>, now: &Time) {
    let status = match verdict.holds {
        Some(true) => "True",
        Some(false) => "False",
        None => "Unknown",
    };
    let previous = conditions.iter_mut().find(|c| c.type_ == verdict.condition);
    let last_transition_time = match &previous {
        Some(previous) if previous.status == status => previous.last_transition_time.clone(),
        _ => now.clone(),
    };
    let condition = Condition {
        type_: verdict.condition.to_owned(),
        status: status.to_owned(),
        reason: verdict.reason.to_owned(),
        message: bounded(verdict.message),
        observed_generation: generation,
        last_transition_time,
    };
    match previous {
        Some(previous) => *previous = condition,
        None => conditions.push(condition),
    }
}

/// `text`, cut where it gets too long for a message.
#[must_use]
pub fn bounded(text: String) -> String {
    const CUT: &str = " ...";
    if text.len() > MESSAGE_LIMIT {
        format!("{}{CUT}", beginning(&text, MESSAGE_LIMIT - CUT.len()))
    } else {
        text
    }
}

/// As much of `text` as fits into `limit` bytes.
#[must_use]
pub fn beginning(text: &str, limit: usize) -> &str {
    let end = (0..=limit.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

/// The first few of `items`, and how many more there are: `a, b, c and 7 more`.
pub fn listed<T: AsRef<str>>(items: &[T]) -> String {
    let (first, rest) = items.split_at(items.len().min(LISTED));
    let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
    let first = first.join(", ");
    if rest.is_empty() {
        first
    } else {
        format!("{first} and {} more", rest.len())
    }
}

/// `1 node`, `2 nodes`.
#[must_use]
pub fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    fn at(second: i64) -> Time {
        Time(Timestamp::from_second(second).unwrap())
    }

    fn verdict(holds: Option<bool>, message: &str) -> Verdict {
        Verdict {
            condition: "SpecValid",
            holds,
            reason: "Because",
            message: message.to_owned(),
        }
    }

    #[test]
    fn the_transition_time_changes_only_with_the_status() {
        let mut conditions = Vec::new();
        set(&mut conditions, verdict(Some(true), "a"), Some(1), &at(1));
        set(&mut conditions, verdict(Some(true), "b"), Some(2), &at(2));
        assert_eq!(conditions.len(), 1);
        assert_eq!(conditions[0].last_transition_time, at(1));
        assert_eq!(
            (conditions[0].message.as_str(), conditions[0].observed_generation),
            ("b", Some(2))
        );
        set(&mut conditions, verdict(None, "b"), Some(2), &at(3));
        assert_eq!(
            (conditions[0].status.as_str(), &conditions[0].last_transition_time),
            ("Unknown", &at(3))
        );
    }

    #[test]
    fn conditions_of_others_stay() {
        let mut conditions = Vec::new();
        set(&mut conditions, verdict(Some(true), ""), None, &at(1));
        let foreign = Condition {
            type_: "Foreign".to_owned(),
            ..conditions[0].clone()
        };
        conditions.insert(0, foreign.clone());
        set(&mut conditions, verdict(Some(false), ""), None, &at(2));
        assert_eq!((conditions.len(), &conditions[0]), (2, &foreign));
    }

    #[test]
    fn messages_are_bounded() {
        assert_eq!(bounded("short".to_owned()), "short");
        let long = bounded("ä".repeat(MESSAGE_LIMIT));
        assert!(long.len() <= MESSAGE_LIMIT && long.ends_with("ä ..."));
        let names: Vec<String> = (0..12).map(|i| format!("n{i}")).collect();
        assert_eq!(
            listed(&names),
            "n0, n1, n2, n3, n4, n5, n6, n7, n8, n9 and 2 more"
        );
        assert_eq!(listed(&names[..2]), "n0, n1");
    }
}
