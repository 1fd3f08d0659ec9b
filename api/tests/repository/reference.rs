//! Every field of the custom resources is in docs/reference.md, and is used in an example there.

#[path = "../../../docs/testing/tables.rs"]
mod tables;

use api::cidrpool::CIDRPool;
use api::ippool::IPPool;
use kube::CustomResourceExt;
use serde_json::Value;
use tables::Section;

/// Kubernetes' own types are described there.
const OPAQUE: [&str; 2] = ["spec.nodeSelector", "status.conditions[]"];

struct Field {
    path: String,
    required: bool,
}

/// The leaves of the schema below `path`, in their order.
fn leaves(schema: &Value, path: &str, required: bool, found: &mut Vec<Field>) {
    let opaque = OPAQUE.contains(&path);
    if let Some(properties) = schema["properties"].as_object().filter(|_| !opaque) {
        for (name, property) in properties {
            let required = schema["required"]
                .as_array()
                .is_some_and(|names| names.iter().any(|required| required == name));
            leaves(property, &format!("{path}.{name}"), required, found);
        }
    } else if let Some(items) = schema.get("items").filter(|_| !opaque) {
        leaves(items, &format!("{path}[]"), required, found);
    } else {
        found.push(Field {
            path: path.to_owned(),
            required,
        });
    }
}

fn fields<K: CustomResourceExt>(part: &str) -> Vec<Field> {
    let crd = serde_json::to_value(K::crd()).unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut found = Vec::new();
    leaves(&schema["properties"][part], part, true, &mut found);
    assert!(found.len() > 1, "{schema}");
    found
}

fn spec_is_documented<K: CustomResourceExt>(kind: &str) {
    let section = Section::of_reference(kind);
    let fields = fields::<K>("spec");
    let examples: String = section.blocks().into_iter().map(|block| block.text).collect();
    for Field { path, required } in &fields {
        let row = section.row(path);
        assert_eq!(row[2] == "required", *required, "{path}: {row:?}");
        let name = path.rsplit('.').next().unwrap().trim_end_matches("[]");
        assert!(examples.contains(&format!("{name}:")), "no example has {path}");
    }
    let unknown = section.unknown(|name| fields.iter().any(|field| field.path == name));
    assert_eq!(unknown, [""; 0], "rows for fields that there are not");
}

#[test]
fn every_field_of_an_ippool_s_spec_has_a_row_and_an_example() {
    spec_is_documented::<IPPool>("IPPool");
}

#[test]
fn every_field_of_a_cidrpool_s_spec_has_a_row_and_an_example() {
    spec_is_documented::<CIDRPool>("CIDRPool");
}

#[test]
fn every_field_of_a_status_has_a_row() {
    let section = Section::of_reference("Status and conditions");
    for field in fields::<IPPool>("status")
        .iter()
        .chain(&fields::<CIDRPool>("status"))
    {
        section.row(&field.path);
    }
}
