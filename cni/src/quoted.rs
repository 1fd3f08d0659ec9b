//! Texts in quotes, as Go's `%q` prints them: messages of the CNI library have them, and users look for those.

use std::fmt::{Display, Formatter, Result, Write};

/// Prints a text in double quotes, on one line, with everything escaped that can't be seen.
///
/// What can be seen is what the Unicode tables of the Rust library say; Go's may be of another version of Unicode.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(pub &'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}"),
                '\u{7}' => f.write_str("\\a"),
                '\u{8}' => f.write_str("\\b"),
                '\u{c}' => f.write_str("\\f"),
                '\n' => f.write_str("\\n"),
                '\r' => f.write_str("\\r"),
                '\t' => f.write_str("\\t"),
                '\u{b}' => f.write_str("\\v"),
                '\'' => f.write_char(c),
                _ if is_visible(c) => f.write_char(c),
                '\0'..='\u{7f}' => write!(f, "\\x{:02x}", u32::from(c)),
                '\u{80}'..='\u{ffff}' => write!(f, "\\u{:04x}", u32::from(c)),
                _ => write!(f, "\\U{:08x}", u32::from(c)),
            }?;
        }
        f.write_char('"')
    }
}

/// Of a quote or a backslash it says that it is not.
fn is_visible(c: char) -> bool {
    // Alone, an accent would be escaped, too.
    let after_another = String::from_iter([' ', c]);
    after_another.escape_debug().nth(1) == Some(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Printed by `fmt.Printf("%q")` of Go 1.26.
    #[test]
    fn it_is_what_go_prints() {
        for (text, expected) in [
            ("", r#""""#),
            ("A=1", r#""A=1""#),
            ("\"\\'`", r#""\"\\'`""#),
            ("\u{7}\u{8}\u{c}\n\r\t\u{b}", r#""\a\b\f\n\r\t\v""#),
            ("\0\u{1}\u{1b}\u{7f}", r#""\x00\x01\x1b\x7f""#),
            ("\u{85}\u{9f}", r#""\u0085\u009f""#),
            ("é 日本 😀", r#""é 日本 😀""#),
            (
                "\u{a0}\u{ad}\u{200b}\u{2028}\u{feff}\u{e000}\u{fffd}",
                "\"\\u00a0\\u00ad\\u200b\\u2028\\ufeff\\ue000\u{fffd}\"",
            ),
            ("e\u{301}", "\"e\u{301}\""),
            ("\u{301}e", "\"\u{301}e\""),
            (
                "\u{1d173}\u{e0001}\u{10ffff}",
                r#""\U0001d173\U000e0001\U0010ffff""#,
            ),
            ("\u{378}", r#""\u0378""#),
        ] {
            assert_eq!(Quoted(text).to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn nothing_leaves_its_line(text: String) {
            prop_assert!(!Quoted(&text).to_string().contains(char::is_control));
        }
    }
}
