//! Holds the flags of a program against docs/reference.md.

use clap::{Arg, Command, Parser};

use crate::reference::tables::{Section, blocks, root};

/// Every flag has a row that says its default, in the program's own section or that of the flags that both programs have,
/// and stands in a block that is started as an example.
pub(crate) fn are_documented(command: &Command, program: &str) {
    let (own, common) = (
        Section::of_reference(program),
        Section::of_reference("Common flags"),
    );
    let mut names = Vec::new();
    let examples: String = [&own, &common]
        .iter()
        .flat_map(|section| section.blocks())
        .filter(|block| block.info.starts_with("flags "))
        .map(|block| block.text)
        .collect();
    for flag in command.get_arguments().filter(|flag| flag.get_id() != "help") {
        let name = format!("--{}", flag.get_long().unwrap());
        let is_common = flag
            .get_help_heading()
            .is_some_and(|heading| matches!(heading, "Common flags" | "Logging flags"));
        let section = if is_common { &common } else { &own };
        assert_eq!(section.row(&name)[1], default_of(flag), "the default of {name}");
        let short = flag.get_short().map(|short| format!("-{short}="));
        assert!(
            examples.contains(&format!("{name}=")) || short.is_some_and(|short| examples.contains(&short)),
            "no example has {name}"
        );
        names.push(name);
    }
    let unknown = own.unknown(|name| !name.starts_with("--") || names.iter().any(|known| known == name));
    assert_eq!(unknown, [""; 0], "rows for flags that there are not");
}

/// Every command line that the page shows for the program is understood.
pub(crate) fn examples_are_understood<Cli: Parser>(program: &str) {
    let page = std::fs::read_to_string(root().join("docs/reference.md")).unwrap();
    let info = format!("flags {program}");
    let examples: Vec<_> = blocks(&page)
        .into_iter()
        .filter(|block| block.info == info)
        .collect();
    assert!(!examples.is_empty());
    for example in examples {
        let words = example.text.split_whitespace();
        if let Err(error) = Cli::try_parse_from(std::iter::once(program).chain(words)) {
            panic!("{error}\n{}", example.text);
        }
    }
}

fn default_of(flag: &Arg) -> String {
    match flag.get_default_values() {
        [value] if !value.is_empty() => format!("`{}`", value.to_string_lossy()),
        _ => "none".to_owned(),
    }
}
