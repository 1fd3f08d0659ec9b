//! What makes a spec invalid, said of the field that is wrong. The rules are those of contract B.12, in its words.

use std::{fmt, io};

use k8s_openapi::api::core::v1::{NodeSelector, NodeSelectorRequirement, NodeSelectorTerm};

/// One broken rule, written as Kubernetes writes them: `spec.subnet: Invalid value: "x": is invalid subnet`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {fault}")]
pub struct FieldError {
    /// Path of the field, `spec.exclusions[0].startIP`.
    pub field: String,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It has a value that it can't have; the value as JSON, and why.
    Invalid(String, String),
    /// It has no value and needs one.
    Required(String),
    /// It has a value and can't have one.
    Forbidden(String),
    /// So many more rules are broken than are said one by one.
    More(usize),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(value, detail) => write!(f, "Invalid value: {value}: {detail}"),
            Self::Required(detail) => write!(f, "Required value: {detail}"),
            Self::Forbidden(detail) => write!(f, "Forbidden: {detail}"),
            Self::More(count) => write!(f, "Invalid: {count} more rules are broken"),
        }
    }
}

/// Every broken rule of one object, at least one; displayed as one text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct FieldErrors(pub Vec<FieldError>);

impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0[..] {
            [only] => only.fmt(f),
            all => {
                let texts: Vec<String> = all.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", texts.join(", "))
            }
        }
    }
}

/// So much of a value is repeated when it is said to be invalid, in bytes: it may be a list with thousands of entries.
const REPEATED: usize = 512;

/// So many broken rules of one object are said one by one.
const SAID: usize = 100;

/// Collects the faults of one object.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    said: Vec<FieldError>,
    more: usize,
}

impl Faults {
    pub(crate) fn invalid(
        &mut self,
        field: impl Into<String>,
        value: impl serde::Serialize,
        detail: impl Into<String>,
    ) {
        self.push(field, || Fault::Invalid(beginning(&value), detail.into()));
    }

    fn required(&mut self, field: impl Into<String>, detail: &str) {
        self.push(field, || Fault::Required(detail.to_owned()));
    }

    pub(crate) fn forbidden(&mut self, field: impl Into<String>, detail: &str) {
        self.push(field, || Fault::Forbidden(detail.to_owned()));
    }

    fn push(&mut self, field: impl Into<String>, fault: impl FnOnce() -> Fault) {
        if self.said.len() < SAID {
            self.said.push(FieldError {
                field: field.into(),
                fault: fault(),
            });
        } else {
            self.more += 1;
        }
    }

    /// `value`, if no fault was found.
    pub(crate) fn or<T>(mut self, value: Option<T>) -> Result<T, FieldErrors> {
        match value {
            Some(value) if self.said.is_empty() => Ok(value),
            _ => {
                if self.more > 0 {
                    self.said.push(FieldError {
                        field: "spec".to_owned(),
                        fault: Fault::More(self.more),
                    });
                }
                Err(FieldErrors(self.said))
            }
        }
    }
}

/// `value` as JSON, as far as it is repeated. It costs no more than what is repeated.
fn beginning(value: &impl serde::Serialize) -> String {
    let mut json = Beginning(Vec::new());
    let whole = serde_json::to_writer(&mut json, value).is_ok();
    let mut text = String::from_utf8_lossy(&json.0).into_owned();
    if !whole {
        text.push_str(" ...");
    }
    text
}

/// Takes the first bytes, and fails from then on.
struct Beginning(Vec<u8>);

