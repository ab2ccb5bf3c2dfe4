//! Console scripts: what `treadle run uvicorn` names.
//!
//! A file of that name in the current directory comes first, as it does for `python`; then what installers have put beside
//! the interpreter; then what a shell would find. Only scripts in Python can be run by the interpreter, and one that was
//! installed for another interpreter would not find its modules.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::on_path;

/// The file that a bare name stands for, and nothing for what the interpreter finds, or fails to find, by itself.
pub(super) fn find(name: &OsStr, python: &Path) -> anyhow::Result<Option<PathBuf>> {
    if !is_bare(name) || Path::new(name).exists() {
        return Ok(None);
    }
    let beside = python.parent().map(|directory| directory.join(name)).filter(|path| path.is_file());
    let is_beside = beside.is_some();
    let Some(found) = beside.or_else(|| on_path(name)) else {
        bail!(
            "there is no `{}` here, beside `{}` or on `PATH`. Install what has it into that interpreter, or name another \
             with `--python`",
            name.display(),
            python.display()
        );
    };
    let mut opening = Vec::new();
    let read = File::open(&found).and_then(|file| file.take(2048).read_to_end(&mut opening));
    read.with_context(|| found.display().to_string())?;
    match opener(&String::from_utf8_lossy(&opening)) {
        Opener::Other => bail!(
            "`{}` is no Python script, and only those can be run on treadle's loop. Name the script or module that it \
             starts",
            found.display()
        ),
        Opener::Python(other) if !is_beside && is_elsewhere(&other, python) => bail!(
            "`{}` belongs to `{}`, and not to `{}`. Run it with `--python {}`, which needs treadle, too",
            found.display(),
            other.display(),
            python.display(),
            other.display()
        ),
        Opener::Python(_) => Ok(Some(found)),
    }
}

/// Whether this can be a command's name. Files with an ending are Python's business, and so are its words about them.
fn is_bare(name: &OsStr) -> bool {
    const FILES: [&str; 6] = ["py", "pyc", "pyz", "pyw", "zip", "ipynb"];
    let path = Path::new(name);
    let is_file = path.extension().is_some_and(|ending| FILES.iter().any(|known| ending == *known));
    path.components().count() == 1 && path.file_name() == Some(name) && !is_file
}

/// What the first line says to open the file with.
#[derive(Debug, PartialEq, Eq)]
enum Opener {
    Python(PathBuf),
    Other,
}

fn opener(text: &str) -> Opener {
    let mut lines = text.lines();
    let Some(line) = lines.next().and_then(|line| line.strip_prefix("#!")) else {
        return Opener::Other;
    };
    let is_python = |word: &&str| word.rsplit('/').next().is_some_and(|file| file.starts_with("python"));
    // `/usr/bin/env python3`, or a path that may have blanks in it.
    let line = line.trim();
    let found =
        if line.contains("/env ") { line.split_whitespace().find(is_python) } else { Some(line).filter(is_python) };
    // Where the path is too long for the kernel, a shell executes the second line, which is a string for Python.
    let found = found.or_else(|| {
        let second = lines.next()?.strip_prefix("'''exec'")?.trim();
        let quoted = second.strip_prefix('"').and_then(|rest| rest.split('"').next());
        quoted.or_else(|| second.split(' ').next()).filter(is_python)
    });
    found.map_or(Opener::Other, |path| Opener::Python(path.split(" -").next().unwrap_or(path).into()))
}

/// Whether a script's interpreter is in another directory than ours. One without a directory is whichever comes.
fn is_elsewhere(other: &Path, python: &Path) -> bool {
    let directory = |path: &Path| path.parent().and_then(|parent| std::fs::canonicalize(parent).ok());
    other.is_absolute() && directory(other).is_some() && directory(other) != directory(python)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines_of_installers_are_known() {
        let python = |path: &str| Opener::Python(path.into());
        for (text, wanted) in [
            ("#!/venv/bin/python\nimport re", python("/venv/bin/python")),
            ("#!/venv/bin/python3.13 -s\n", python("/venv/bin/python3.13")),
            ("#!/usr/bin/env python3\n", python("python3")),
            ("#!/usr/bin/env -S python3 -u\n", python("python3")),
            ("#!/bin/sh\n'''exec' \"/a b/bin/python\" \"$0\" \"$@\"\n' '''\n", python("/a b/bin/python")),
            ("#!/bin/sh\n'''exec' /venv/bin/python3 \"$0\" \"$@\"\n' '''\n", python("/venv/bin/python3")),
            ("#!/bin/sh\nexec python\n", Opener::Other),
            ("\x7fELF", Opener::Other),
            ("", Opener::Other),
        ] {
            assert_eq!(opener(text), wanted, "{text}");
        }
    }

    #[test]
    fn files_are_left_to_python() {
        for name in ["app.py", "./app", "shop/app", "shop.zip", "..", "."] {
            assert!(!is_bare(OsStr::new(name)), "{name}");
        }
        for name in ["uvicorn", "flask3.11", "pip3.13"] {
            assert!(is_bare(OsStr::new(name)), "{name}");
        }
    }
}
