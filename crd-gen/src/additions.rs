//! Puts rules and limits of `api::cel` into a schema.

use api::cel::{Additions, Limit, Rule};
use serde_json::{Map, Value, json};

/// The key under which the API server looks for CEL rules.
pub(crate) const RULES: &str = "x-kubernetes-validations";

/// A rule or limit that can't be put where it belongs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Its place is not in the schema.
    #[error("there is no schema at {0}")]
    NoSchema(&'static str),
    /// It can't be written as JSON.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
}

/// Adds the rules. Those of one schema keep their order.
pub(crate) fn add_rules(root: &mut Value, additions: &Additions) -> Result<(), Error> {
    for (place, rule) in &additions.rules {
        let rules = schema_at(root, place)?.entry(RULES).or_insert_with(|| json!([]));
        if let Some(rules) = rules.as_array_mut() {
            rules.push(serde_json::to_value::<&Rule>(rule)?);
        }
    }
    Ok(())
}

/// Adds the limits.
pub(crate) fn add_limits(root: &mut Value, additions: &Additions) -> Result<(), Error> {
    for (place, limit) in &additions.limits {
        let (keyword, value) = match limit {
            Limit::MaxLength(characters) => ("maxLength", json!(characters)),
            Limit::MaxItems(entries) => ("maxItems", json!(entries)),
            Limit::Pattern(pattern) => ("pattern", json!(pattern)),
        };
        schema_at(root, place)?.insert(keyword.to_owned(), value);
    }
    Ok(())
}

/// The schema of a field, `spec.exclusions[].startIP`.
fn schema_at<'a>(root: &'a mut Value, place: &'static str) -> Result<&'a mut Map<String, Value>, Error> {
    let steps: Vec<String> = place
        .split('.')
        .map(|field| match field.strip_suffix("[]") {
            Some(list) => format!("{list}/items"),
            None => field.to_owned(),
        })
        .collect();
    let pointer = format!("/properties/{}", steps.join("/properties/"));
    root.pointer_mut(&pointer)
        .and_then(Value::as_object_mut)
        .ok_or(Error::NoSchema(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> Value {
        json!({"properties": {"spec": {"properties": {"list": {"items": {"properties": {"name": {"type": "string"}}}}}}}})
    }

    #[test]
    fn limits_come_to_their_schemas() {
        let mut root = root();
        let additions = Additions {
            rules: Vec::new(),
            limits: vec![
                ("spec.list[].name", Limit::MaxLength(3)),
                ("spec.list[].name", Limit::Pattern("^a$")),
                ("spec.list", Limit::MaxItems(2)),
            ],
        };
        add_limits(&mut root, &additions).unwrap();
        let list = &root["properties"]["spec"]["properties"]["list"];
        assert_eq!(list["maxItems"], 2);
        assert_eq!(
            list["items"]["properties"]["name"],
            json!({"type": "string", "maxLength": 3, "pattern": "^a$"})
        );
    }

    #[test]
    fn a_place_that_is_not_there_is_an_error() {
        let additions = Additions {
            rules: Vec::new(),
            limits: vec![("spec.lists[].name", Limit::MaxLength(3))],
        };
        let error = add_limits(&mut root(), &additions).unwrap_err();
        assert_eq!(error.to_string(), "there is no schema at spec.lists[].name");
    }

    /// Where the rules of a kind are, and what each says of which field below.
    fn placed(root: &Value) -> Vec<String> {
        fn below(place: &str, schema: &Value, found: &mut Vec<String>) {
            for rule in schema[RULES].as_array().into_iter().flatten() {
                let field = rule["fieldPath"].as_str().unwrap_or_default();
                found.push(format!(
                    "{place} {field}: {}",
                    rule["message"].as_str().unwrap_or_default()
                ));
            }
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                below(&format!("{place}.{name}"), property, found);
            }
            if !schema["items"].is_null() {
                below(&format!("{place}[]"), &schema["items"], found);
            }
        }
        let mut found = Vec::new();
        below("", root, &mut found);
        found
    }

    fn placed_in(kind: &str) -> Vec<String> {
        let crds = crate::crds::all(crate::crds::Rules::Cel).unwrap();
        let crd = crds
            .iter()
            .find(|crd| crd["spec"]["names"]["kind"] == kind)
            .unwrap();
        placed(&crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
            .into_iter()
            .filter(|rule| !rule.starts_with(".spec.nodeSelector"))
            .collect()
    }

    #[test]
    fn an_ippool_has_its_rules_on_spec_and_below() {
        assert_eq!(
            placed_in("IPPool"),
            [
                ".spec .perNodeBlockSize: is larger then amount of IPs available in the subnet",
                ".spec .perNodeExclusions: index is outside of the per-node block range",
                ".spec .gateway: is not part of the subnet",
                ".spec .exclusions: is not part of the subnet",
                ".spec .exclusions: is not part of the subnet",
                ".spec .defaultGateway: true: cannot be true if spec.gateway is not set",
                ".spec .routes: cannot be set if spec.gateway is not set",
                ".spec .routes: is not same address family IPv4/IPv6",
                ".spec .routes: default route is not allowed if 'defaultGateway' is true",
                ".spec.exclusions[].endIP : is invalid IP address",
                ".spec.exclusions[].startIP : is invalid IP address",
                ".spec.gateway : is invalid IP address",
                ".spec.perNodeBlockSize : must be at least 1",
                ".spec.perNodeExclusions[] : endIndex must be greater than or equal to startIndex",
                ".spec.routes[].dst : is invalid subnet",
                ".spec.subnet : is invalid subnet",
            ]
        );
    }

    #[test]
    fn a_cidrpool_has_its_rules_on_spec_and_below() {
        assert_eq!(
            placed_in("CIDRPool"),
            [
                ".spec .perNodeNetworkPrefix: must be less or equal than network prefix size in the \"cidr\" field",
                ".spec .gatewayIndex: gateway index is outside of the node prefix",
                ".spec .perNodeExclusions: index is outside of the per-node subnet range",
                ".spec .staticAllocations: prefix is not part of the pool cidr",
                ".spec .staticAllocations: prefix size doesn't match spec.perNodeNetworkPrefix",
                ".spec .staticAllocations: contains multiple entries for one node",
                ".spec .staticAllocations: contains multiple entries for one prefix",
                ".spec .exclusions: is not part of the subnet",
                ".spec .exclusions: is not part of the subnet",
                ".spec .defaultGateway: true: cannot be true if spec.gatewayIndex is not set",
                ".spec .routes: cannot be set if spec.gatewayIndex is not set",
                ".spec .routes: is not same address family IPv4/IPv6",
                ".spec .routes: default route is not allowed if 'defaultGateway' is true",
                ".spec.cidr : is invalid cidr",
                ".spec.cidr : network prefix has host bits set",
                ".spec.exclusions[].endIP : is invalid IP address",
                ".spec.exclusions[].startIP : is invalid IP address",
                ".spec.gatewayIndex : must not be negative",
                ".spec.perNodeExclusions[] : endIndex must be greater than or equal to startIndex",
                ".spec.perNodeNetworkPrefix : must not be negative",
                ".spec.routes[].dst : is invalid subnet",
                ".spec.staticAllocations[] .gateway: is outside of the node prefix",
                ".spec.staticAllocations[].gateway : is not a valid IP",
                ".spec.staticAllocations[].prefix : is not a valid network prefix",
                ".spec.staticAllocations[].prefix : network prefix has host bits set",
            ]
        );
    }
}
