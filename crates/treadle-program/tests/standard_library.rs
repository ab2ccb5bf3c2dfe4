//! Lowering of real and of damaged files: no panic, and every promise of the tables holds.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

use rayon::prelude::*;
use treadle_program::{facts::FileFacts, lower, source};

fn standard_library() -> Vec<PathBuf> {
    let program = "import sysconfig; print(sysconfig.get_path('stdlib'))";
    let output = Command::new("python3").args(["-c", program]).output().unwrap();
    let root = String::from_utf8(output.stdout).unwrap();
    let mut files = Vec::new();
    collect(Path::new(root.trim()), &mut files);
    files.sort();
    assert!(files.len() > 500, "the standard library has many files");
    files
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("site-packages") {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "py") {
            files.push(path);
        }
    }
}

fn check(text: &str) -> Result<FileFacts, String> {
    let facts = lower::file(text);
    lower::validate(&facts).map(|()| facts)
}

#[test]
fn every_file_of_the_standard_library_is_lowered_soundly() {
    standard_library().par_iter().for_each(|path| {
        let Ok(text) = source::decode(&std::fs::read(path).unwrap()) else { return };
        let facts = check(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let again: FileFacts = bitcode::decode(&bitcode::encode(&facts)).unwrap();
        assert!(facts == again, "{}: facts differ after a round through bytes", path.display());
    });
}

/// A small generator of its own, so that a failure can be repeated from its seed alone.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

fn damage(text: &str, random: &mut Random) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let pieces = [
        "(",
        ")",
        "[",
        "]",
        ":",
        "\"\"\"",
        "await ",
        "async ",
        "lambda ",
        "yield ",
        "try:\n",
        "finally:\n",
        "\t",
        "= ",
        "f'{",
        "*",
        "match x:\n  case ",
    ];
    for _ in 0..=random.below(6) {
        if lines.is_empty() {
            break;
        }
        let at = random.below(lines.len());
        let other = random.below(lines.len());
        match random.below(5) {
            0 => drop(lines.remove(at)),
            1 => lines.swap(at, other),
            2 => lines.insert(at, lines[other].clone()),
            _ => {
                let piece = pieces[random.below(pieces.len())];
                let line = &mut lines[at];
                let mut cut = random.below(line.len() + 1);
                while !line.is_char_boundary(cut) {
                    cut -= 1;
                }
                line.insert_str(cut, piece);
            }
        }
    }
    lines.join("\n")
}

fn rounds(default: usize) -> usize {
    std::env::var("TREADLE_FUZZ_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(default)
}

#[test]
fn damaged_files_are_lowered_soundly() {
    let files = standard_library();
    (0..rounds(400)).into_par_iter().for_each(|round| {
        let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ (round as u64 + 1).wrapping_mul(0xD134_2543_DE82_EF95));
        let path = &files[random.below(files.len())];
        let Ok(text) = source::decode(&std::fs::read(path).unwrap()) else { return };
        let text: String = text.chars().take(40_000).collect();
        let damaged = damage(&text, &mut random);
        check(&damaged).unwrap_or_else(|error| panic!("round {round}, {}: {error}", path.display()));
    });
}

#[test]
fn arbitrary_bytes_are_lowered_soundly() {
    (0..rounds(400)).into_par_iter().for_each(|round| {
        let mut random = Random(0xA076_1D64_78BD_642F ^ (round as u64 + 1).wrapping_mul(0xE703_7ED1_A0B4_28DB));
        let length = random.below(2_000);
        let bytes: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
        if let Ok(text) = source::decode(&bytes) {
            check(&text).unwrap_or_else(|error| panic!("round {round}: {error}"));
        }
        let text: String = bytes.iter().map(|byte| char::from(b' ' + byte % 95)).collect();
        check(&text).unwrap_or_else(|error| panic!("round {round}: {error}"));
    });
}

#[test]
fn deep_nesting_is_a_syntax_error_and_no_overflow() {
    let deep = [
        format!("{}1{}", "(".repeat(5_000), ")".repeat(5_000)),
        format!("x{}", ".a".repeat(50_000)),
        format!("x = {}1", "-".repeat(5_000)),
        format!("x = 1{}", " + 1".repeat(50_000)),
        format!("x{}", "[0]".repeat(20_000)),
    ];
    for text in deep {
        let name: String = text.chars().take(12).collect();
        let worker = std::thread::Builder::new().stack_size(64 << 20).spawn(move || check(&text).unwrap()).unwrap();
        let facts = worker.join().unwrap();
        assert!(!facts.syntax_errors.is_empty() || !facts.exprs.is_empty(), "{name}");
    }
}
