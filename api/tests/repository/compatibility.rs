//! docs/compatibility.md names tests that there are.

use std::fs;
use std::path::Path;

/// What stands as code and looks like a test: `cni/src/pools.rs::a_name`.
fn tests_named(page: &str) -> Vec<(String, String)> {
    let mut tests = Vec::new();
    for code in page.split('`').skip(1).step_by(2) {
        if let Some((file, name)) = code.split_once("::").filter(|(file, _)| is_source(file)) {
            tests.push((file.to_owned(), name.to_owned()));
        }
    }
    tests
}

fn is_source(file: &str) -> bool {
    Path::new(file).extension().is_some_and(|end| end == "rs")
}

/// Whether `source` has a test function of this name that is run, or, end to end, a test that is registered under it.
fn has_test(source: &str, name: &str) -> bool {
    let registered = format!("::{name}\"");
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let function = lines.iter().position(|line| {
        let line = line.strip_prefix("async ").unwrap_or(line);
        line.strip_prefix("fn ")
            .and_then(|rest| rest.strip_prefix(name))
            .is_some_and(|rest| rest.starts_with('('))
    });
    // Its attributes stand right before it.
    let is_test = |at: usize| {
        let above = lines[..at].iter().rev();
        let above = above.take_while(|line| line.starts_with('#') || line.starts_with("//"));
        let attributes: Vec<&&str> = above.collect();
        let any = |start: &str| attributes.iter().any(|line| line.starts_with(start));
        (any("#[test]") || any("#[tokio::test")) && !any("#[ignore")
    };
    function.is_some_and(is_test) || source.contains(&registered)
}

#[test]
fn every_test_that_the_page_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("docs/compatibility.md")).unwrap();
    let tests = tests_named(&page);
    assert!(tests.len() > 100, "only {} tests are named", tests.len());
    let missing: Vec<String> = tests
        .iter()
        .filter(|(file, name)| {
            fs::read_to_string(root.join(file)).map_or(true, |source| !has_test(&source, name))
        })
        .map(|(file, name)| format!("{file}::{name}"))
        .collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn every_rule_of_the_page_names_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("docs/compatibility.md")).unwrap();
    // A row of a rule begins with its number: | B.4.2 | ...
    let rules = page.lines().filter(|line| line.starts_with("| B."));
    let without: Vec<&str> = rules.filter(|line| tests_named(line).is_empty()).collect();
    assert_eq!(without, [""; 0]);
}

#[test]
fn a_test_is_found_by_its_attribute_or_by_its_registered_name() {
    let source = "#[test]\nfn a() {}\nfn b() {}\nproptest! {\n  #[test]\n  fn c(x in 0..1) {}\n}\n\
                  #[test]\n#[ignore]\nfn g() {}\n\
                  Test::nodes(\"spine::d\", d)\n#[tokio::test(start_paused = true)]\nasync fn e() {}";
    let found: Vec<&str> = ["a", "b", "c", "d", "e", "f", "g"]
        .into_iter()
        .filter(|name| has_test(source, name))
        .collect();
    assert_eq!(found, ["a", "c", "d", "e"]);
}
