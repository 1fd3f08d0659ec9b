//! Prints the CustomResourceDefinitions, as they are committed in `config/crd`:
//!
//! `cargo run -p crd-gen > config/crd/nv-ipam.nvidia.com.yaml`
//!
//! With `--without-cel` they are for API servers that don't know the functions which the rules are written with.

use std::io::Write;
use std::process::ExitCode;

use crate::crds::Rules;

mod additions;
mod crds;
mod schema;
mod yaml;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(rules) = rules(&arguments) else {
        eprintln!(
            "usage: crd-gen [--without-cel]\n\n\
             Prints the CRDs. --without-cel leaves the CEL rules out, for Kubernetes 1.30 and earlier."
        );
        return ExitCode::FAILURE;
    };
    match print(rules) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crd-gen: the CRDs can't be printed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What the command line asks for, if it makes sense.
fn rules(arguments: &[String]) -> Option<Rules> {
    match arguments {
        [] => Some(Rules::Cel),
        [flag] if flag == "--without-cel" => Some(Rules::Without),
        _ => None,
    }
}

fn print(rules: Rules) -> Result<(), Box<dyn std::error::Error>> {
    let text = yaml::documents(&crds::all(rules)?)?;
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use serde_json::Value;

    use super::*;

    /// This is what an edit of a type in `api` makes fail, on purpose.
    #[test]
    fn the_committed_crds_are_what_the_types_say() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/crd/nv-ipam.nvidia.com.yaml");
        let committed = fs::read_to_string(&path).unwrap();
        let generated = yaml::documents(&crds::all(Rules::Cel).unwrap()).unwrap();
        assert!(
            generated == committed,
            "run `cargo run -p crd-gen > config/crd/nv-ipam.nvidia.com.yaml` and commit the result"
        );
    }

    #[test]
    fn no_text_of_the_crds_reads_as_a_boolean() {
        let generated = yaml::documents(&crds::all(Rules::Cel).unwrap()).unwrap();
        assert_eq!(yaml::texts_that_kubectl_takes_for_booleans(&generated), [""; 0]);
    }

    #[test]
    fn without_cel_everything_is_the_same_but_the_rules() {
        fn strip(value: &mut Value) {
            if let Some(object) = value.as_object_mut() {
                object.remove(additions::RULES);
            }
            match value {
                Value::Object(object) => object.values_mut().for_each(strip),
                Value::Array(list) => list.iter_mut().for_each(strip),
                _ => {}
            }
        }
        let (mut with, without) = (crds::all(Rules::Cel).unwrap(), crds::all(Rules::Without).unwrap());
        assert_ne!(with, without);
        with.iter_mut().for_each(strip);
        assert_eq!(with, without);
    }

    #[test]
    fn an_unknown_flag_is_refused() {
        let rules =
            |arguments: &[&str]| rules(&arguments.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(rules(&[]), Some(Rules::Cel));
        assert_eq!(rules(&["--without-cel"]), Some(Rules::Without));
        assert_eq!(rules(&["--without-sel"]), None);
        assert_eq!(rules(&["--without-cel", "x"]), None);
    }
}
