//! Every page is true: what it marks is found, exactly there, and what it recommends is silent.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use treadle_finding::{About, Finding, Tier};
use treadle_pitfalls::page::{self, Block, CASE_HEADINGS, HEADINGS};
use treadle_pitfalls::{CATALOGUE, Pitfall};
use treadle_program::{Options, Program, SourceFile, lower};

/// The page and the further cases of a pitfall, each with the name of its file.
fn pages(pitfall: &Pitfall) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(pitfall.about.name.replace('-', "_"));
    let names = if has_rule(pitfall) { &["page.md", "cases.md"][..] } else { &["page.md"] };
    let read = |name: &&str| {
        let path = folder.join(name);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, text)
    };
    names.iter().map(read).collect()
}

fn program(block: &Block<'_>) -> Program {
    let files = block.files.iter().map(|file| {
        let module = file.path.trim_end_matches(".py").replace('/', ".");
        let is_package = module.ends_with("__init__");
        let name = module.trim_end_matches(".__init__").to_owned();
        let facts = lower::file(&file.text);
        assert!(facts.syntax_errors.is_empty(), "{}: {:?}\n{}", file.path, facts.syntax_errors, file.text);
        SourceFile {
            path: Path::new(file.path).into(),
            names: vec![name],
            is_package,
            installed: false,
            facts: facts.into(),
        }
    });
    let options = Options { python: (3, 13), ..Options::default() };
    Program::link(files.collect(), options).expect("the program's own knowledge is sound")
}

fn line_of(block: &Block<'_>, finding: &Finding) -> (String, usize) {
    let path = finding.primary.path.display().to_string();
    let file = block.files.iter().find(|file| file.path == path).expect("a finding is in a file of its program");
    let before = &file.text[..finding.primary.span.start as usize];
    (path, before.matches('\n').count() + 1)
}

/// What else is found in a page's programs on purpose: a pitfall that only the doctor sees has none for the checker.
fn has_rule(pitfall: &Pitfall) -> bool {
    !pitfall.rules.is_empty()
}

fn found_by_rules(pitfall: &Pitfall, block: &Block<'_>) -> Vec<(String, usize, String)> {
    let wanted = |about: &About| *about == pitfall.about;
    let mut found: Vec<_> = treadle_pitfalls::ask(&program(block), &wanted)
        .iter()
        .map(|finding| {
            let (path, line) = line_of(block, finding);
            (path, line, finding.message.clone())
        })
        .collect();
    found.sort();
    found
}

/// What differs between the marks of a block and what the rules find.
fn differences(pitfall: &Pitfall, block: &Block<'_>) -> Vec<String> {
    let mut found = found_by_rules(pitfall, block);
    let mut wrong = Vec::new();
    for file in &block.files {
        for mark in file.marks() {
            let hit = found.iter().position(|(path, line, message)| {
                path == file.path && *line == mark.line && message.contains(mark.words)
            });
            match hit {
                Some(hit) => drop(found.remove(hit)),
                None => wrong.push(format!("{}:{}: missing `{}`", file.path, mark.line, mark.words)),
            }
        }
    }
    wrong.extend(found.into_iter().map(|(path, line, message)| format!("{path}:{line}: unexpected `{message}`")));
    wrong
}

/// What the catalogue says about a block it has nothing to say about.
fn alarms(block: &Block<'_>) -> Vec<String> {
    let wanted = |_: &About| true;
    let findings = treadle_pitfalls::ask(&program(block), &wanted);
    let loud = findings.iter().filter(|finding| finding.tier != Tier::Advisory);
    loud.map(|finding| {
        let (path, line) = line_of(block, finding);
        format!("{path}:{line}: {} says `{}`", finding.about.name, finding.message)
    })
    .collect()
}

fn is_silent(block: &Block<'_>) -> bool {
    matches!(block.heading, "Write this instead" | "When it is fine" | "Silent")
}

fn report(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn pages_have_their_headings_in_order() {
    for pitfall in CATALOGUE {
        let texts = pages(pitfall);
        let (path, text) = &texts[0];
        assert_eq!(page::headings(text), HEADINGS, "{}", path.display());
        assert_eq!(text.lines().next(), Some(format!("# {}", pitfall.about.name).as_str()), "{}", path.display());
        assert_eq!(text, pitfall.about.page, "{}", path.display());
        for (path, cases) in texts.iter().skip(1) {
            assert_eq!(page::headings(cases), CASE_HEADINGS, "{}", path.display());
        }
    }
}

#[test]
fn what_pages_mark_is_found_and_nothing_else() {
    let mut wrong = Vec::new();
    for pitfall in CATALOGUE.iter().filter(|pitfall| has_rule(pitfall)) {
        for (path, text) in pages(pitfall) {
            for block in page::blocks(&text).iter().filter(|block| !is_silent(block)) {
                let place = format!("{}:{}", path.display(), block.line);
                wrong.extend(differences(pitfall, block).iter().map(|words| format!("{place}: {words}")));
            }
        }
    }
    report(&wrong);
}

#[test]
fn what_pages_recommend_is_silent_for_every_pitfall() {
    let mut wrong = Vec::new();
    for pitfall in CATALOGUE {
        for (path, text) in pages(pitfall) {
            for block in page::blocks(&text).iter().filter(|block| is_silent(block)) {
                let place = format!("{}:{}", path.display(), block.line);
                if block.hits() > 0 {
                    wrong.push(format!("{place}: a mark where nothing is to be found"));
                }
                wrong.extend(alarms(block).iter().map(|words| format!("{place}: {words}")));
            }
        }
    }
    report(&wrong);
}

#[test]
fn every_rule_has_as_many_look_alikes_as_hits() {
    let mut wrong = Vec::new();
    for pitfall in CATALOGUE.iter().filter(|pitfall| has_rule(pitfall)) {
        let texts = pages(pitfall);
        let blocks: Vec<Block<'_>> = texts.iter().flat_map(|(_, text)| page::blocks(text)).collect();
        let hits: usize = blocks.iter().map(Block::hits).sum();
        let look_alikes = blocks.iter().filter(|block| is_silent(block)).count();
        if hits == 0 || look_alikes < hits {
            wrong.push(format!("{}: {hits} hits, {look_alikes} look-alikes", pitfall.about.name));
        }
    }
    report(&wrong);
}

#[test]
fn pages_of_what_the_doctor_sees_have_a_program_to_be_run_for_each_side() {
    let mut wrong = Vec::new();
    for pitfall in CATALOGUE.iter().filter(|pitfall| pitfall.detector.is_some()) {
        let text = pitfall.about.page;
        let runs: Vec<Block<'_>> = page::blocks(text).into_iter().filter(|block| block.runs).collect();
        let marked = runs.iter().filter(|block| block.watches() > 0).count();
        let silent = runs.iter().filter(|block| is_silent(block)).count();
        if marked == 0 || silent == 0 {
            wrong.push(format!("{}: {marked} programs to be found, {silent} to be silent", pitfall.about.name));
        }
    }
    report(&wrong);
}

#[test]
fn marks_for_the_doctor_stand_in_programs_that_are_run() {
    let mut wrong = Vec::new();
    for pitfall in CATALOGUE {
        for block in page::blocks(pitfall.about.page) {
            if block.watches() > 0 && (!block.runs || pitfall.detector.is_none() || is_silent(&block)) {
                wrong.push(format!("{}:{}: a mark that nothing looks at", pitfall.about.name, block.line));
            }
        }
    }
    report(&wrong);
}
