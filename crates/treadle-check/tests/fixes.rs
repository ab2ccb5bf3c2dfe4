//! Every fix is whole: applied, the program still compiles, the finding is gone, and nothing new came.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rayon::prelude::*;
use treadle_check::fix;
use treadle_finding::{About, Applicability, Finding};
use treadle_pitfalls::CATALOGUE;
use treadle_pitfalls::page::{self, Block};
use treadle_program::{Options, Program, SourceFile, lower};

type Files = BTreeMap<PathBuf, String>;

fn findings(files: &Files) -> Vec<Finding> {
    let sources = files.iter().map(|(path, text)| {
        let module = path.display().to_string().trim_end_matches(".py").replace('/', ".");
        let is_package = module.ends_with("__init__");
        let names = vec![module.trim_end_matches(".__init__").to_owned()];
        let facts = lower::file(text).into();
        SourceFile { path: path.as_path().into(), names, is_package, installed: false, facts }
    });
    let options = Options { python: (3, 13), ..Options::default() };
    let program = Program::link(sources.collect(), options).expect("the program's own knowledge is sound");
    let wanted = |_: &About| true;
    treadle_pitfalls::ask(&program, &wanted)
}

/// The programs on all pages, with a name for each.
fn programs() -> Vec<(String, Files)> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../treadle-pitfalls/src");
    let mut programs = Vec::new();
    for pitfall in CATALOGUE {
        // What only the doctor sees has no cases.
        let names = if pitfall.rules.is_empty() { &["page.md"][..] } else { &["page.md", "cases.md"] };
        for name in names {
            let path = sources.join(pitfall.about.name.replace('-', "_")).join(name);
            let text = std::fs::read_to_string(&path).expect("every pitfall has its pages");
            for block in page::blocks(&text) {
                programs.push((format!("{} {name}:{}", pitfall.about.name, block.line), files_of(&block)));
            }
        }
    }
    programs
}

fn files_of(block: &Block<'_>) -> Files {
    block.files.iter().map(|file| (PathBuf::from(file.path), file.text.clone())).collect()
}

/// Applies fixes until there are none left; how many findings were fixed.
fn fixed(files: &mut Files, unsafe_too: bool) -> usize {
    let mut count = 0;
    for _ in 0..fix::ROUNDS {
        let found = findings(files);
        let mut changed = 0;
        for (path, fixes) in fix::by_file(&found, unsafe_too) {
            let text = files.get_mut(&path).expect("a fix is for a file of its program");
            let result = fix::apply(text, &fixes).unwrap_or_else(|message| panic!("{message}\n{text}"));
            *text = result.text;
            changed += result.count;
        }
        if changed == 0 {
            break;
        }
        count += changed;
    }
    count
}

/// What Python says about texts it cannot compile.
fn compile_errors(texts: &[(String, String)]) -> String {
    const PROGRAM: &str = "import json, sys\nfor name, text in json.load(sys.stdin):\n    try:\n        compile(text, name, 'exec')\n    except SyntaxError as error:\n        print(name, error, text, sep='\\n')\n";
    let python = std::env::var("TREADLE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut child = Command::new(&python)
        .args(["-W", "error", "-c", PROGRAM])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{python}: {error}; set TREADLE_TEST_PYTHON"));
    let input = serde_json::to_string(texts).expect("text is JSON");
    child.stdin.take().expect("it was piped").write_all(input.as_bytes()).expect("Python reads");
    let output = child.wait_with_output().expect("Python ends");
    assert!(output.status.success(), "Python failed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What became of one program.
struct Tried {
    wrong: Vec<String>,
    fixed: usize,
    texts: Vec<(String, String)>,
}

fn try_fixes(name: &str, mut files: Files, unsafe_too: bool) -> Tried {
    let is_fixable = |finding: &&Finding| {
        finding.fix.as_ref().is_some_and(|fix| unsafe_too || fix.applicability == Applicability::Safe)
    };
    let before = findings(&files);
    let fixable = before.iter().filter(is_fixable).count();
    let count = if fixable > 0 { fixed(&mut files, unsafe_too) } else { 0 };
    let after = if fixable > 0 { findings(&files) } else { Vec::new() };
    let left = after.iter().filter(is_fixable);
    let mut wrong: Vec<String> = left.map(|finding| format!("{name}: not fixed: {}", finding.message)).collect();
    // A fix may bring to light what stood behind it; that is fixed in its turn, or it would be among those left.
    if after.len() > before.len() - fixable {
        let messages: Vec<&str> = after.iter().map(|finding| finding.message.as_str()).collect();
        wrong.push(format!("{name}: {} findings, {count} fixed, and then {messages:?}\n{files:?}", before.len()));
    }
    let texts = files.into_iter().map(|(path, text)| (format!("{name} {}", path.display()), text)).collect();
    Tried { wrong, fixed: count, texts }
}

fn check_all(unsafe_too: bool) {
    let programs = programs().into_par_iter();
    let tried: Vec<Tried> = programs.map(|(name, files)| try_fixes(&name, files, unsafe_too)).collect();
    let wrong: Vec<&str> = tried.iter().flat_map(|tried| &tried.wrong).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let total: usize = tried.iter().map(|tried| tried.fixed).sum();
    assert!(total > 30, "only {total} fixes were tried");
    let texts: Vec<(String, String)> = tried.into_iter().flat_map(|tried| tried.texts).collect();
    assert_eq!(compile_errors(&texts), "");
}

#[test]
fn safe_fixes_leave_programs_that_compile_and_are_clean() {
    check_all(false);
}

#[test]
fn unsafe_fixes_leave_programs_that_compile_and_are_clean() {
    check_all(true);
}
