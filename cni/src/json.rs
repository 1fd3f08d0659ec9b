//! JSON as the CNI world reads and prints it, which is as Go's `encoding/json` does.

use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::value::RawValue;

/// The members of a JSON object, looked up as Go fills a struct: names match without regard to ASCII case, the last
/// of several wins, `null` is absent, and members that nobody asks for only have to be well-formed.
///
/// Network configurations that work with a plugin written in Go depend on it.
#[derive(Debug, Default)]
pub struct Object<'a> {
    members: Vec<(String, &'a RawValue)>,
}

/// A member of an [`Object`] that isn't what it should be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("field {field}: {reason}")]
pub struct FieldError {
    /// The member's name, with those of the objects around it: `ipam.poolName`.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
}

impl FieldError {
    /// The same error, seen from the object that has the faulty one as its member `outer`.
    #[must_use]
    pub fn inside(mut self, outer: &str) -> Self {
        self.field = format!("{outer}.{}", self.field);
        self
    }
}

impl<'a> Object<'a> {
    /// Reads `json`; `null` gives none.
    pub fn parse(json: &'a [u8]) -> Result<Option<Self>, serde_json::Error> {
        serde_json::from_slice(json)
    }

    /// Whether the member `name` is there, be it `null`.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The member `name`, if it is there and not `null`.
    pub fn get<T: Deserialize<'a>>(&self, name: &str) -> Result<Option<T>, FieldError> {
        let Some(raw) = self.find(name) else {
            return Ok(None);
        };
        serde_json::from_str(raw.get()).map_err(|error| {
            let text = error.to_string();
            // The position counts from the member's start, which helps nobody.
            let reason = text.split(" at line ").next().unwrap_or_default().to_owned();
            FieldError {
                field: name.to_owned(),
                reason,
            }
        })
    }

    fn find(&self, name: &str) -> Option<&'a RawValue> {
        let mut from_the_last = self.members.iter().rev();
        let found = from_the_last.find(|(member, _)| member.eq_ignore_ascii_case(name));
        found.map(|&(_, raw)| raw)
    }

    /// The member `name`, or the type's zero value.
    pub fn get_or_default<T: Deserialize<'a> + Default>(&self, name: &str) -> Result<T, FieldError> {
        Ok(self.get(name)?.unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Object { members })
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// `value` as the CNI library prints results and errors: indented by four spaces, without a newline at the end, and
/// with `<`, `>` and `&` escaped, as Go does in case somebody puts the text into HTML.
pub fn to_indented(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut text = Vec::new();
    value.serialize(&mut Serializer::with_formatter(
        &mut text,
        PrettyFormatter::with_indent(b"    "),
    ))?;
    let mut out = Vec::with_capacity(text.len());
    // Outside of strings JSON has none of them.
    for byte in text {
        match byte {
            b'<' => out.extend(br"\u003c"),
            b'>' => out.extend(br"\u003e"),
            b'&' => out.extend(br"\u0026"),
            _ => out.push(byte),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(json: &str) -> Object<'_> {
        Object::parse(json.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn names_match_without_regard_to_case_and_the_last_wins() {
        let json = r#"{"poolname":"a","POOLNAME":"b","other":{"poolName":"c"}}"#;
        assert_eq!(object(json).get::<String>("poolName").unwrap().unwrap(), "b");
    }

    #[test]
    fn null_and_missing_are_absent() {
        assert_eq!(object(r#"{"a":null}"#).get::<String>("a").unwrap(), None);
        assert_eq!(object("{}").get::<String>("a").unwrap(), None);
        assert!(Object::parse(b"null").unwrap().is_none());
        // A nested object or list of that value is absent too.
        assert!(object(r#"{"a":null}"#).get::<Object>("a").unwrap().is_none());
    }

    #[test]
    fn a_member_of_the_wrong_type_is_named_with_its_path() {
        let error = object(r#"{"a":5}"#)
            .get::<String>("a")
            .unwrap_err()
            .inside("ipam");
        assert_eq!(
            error.to_string(),
            "field ipam.a: invalid type: integer `5`, expected a string"
        );
    }

    #[test]
    fn what_nobody_asks_for_may_be_of_any_size_and_depth() {
        let deep = format!(
            r#"{{"big":1e99999,"deep":{}{},"a":"x"}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert_eq!(object(&deep).get::<String>("a").unwrap().unwrap(), "x");
    }

    #[test]
    fn what_go_escapes_is_escaped() {
        assert_eq!(
            String::from_utf8(to_indented(&["<é> & \"x\"\n\u{7}"]).unwrap()).unwrap(),
            "[\n    \"\\u003cé\\u003e \\u0026 \\\"x\\\"\\n\\u0007\"\n]"
        );
    }

    #[test]
    fn what_is_not_an_object_is_refused() {
        for json in [
            "[]",
            "5",
            "\"x\"",
            "",
            "{",
            "{\"a\":}",
            "{}{}",
            "{\"a\":\"\u{1}\"}",
        ] {
            assert!(Object::parse(json.as_bytes()).is_err(), "{json}");
        }
        assert!(Object::parse(b"{\"a\":\"\xff\"}").is_err());
    }
}
