//! Files that are no proper files: each is a message, none ends the run.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use treadle_check::engine::Progress;
use treadle_check::{Configuration, Outcome, Request, check};

const BLOCKING: &str = "import time\nasync def f():\n    time.sleep(1)\n";

fn checked(directory: &Path, paths: &[PathBuf]) -> Outcome {
    let request = Request {
        paths: paths.to_vec(),
        stdin: None,
        configuration: Configuration::isolated(directory),
        cache: Some(directory.join(".treadle_cache")),
    };
    check(&request, &Progress::default()).expect("the configuration is empty")
}

fn problems(outcome: &Outcome) -> Vec<String> {
    let shown = |problem: &treadle_finding::Problem| {
        let name = problem.path.file_name().map(|name| name.to_string_lossy().into_owned());
        format!("{}: {}", name.unwrap_or_default(), problem.message)
    };
    outcome.problems.iter().map(shown).collect()
}

fn project() -> TempDir {
    let directory = TempDir::new().expect("there is room for tests");
    fs::write(directory.path().join("app.py"), BLOCKING).expect("writable");
    directory
}

#[test]
fn huge_files_are_left_out() {
    let directory = project();
    let huge = fs::File::create(directory.path().join("huge.py")).expect("writable");
    huge.set_len(treadle_program::source::LARGEST as u64 + 1).expect("sparse");
    let outcome = checked(directory.path(), &[directory.path().to_path_buf()]);
    let [problem] = problems(&outcome).try_into().expect("one problem");
    assert!(problem.starts_with("huge.py: cannot be read: the file is larger than"), "{problem}");
    assert_eq!(outcome.findings.len(), 1);
}

#[cfg(unix)]
#[test]
fn pipes_are_not_waited_for() {
    let directory = project();
    let pipe = directory.path().join("pipe.py");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo is everywhere");
    assert!(made.success());
    let outcome = checked(directory.path(), &[directory.path().to_path_buf(), pipe]);
    assert_eq!(problems(&outcome), ["pipe.py: is no regular file"]);
    assert_eq!(outcome.findings.len(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_no_text_are_files_like_others() {
    use std::os::unix::ffi::OsStrExt;
    let directory = project();
    fs::write(directory.path().join(std::ffi::OsStr::from_bytes(b"\xff.py")), BLOCKING).expect("writable");
    let outcome = checked(directory.path(), &[directory.path().to_path_buf()]);
    assert_eq!(outcome.findings.len(), 2);
}

#[test]
fn directories_named_like_modules_are_walked() {
    let directory = project();
    fs::create_dir(directory.path().join("package.py")).expect("writable");
    fs::write(directory.path().join("package.py/inner.py"), BLOCKING).expect("writable");
    let outcome = checked(directory.path(), &[directory.path().to_path_buf()]);
    assert_eq!((outcome.findings.len(), outcome.problems.len()), (2, 0));
}

#[test]
fn runs_at_the_same_time_do_not_disturb_each_other() {
    let directory = project();
    for number in 0..50 {
        fs::write(directory.path().join(format!("module_{number}.py")), format!("{BLOCKING}# {number}\n"))
            .expect("writable");
    }
    let paths = [directory.path().to_path_buf()];
    let counts: Vec<usize> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..8).map(|_| scope.spawn(|| checked(directory.path(), &paths).findings.len())).collect();
        runs.into_iter().map(|run| run.join().expect("no run panics")).collect()
    });
    assert_eq!(counts, [51; 8]);
    assert_eq!(checked(directory.path(), &paths).findings.len(), 51);
}

#[test]
fn empty_and_odd_texts_have_no_findings() {
    let directory = project();
    for (name, text) in
        [("a.py", ""), ("b.py", "\u{feff}"), ("c.py", "\r\r\n\n"), ("d.py", "\\"), ("e.py", "#"), ("f.py", "\u{c}")]
    {
        fs::write(directory.path().join(name), text).expect("writable");
    }
    let outcome = checked(directory.path(), &[directory.path().to_path_buf()]);
    let names: Vec<&str> = outcome.findings.iter().map(|finding| finding.about.name).collect();
    assert!(names.iter().all(|name| matches!(*name, "blocking-call" | "syntax-error")), "{names:?}");
    assert!(outcome.problems.is_empty());
}
