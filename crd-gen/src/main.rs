//! Prints the CustomResourceDefinitions, as they are committed in `config/crd`:
//!
//! `cargo run -p crd-gen > config/crd/nv-ipam.nvidia.com.yaml`

use std::io::Write;
use std::process::ExitCode;

mod crds;
mod schema;
mod yaml;

fn main() -> ExitCode {
    match print() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crd-gen: the CRDs can't be printed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print() -> Result<(), Box<dyn std::error::Error>> {
    let text = yaml::documents(&crds::all()?)?;
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// This is what an edit of a type in `api` makes fail, on purpose.
    #[test]
    fn the_committed_crds_are_what_the_types_say() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/crd/nv-ipam.nvidia.com.yaml");
        let committed = fs::read_to_string(&path).unwrap();
        let generated = yaml::documents(&crds::all().unwrap()).unwrap();
        assert!(
            generated == committed,
            "run `cargo run -p crd-gen > config/crd/nv-ipam.nvidia.com.yaml` and commit the result"
        );
    }

    #[test]
    fn no_text_of_the_crds_reads_as_a_boolean() {
        let generated = yaml::documents(&crds::all().unwrap()).unwrap();
        assert_eq!(yaml::texts_that_kubectl_takes_for_booleans(&generated), [""; 0]);
    }
}