impl io::Write for Beginning {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match bytes.len().min(REPEATED - self.0.len()) {
            0 if !bytes.is_empty() => Err(io::ErrorKind::WriteZero.into()),
            room => {
                self.0.extend_from_slice(&bytes[..room]);
                Ok(room)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether `name` can name a CNI network (CNI spec, "Network configuration format"): a pool is named by default as its
/// network is.
#[must_use]
pub fn is_network_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

/// The rules for node selectors. The paths start at `spec.nodeSelectorTerms`, as the Go version has them.
pub(crate) fn node_selector(selector: &NodeSelector, faults: &mut Faults) {
    let path = "spec.nodeSelectorTerms";
    if selector.node_selector_terms.is_empty() {
        faults.required(path, "must have at least one node selector term");
    }
    for (i, term) in selector.node_selector_terms.iter().enumerate() {
        node_selector_term(term, &format!("{path}[{i}]"), faults);
    }
}

fn node_selector_term(term: &NodeSelectorTerm, path: &str, faults: &mut Faults) {
    for (j, requirement) in term.match_expressions.iter().flatten().enumerate() {
        match_expression(requirement, &format!("{path}.matchExpressions[{j}]"), faults);
    }
    for (j, requirement) in term.match_fields.iter().flatten().enumerate() {
        match_field(requirement, &format!("{path}.matchFields[{j}]"), faults);
    }
}

fn match_expression(requirement: &NodeSelectorRequirement, path: &str, faults: &mut Faults) {
    let values = requirement.values.as_deref().unwrap_or_default();
    let field = format!("{path}.values");
    match requirement.operator.as_str() {
        "In" | "NotIn" if values.is_empty() => {
            faults.required(field, "must be specified when `operator` is 'In' or 'NotIn'");
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            faults.forbidden(
                field,
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            );
        }
        "Gt" | "Lt" if values.len() != 1 => {
            faults.required(
                field,
                "must be specified single value when `operator` is 'Lt' or 'Gt'",
            );
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        operator => faults.invalid(
            format!("{path}.operator"),
            operator,
            "not a valid selector operator",
        ),
    }
    if !is_label_name(&requirement.key) {
        faults.invalid(
            format!("{path}.key"),
            &requirement.key,
            "must be a label name: an optional DNS prefix and '/', then at most 63 alphanumeric characters, '-', '_' or '.', \
             alphanumeric at both ends",
        );
    }
}

fn match_field(requirement: &NodeSelectorRequirement, path: &str, faults: &mut Faults) {
    let values = requirement.values.as_deref().unwrap_or_default();
    match requirement.operator.as_str() {
        "In" | "NotIn" if values.len() != 1 => faults.required(
            format!("{path}.values"),
            "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
        ),
        "In" | "NotIn" => {}
        operator => faults.invalid(
            format!("{path}.operator"),
            operator,
            "not a valid selector operator",
        ),
    }
    if requirement.key != "metadata.name" {
        faults.invalid(
            format!("{path}.key"),
            &requirement.key,
            "not a valid field selector key",
        );
        return;
    }
    for (k, value) in values
        .iter()
        .enumerate()
        .filter(|(_, value)| !is_dns_subdomain(value))
    {
        faults.invalid(
            format!("{path}.values[{k}]"),
            value,
            "must be a node name (lower-case RFC 1123 subdomain)",
        );
    }
}

fn is_label_name(key: &str) -> bool {
    let (prefix, name) = key
        .split_once('/')
        .map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    prefix.is_none_or(is_dns_subdomain)
        && (1..=63).contains(&name.len())
        && name.chars().all(inner)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
}

/// Whether `name` is a DNS subdomain (RFC 1123), as the names of nodes, pods and most other objects are.
#[must_use]
pub fn is_dns_subdomain(name: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (1..=253).contains(&name.len())
        && name.split('.').all(|label| {
            label.starts_with(edge) && label.ends_with(edge) && label.chars().all(|c| edge(c) || c == '-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_names_are_those_of_kubernetes() {
        for good in [
            "a",
            "kubernetes.io/role",
            "node-role.kubernetes.io/control-plane",
            "A_b.C-9",
            &"x".repeat(63),
        ] {
            assert!(is_label_name(good), "{good}");
        }
        for bad in [
            "",
            "/a",
            "a/",
            "-a",
            "a.",
            "UPPER.io/a",
            "a/b/c",
            "a b",
            &"x".repeat(64),
        ] {
            assert!(!is_label_name(bad), "{bad}");
        }
    }

    #[test]
    fn network_names_are_those_of_cni() {
        assert!(is_network_name("my-pool_1.x"));
        for bad in ["", "-a", ".a", "_a", "a,b", "a/b", "ä", "aä"] {
            assert!(!is_network_name(bad), "{bad}");
        }
    }
}
