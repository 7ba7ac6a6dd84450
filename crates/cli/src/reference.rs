//! The pages of the book that are made from the code, and what holds the book together. `UPDATE_DOCS=1 cargo test -p
//! lastword reference` writes the pages anew.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use lastword_storage::cleaner::ReasonCode;

use crate::Cli;
use crate::error::Exit;

const BEGIN: &str = "<!-- from the code: begin -->\n";
const END: &str = "<!-- from the code: end -->";

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn check(name: &str, made: &str) {
    let path = docs().join(name);
    let text = read(&path);
    let (before, rest) = text.split_once(BEGIN).expect("where it begins");
    let (written, after) = rest.split_once(END).expect("where it ends");
    if written != made && std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{made}{END}{after}")).expect("writes");
        return;
    }
    assert!(
        written == made,
        "docs/{name} is not what the code says: UPDATE_DOCS=1 writes it anew"
    );
}

#[test]
fn the_page_of_commands_has_every_command_and_every_flag() {
    let mut root = Cli::command();
    root.build();
    let mut page = String::new();
    describe(&root, "", &mut page);
    check("reference/commands.md", &page);
}

/// A command and those below it, without `help`.
fn describe(command: &clap::Command, parents: &str, page: &mut String) {
    let name = format!("{parents}{}", command.get_name());
    if !parents.is_empty() {
        let about = command
            .get_about()
            .map(ToString::to_string)
            .unwrap_or_default();
        *page += &format!("\n## {name}\n\n{about}.\n");
        let arguments = command.get_arguments().filter(|it| !it.is_hide_set());
        let arguments =
            arguments.filter(|it| !["help", "version", "color"].contains(&it.get_id().as_str()));
        let rows: Vec<String> = arguments.map(row).collect();
        if !rows.is_empty() {
            *page += "\n| argument | default | what it does |\n|---|---|---|\n";
            *page += &rows.concat();
        }
    }
    let below = command.get_subcommands().filter(|it| !it.is_hide_set());
    for each in below.filter(|it| it.get_name() != "help") {
        describe(each, &format!("{name} "), page);
    }
}

fn row(argument: &clap::Arg) -> String {
    let values: Vec<String> = argument
        .get_value_names()
        .unwrap_or_default()
        .iter()
        .map(|name| name.to_string())
        .collect();
    let takes_value = argument.get_action().takes_values();
    let value = if takes_value {
        values.join(" ")
    } else {
        String::new()
    };
    let names = [
        argument.get_short().map(|short| format!("-{short}")),
        argument.get_long().map(|long| format!("--{long}")),
    ];
    let aliases = argument
        .get_visible_aliases()
        .unwrap_or_default()
        .into_iter();
    let names = names
        .into_iter()
        .flatten()
        .chain(aliases.map(|it| format!("--{it}")));
    let names: Vec<String> = names.collect();
    let written = match names.is_empty() {
        true => value,
        false => format!("{} {value}", names.join(", "))
            .trim_end()
            .to_owned(),
    };
    let defaults = argument.get_default_values().iter().filter(|_| takes_value);
    let defaults: Vec<String> = defaults
        .map(|it| format!("`{}`", it.to_string_lossy()))
        .collect();
    let mut help = argument
        .get_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    let possible = argument.get_possible_values();
    let words: Vec<&str> = possible
        .iter()
        .filter(|it| takes_value && !it.is_hide_set())
        .map(|it| it.get_name())
        .collect();
    if !words.is_empty() {
        help += &format!(" ({})", words.join(", "));
    }
    if let Some(variable) = argument.get_env() {
        help += &format!("; or the environment's `{}`", variable.to_string_lossy());
    }
    let help = help.replace('\n', " ").replace('|', "\\|");
    format!("| `{written}` | {} | {help} |\n", defaults.join(", "))
}

#[test]
fn the_page_of_exit_codes_is_the_enum() {
    let mut page = String::from("| code | when |\n|---|---|\n");
    for exit in Exit::ALL {
        page += &format!("| {} | {} |\n", exit as u8, exit.when());
    }
    check("reference/exit-codes.md", &page);
}

#[test]
fn the_table_of_reasons_has_every_word_once_and_in_order() {
    let page = read(&docs().join("steering.md"));
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let words: BTreeSet<&str> = ReasonCode::ALL.iter().map(|code| code.word()).collect();
    let written: Vec<&str> = rows
        .map(|(word, _)| word)
        .filter(|it| words.contains(it))
        .collect();
    assert_eq!(written.len(), words.len(), "{written:?}");
    assert_eq!(written.iter().copied().collect::<BTreeSet<_>>(), words);
}

/// Every page of the book, from `docs/`.
fn pages() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![docs()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|it| it == "md") {
                let name = path.strip_prefix(docs()).expect("below docs");
                found.insert(name.to_string_lossy().into_owned());
            }
        }
    }
    found.remove("SUMMARY.md");
    found
}

/// What is between `](` and `)`, outside of code.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_code = false;
    for line in text.lines() {
        is_code ^= line.trim_start().starts_with("```");
        // Inline code is every second part.
        let spoken = line.split('`').step_by(2).filter(|_| !is_code);
        let spoken: Vec<&str> = spoken.collect();
        let spoken = spoken.join("`");
        let mut rest = &*spoken;
        while let Some((_, link)) = rest.split_once("](") {
            let (link, behind) = link.split_once(')').unwrap_or((link, ""));
            found.push(link.to_owned());
            rest = behind;
        }
    }
    found
}

#[test]
fn the_book_lists_every_page_once_and_none_that_is_not_there() {
    let listed = links(&read(&docs().join("SUMMARY.md")));
    let unique: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(listed.len(), unique.len(), "a page is listed twice");
    assert_eq!(unique, pages());
}

/// As the book and GitHub make it of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|it| it.is_alphanumeric() || [' ', '-', '_'].contains(it));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn no_link_of_a_page_is_broken() {
    let root = docs().join("..");
    let others = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "compat/README.md",
    ];
    let others = others.iter().map(|name| root.join(name));
    let pages = pages().into_iter().map(|name| docs().join(name));
    let mut broken = Vec::new();
    for path in pages.chain(others).chain([docs().join("SUMMARY.md")]) {
        for link in links(&read(&path)) {
            if link.starts_with("http://") || link.starts_with("https://") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file.is_empty() {
                true => path.clone(),
                false => path.parent().expect("a directory").join(file),
            };
            let is_there = target.exists();
            let has_heading = heading.is_empty()
                || is_there
                    && read(&target)
                        .lines()
                        .filter(|line| line.starts_with('#'))
                        .map(|line| line.trim_start_matches('#').trim())
                        .any(|line| anchor(line) == heading);
            if !is_there || !has_heading {
                broken.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn links_are_found_outside_of_code_alone() {
    let text = "[a](b.md#c) and `[d](e)`\n```\n[f](g)\n```\n![h](i.svg), [j](k)";
    assert_eq!(links(text), ["b.md#c", "i.svg", "k"]);
}
