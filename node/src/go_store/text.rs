//! JSON as Go's `encoding/json` writes it. The checksum is over these very bytes.

use std::fmt::{Display, Write};

/// An object: compact, its members in the order in which they are added.
pub(super) struct Object<'a> {
    out: &'a mut String,
    empty: bool,
}

impl<'a> Object<'a> {
    /// Begins one at the end of `out`.
    pub(super) fn begin(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, empty: true }
    }

    /// Adds a member; the caller appends its value.
    pub(super) fn member(&mut self, name: &str) -> &mut String {
        if !self.empty {
            self.out.push(',');
        }
        self.empty = false;
        string(self.out, name);
        self.out.push(':');
        self.out
    }

    /// Adds a member whose value is a string.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        string(self.member(name), value);
    }

    /// Adds a member whose value is a number.
    pub(super) fn number(&mut self, name: &str, value: impl Display) {
        write(self.member(name), value);
    }

    pub(super) fn end(self) {
        self.out.push('}');
    }
}

/// Appends a string: as any JSON, but what HTML or JavaScript could stumble over is escaped too. What Go does with bytes
/// that are no UTF-8 can't arise here.
fn string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                write(out, format_args!("\\u{:04x}", u32::from(character)));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

fn write(out: &mut String, what: impl Display) {
    // A String takes everything.
    let _ = write!(out, "{what}");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> String {
        let mut out = String::new();
        string(&mut out, text);
        out
    }

    #[test]
    fn strings_are_escaped_as_by_go() {
        for (text, expected) in [
            ("plain", r#""plain""#),
            ("\"\\/", r#""\"\\/""#),
            ("\u{8}\u{c}\n\r\t", r#""\b\f\n\r\t""#),
            ("\0\u{1f}\u{7f}", "\"\\u0000\\u001f\u{7f}\""),
            ("<a>&", r#""\u003ca\u003e\u0026""#),
            ("\u{2027}\u{2028}\u{2029}", "\"\u{2027}\\u2028\\u2029\""),
            ("é\u{fffd}😀", "\"é\u{fffd}😀\""),
        ] {
            assert_eq!(of(text), expected);
        }
    }

    proptest! {
        #[test]
        fn every_string_can_be_read_again(text in any::<String>()) {
            prop_assert_eq!(serde_json::from_str::<String>(&of(&text)).unwrap(), text);
        }
    }
}
