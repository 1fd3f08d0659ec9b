//! The list of our CRDs, as JSON in the form that controller-gen gives them.

use api::cel::{self, Additions};
use api::cidrpool::CIDRPool;
use api::ippool::IPPool;
use kube::CustomResourceExt;
use serde_json::{Value, json};

use crate::additions;
use crate::schema;

/// A definition that is not built as kube-derive builds them.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It can't be written as JSON.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// It lacks a part.
    #[error("kube-derive's definition has no {0}")]
    Missing(&'static str),
    /// A rule or limit of it has no place.
    #[error("{0}")]
    Addition(#[from] additions::Error),
}

/// Whether the API server is to know the rules of specs, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    /// It refuses what they say. It must be Kubernetes 1.31 or later.
    Cel,
    /// It refuses what breaks types and limits.
    Without,
}

/// Every CRD of the project, in the order in which they are printed.
pub(crate) fn all(rules: Rules) -> Result<Vec<Value>, Error> {
    Ok(vec![
        definition::<CIDRPool>(&cel::cidrpool(), rules)?,
        definition::<IPPool>(&cel::ippool(), rules)?,
    ])
}

/// The definition of `K`.
fn definition<K: CustomResourceExt>(additions: &Additions, rules: Rules) -> Result<Value, Error> {
    let mut crd = serde_json::to_value(K::crd())?;
    let names = crd
        .pointer_mut("/spec/names")
        .and_then(Value::as_object_mut)
        .ok_or(Error::Missing("names"))?;
    let kind = names
        .get("kind")
        .and_then(Value::as_str)
        .ok_or(Error::Missing("kind"))?;
    // The API server would fill it in; said here, a diff of the file with the cluster's object is empty.
    let list_kind = format!("{kind}List");
    names.insert("listKind".to_owned(), json!(list_kind));
    // kube-derive lists them empty.
    names.retain(|_, value| value.as_array().is_none_or(|list| !list.is_empty()));
    let versions = crd
        .pointer_mut("/spec/versions")
        .and_then(Value::as_array_mut)
        .ok_or(Error::Missing("versions"))?;
    for version in versions {
        let root = version
            .pointer_mut("/schema/openAPIV3Schema")
            .ok_or(Error::Missing("schema"))?;
        schema::as_controller_gen_has_it(root);
        additions::add_limits(root, additions)?;
        if rules == Rules::Cel {
            additions::add_rules(root, additions)?;
        }
    }
    Ok(crd)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ippool() -> Value {
        definition::<IPPool>(&cel::ippool(), Rules::Cel).unwrap()
    }

    fn cidrpool() -> Value {
        definition::<CIDRPool>(&cel::cidrpool(), Rules::Cel).unwrap()
    }

    fn root_of(crd: &Value) -> Value {
        crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
    }

    fn root() -> Value {
        root_of(&ippool())
    }

    /// Contract B.12: what an existing client of the Go version's CRD can rely on.
    #[test]
    fn names_scope_and_columns_are_those_of_the_go_version() {
        let ippool_columns = json!([
            {"name": "Subnet", "type": "string", "jsonPath": ".spec.subnet"},
            {"name": "Gateway", "type": "string", "jsonPath": ".spec.gateway"},
            {"name": "Block Size", "type": "integer", "jsonPath": ".spec.perNodeBlockSize"},
        ]);
        let cidrpool_columns = json!([
            {"name": "CIDR", "type": "string", "jsonPath": ".spec.cidr"},
            {"name": "Gateway index", "type": "string", "jsonPath": ".spec.gatewayIndex"},
            {"name": "Per Node Network Prefix", "type": "integer", "jsonPath": ".spec.perNodeNetworkPrefix"},
        ]);
        for (crd, kind, columns) in [
            (ippool(), "IPPool", ippool_columns),
            (cidrpool(), "CIDRPool", cidrpool_columns),
        ] {
            let singular = kind.to_lowercase();
            let plural = format!("{singular}s");
            assert_eq!(crd["metadata"]["name"], format!("{plural}.nv-ipam.nvidia.com"));
            assert_eq!(crd["spec"]["group"], "nv-ipam.nvidia.com");
            assert_eq!(crd["spec"]["scope"], "Namespaced");
            let list_kind = format!("{kind}List");
            assert_eq!(
                crd["spec"]["names"],
                json!({"kind": kind, "listKind": list_kind, "plural": plural, "singular": singular})
            );
            let version = &crd["spec"]["versions"][0];
            assert_eq!(version["name"], "v1alpha1");
            assert_eq!(version["subresources"], json!({"status": {}}));
            assert_eq!(version["additionalPrinterColumns"], columns, "{kind}");
        }
    }

    #[test]
    fn required_fields_are_those_of_the_go_version() {
        let of_both = [
            ("", json!(["spec"])),
            (
                "/properties/spec/properties/exclusions/items",
                json!(["endIP", "startIP"]),
            ),
            (
                "/properties/spec/properties/perNodeExclusions/items",
                json!(["endIndex", "startIndex"]),
            ),
            ("/properties/spec/properties/routes/items", json!(["dst"])),
            ("/properties/status", json!(["allocations"])),
        ];
        let of_ippool = [
            ("/properties/spec", json!(["perNodeBlockSize", "subnet"])),
            (
                "/properties/status/properties/allocations/items",
                json!(["endIP", "nodeName", "startIP"]),
            ),
        ];
        let of_cidrpool = [
            ("/properties/spec", json!(["cidr", "perNodeNetworkPrefix"])),
            (
                "/properties/spec/properties/staticAllocations/items",
                json!(["prefix"]),
            ),
            (
                "/properties/status/properties/allocations/items",
                json!(["nodeName", "prefix"]),
            ),
        ];
        let (ippool, cidrpool) = (root_of(&ippool()), root_of(&cidrpool()));
        for (root, own) in [(&ippool, &of_ippool[..]), (&cidrpool, &of_cidrpool[..])] {
            for (path, required) in of_both.iter().chain(own) {
                let found = root.pointer(&format!("{path}/required"));
                assert_eq!(found, Some(required), "{path}");
            }
        }
    }

    #[test]
    fn integers_have_the_forms_of_the_go_version() {
        // But for the limit of an int32, which Kubernetes 1.33 doesn't take from the format.
        let spec = root()["properties"]["spec"]["properties"].clone();
        let without_text = |value: &Value| {
            let mut value = value.clone();
            let schema = value.as_object_mut().unwrap();
            schema.retain(|key, _| key != "description" && key != additions::RULES);
            value
        };
        assert_eq!(
            without_text(&spec["perNodeBlockSize"]),
            json!({"type": "integer"})
        );
        let index = &spec["perNodeExclusions"]["items"];
        for name in ["startIndex", "endIndex"] {
            let printed = without_text(&index["properties"][name]).to_string();
            assert_eq!(
                printed,
                r#"{"format":"int32","maximum":2147483647,"minimum":0,"type":"integer"}"#
            );
        }
        let spec = root_of(&cidrpool())["properties"]["spec"]["properties"].clone();
        for name in ["gatewayIndex", "perNodeNetworkPrefix"] {
            assert_eq!(
                without_text(&spec[name]),
                json!({"type": "integer", "format": "int32", "maximum": i32::MAX}),
                "{name}"
            );
        }
    }

    #[test]
    fn a_node_selector_is_replaced_as_a_whole() {
        let selector = root()["properties"]["spec"]["properties"]["nodeSelector"].clone();
        assert_eq!(selector["x-kubernetes-map-type"], "atomic");
        let terms = &selector["properties"]["nodeSelectorTerms"];
        assert_eq!(terms["x-kubernetes-list-type"], "atomic");
        assert_eq!(terms["items"]["x-kubernetes-map-type"], "atomic");
        for field in ["matchExpressions", "matchFields"] {
            let requirements = &terms["items"]["properties"][field];
            assert_eq!(requirements["x-kubernetes-list-type"], "atomic", "{field}");
            let values = &requirements["items"]["properties"]["values"];
            assert_eq!(values["x-kubernetes-list-type"], "atomic", "{field}");
        }
    }

    /// Calls `look` with the path and the schema of every property of every CRD.
    fn each_property(look: &mut impl FnMut(&str, &Value)) {
        fn below(path: &str, schema: &Value, look: &mut impl FnMut(&str, &Value)) {
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                let path = format!("{path}.{name}");
                look(&path, property);
                below(&path, property, look);
                below(&path, &property["items"], look);
            }
        }
        for crd in all(Rules::Cel).unwrap() {
            let root = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
            below(crd["spec"]["names"]["kind"].as_str().unwrap(), root, look);
        }
    }

    #[test]
    fn every_field_of_ours_is_described() {
        let mut found = Vec::new();
        each_property(&mut |path, property| {
            // As controller-gen has it: metadata is described by Kubernetes itself.
            if !property["description"].is_string() && !path.ends_with(".metadata") {
                found.push(path.to_owned());
            }
        });
        assert_eq!(found, [""; 0]);
    }

    #[test]
    fn every_limit_is_described() {
        let mut found = Vec::new();
        each_property(&mut |path, property| {
            for limit in ["maxItems", "maxLength"] {
                // The words on a node selector are those of Kubernetes.
                if let Some(limit) = property[limit].as_u64()
                    && !path.contains(".nodeSelector.")
                {
                    let text = property["description"].as_str().unwrap_or_default();
                    let text: Vec<&str> = text.split_whitespace().collect();
                    if !text.join(" ").contains(&format!("At most {limit} ")) {
                        found.push(format!("{path}: {limit}"));
                    }
                }
            }
        });
        assert_eq!(found, [""; 0]);
    }
}
