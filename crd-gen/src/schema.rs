//! From the schema that schemars and kube-derive give to the one that controller-gen gives for the same types in Go, so
//! that exchanging the Go version's CRD for ours changes nothing that a client can see but what we added.

use serde_json::{Map, Value, json};

/// Brings the schema of a whole object into controller-gen's form.
pub(crate) fn as_controller_gen_has_it(root: &mut Value) {
    each_schema(root, &mut clean);
    describe_object(root);
    if let Some(selector) = root.pointer_mut("/properties/spec/properties/nodeSelector") {
        make_atomic(selector);
    }
    if let Some(status) = root
        .pointer_mut("/properties/status")
        .and_then(Value::as_object_mut)
    {
        status.insert("required".to_owned(), json!(["allocations"]));
    }
}

/// Calls `edit` on `schema` and on every schema in it.
fn each_schema(schema: &mut Value, edit: &mut impl FnMut(&mut Map<String, Value>)) {
    let Some(schema) = schema.as_object_mut() else {
        return;
    };
    edit(schema);
    for property in schema
        .get_mut("properties")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flat_map(Map::values_mut)
    {
        each_schema(property, edit);
    }
    for part in ["items", "additionalProperties"] {
        if let Some(part) = schema.get_mut(part) {
            each_schema(part, edit);
        }
    }
}

/// Takes out what only Rust means: that a field is an `Option`, the name of a type, and what serde fills in (the API
/// server would store it in every object).
fn clean(schema: &mut Map<String, Value>) {
    for key in ["nullable", "title", "default"] {
        schema.remove(key);
    }
    for key in ["minimum", "maximum"] {
        if let Some(bound) = schema.get_mut(key) {
            make_integer(bound);
        }
    }
    // A property called `description` is an object.
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = join_lines(text);
    }
}

/// Takes out the line breaks of the source, which are in the way of those that kubectl explain makes; paragraphs stay.
fn join_lines(text: &str) -> String {
    let paragraphs: Vec<String> = text.split("\n\n").map(|lines| lines.replace('\n', " ")).collect();
    paragraphs.join("\n\n")
}

/// `0.0` to `0`. A bound that is no integer stays.
fn make_integer(bound: &mut Value) {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the cast saturates, and the comparison shows whether it was exact"
    )]
    if let Some(float) = bound.as_f64() {
        let integer = float as i64;
        #[expect(
            clippy::cast_precision_loss,
            clippy::float_cmp,
            reason = "exact or left alone"
        )]
        if integer as f64 == float {
            *bound = json!(integer);
        }
    }
}

/// The properties that every object has; kubectl explain shows them.
fn describe_object(root: &mut Value) {
    if let Some(properties) = root.pointer_mut("/properties").and_then(Value::as_object_mut) {
        properties.insert(
            "apiVersion".to_owned(),
            json!({"type": "string", "description": "Group and version of this object's schema: nv-ipam.nvidia.com/v1alpha1."}),
        );
        properties.insert(
            "kind".to_owned(),
            json!({"type": "string", "description": "Which of the group's kinds this object is. It can't be changed."}),
        );
        properties.insert("metadata".to_owned(), json!({"type": "object"}));
    }
}

/// A node selector is one value: a server-side apply replaces it, and its lists, instead of merging. The marks are where
/// Kubernetes has them on its own type.
fn make_atomic(selector: &mut Value) {
    selector["x-kubernetes-map-type"] = json!("atomic");
    if let Some(term) = selector.pointer_mut("/properties/nodeSelectorTerms/items") {
        term["x-kubernetes-map-type"] = json!("atomic");
    }
    each_schema(selector, &mut |schema| {
        if schema.get("type") == Some(&json!("array")) {
            schema.insert("x-kubernetes-list-type".to_owned(), json!("atomic"));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_rust_means_is_taken_out_at_every_depth() {
        let mut schema = json!({"type": "object", "title": "T", "properties": {
            "title": {"type": "string", "nullable": true, "default": ""},
            "list": {"type": "array", "items": {"type": "integer", "minimum": 1.0, "maximum": 1.5}},
            "map": {"type": "object", "additionalProperties": {"type": "string", "nullable": true}},
        }});
        each_schema(&mut schema, &mut clean);
        assert_eq!(
            schema.to_string(),
            json!({"type": "object", "properties": {
                "title": {"type": "string"},
                "list": {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 1.5}},
                "map": {"type": "object", "additionalProperties": {"type": "string"}},
            }})
            .to_string(),
            "a property that is called title stays"
        );
    }

    #[test]
    fn a_paragraph_is_one_line() {
        let mut schema = json!({"description": "One\nsentence.\n\nAnother.", "properties": {"description": {"type": "string"}}});
        each_schema(&mut schema, &mut clean);
        assert_eq!(
            schema,
            json!({"description": "One sentence.\n\nAnother.", "properties": {"description": {"type": "string"}}})
        );
    }
}
