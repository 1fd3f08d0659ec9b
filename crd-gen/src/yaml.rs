//! Printing. kubectl reads YAML 1.1, in which a bare `yes`, `on` or `n` is a boolean.

use serde_json::Value;

/// `values` as YAML documents.
pub(crate) fn documents(values: &[Value]) -> Result<String, serde_yaml::ser::Error> {
    let mut text = String::new();
    for value in values {
        text.push_str("---\n");
        text.push_str(&serde_yaml::to_string(value)?);
    }
    Ok(text)
}

/// The bare keys and values in `yaml` that YAML 1.1 reads as booleans although YAML 1.2 reads them as text.
#[cfg(test)]
pub(crate) fn texts_that_kubectl_takes_for_booleans(yaml: &str) -> Vec<&str> {
    let boolean = |text: &&str| {
        ["y", "yes", "n", "no", "on", "off"]
            .iter()
            .any(|b| text.eq_ignore_ascii_case(b))
    };
    yaml.lines()
        .flat_map(|line| {
            let line = line.trim_start_matches([' ', '-']).trim_end();
            match line.split_once(':') {
                Some((key, value)) => [key.trim(), value.trim()],
                None => [line, ""],
            }
        })
        .filter(boolean)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_that_look_like_booleans_are_quoted() {
        let value = json!({"yes": "no", "list": ["on", "Off"], "n": {"y": "N"}, "b": true});
        let printed = documents(std::slice::from_ref(&value)).unwrap();
        assert_eq!(
            texts_that_kubectl_takes_for_booleans(&printed),
            [""; 0],
            "{printed}"
        );
        assert_eq!(serde_yaml::from_str::<Value>(&printed).unwrap(), value);
    }

    #[test]
    fn bare_booleans_are_found() {
        assert_eq!(
            texts_that_kubectl_takes_for_booleans("a: yes\n- on\nn: 1\nb: \"no\"\nc: norway\n"),
            ["yes", "on", "n"]
        );
    }
}
