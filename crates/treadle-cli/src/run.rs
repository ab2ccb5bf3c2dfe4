//! `treadle run`: becomes the interpreter, with the program's command line and a file that brings the loop.
//!
//! The interpreter runs the program itself, so arguments, tracebacks, signals and exit codes are its own. What it gets from
//! here is `PYTHONPATH` with the package's `launch` directory in front, from where it imports `sitecustomize`; that file
//! takes the directory out again. Which interpreter, and where it has its treadle, is decided here.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::arguments::Run;

pub(crate) fn run(options: &Run) -> anyhow::Result<u8> {
    if cfg!(not(unix)) {
        bail!("treadle's event loop is for Linux and macOS");
    }
    let arguments = || options.python_option.iter().chain(&options.command);
    check_options(arguments().map(OsString::as_os_str))?;
    let python = interpreter(options.python.as_deref())?;
    become_program(launched(&python)?.args(arguments())).with_context(|| python.display().to_string())
}

/// The interpreter with our file before its program, as a command that lacks the program.
pub(crate) fn launched(python: &Path) -> anyhow::Result<Command> {
    let Some(mut path) = launch_directory(python).map(PathBuf::into_os_string) else {
        let python = python.display();
        bail!(
            "`{python}` has no treadle. Install it there with `{python} -m pip install treadle`, or name another interpreter \
             with `--python`"
        );
    };
    // Empty is like unset, but nothing after a colon is the current directory.
    if let Some(inherited) = std::env::var_os("PYTHONPATH").filter(|inherited| !inherited.is_empty()) {
        path.push(":");
        path.push(inherited);
    }
    let mut command = Command::new(python);
    command.env("PYTHONPATH", path);
    Ok(command)
}

/// Replaces this process; the program keeps its number, its terminal and its place in the shell's jobs.
#[cfg(unix)]
fn become_program(command: &mut Command) -> anyhow::Result<u8> {
    Err(std::os::unix::process::CommandExt::exec(command).into())
}

#[cfg(not(unix))]
fn become_program(_: &mut Command) -> anyhow::Result<u8> {
    bail!("a process cannot become another here")
}

/// Refuses options of the interpreter that would keep the loop out, and such that it does not have: a slip in one of ours.
pub(crate) fn check_options<'a>(mut arguments: impl Iterator<Item = &'a OsStr>) -> anyhow::Result<()> {
    const LONG: [&str; 5] = ["--version", "--help", "--help-all", "--help-env", "--help-xoptions"];
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy();
        if text == "--check-hash-based-pycs" {
            arguments.next();
        } else if text.starts_with("--") && text.len() > 2 {
            if !LONG.contains(&&*text) {
                bail!("neither `treadle run` nor Python has an option `{text}`");
            }
        } else {
            match letters(&text)? {
                Next::Option => {}
                Next::Value => drop(arguments.next()),
                Next::Program => return Ok(()),
            }
        }
    }
    Ok(())
}

/// What stands after a word of the interpreter's command line.
enum Next {
    Option,
    Value,
    Program,
}

/// Looks through the letters of a word such as `-uX`.
fn letters(word: &str) -> anyhow::Result<Next> {
    let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty() && *letters != "-") else {
        return Ok(Next::Program);
    };
    for (at, letter) in letters.char_indices() {
        match letter {
            'c' | 'm' => return Ok(Next::Program),
            // The value is the rest of the word, or the next one.
            'W' | 'X' => return Ok(if at + 1 == letters.len() { Next::Value } else { Next::Option }),
            'E' | 'I' | 'S' => {
                bail!("`treadle run` cannot bring its loop into a Python that is started with `-{letter}`")
            }
            _ => {}
        }
    }
    Ok(Next::Option)
}

/// The one named, else the one beside this program, else the active environment's, else the first `python3` there is.
pub(crate) fn interpreter(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(named) = named {
        let found = if named.is_dir() { inside(&named.join("bin")) } else { Some(named.to_path_buf()) };
        return found.filter(|path| path.is_file()).or_else(|| on_path(named.as_os_str())).with_context(|| {
            format!("`{}` is neither a Python interpreter nor an environment with one", named.display())
        });
    }
    // The program may be reached by a link from elsewhere; its environment is where the file itself is.
    let program = std::env::current_exe().and_then(std::fs::canonicalize).ok();
    let active = std::env::var_os("VIRTUAL_ENV").map(|environment| Path::new(&environment).join("bin"));
    program
        .as_deref()
        .and_then(Path::parent)
        .and_then(inside)
        .or_else(|| active.as_deref().and_then(inside))
        .or_else(|| on_path(OsStr::new("python3")))
        .context("there is no Python beside `treadle`, in `VIRTUAL_ENV` or on `PATH`. Name one with `--python`")
}

fn inside(directory: &Path) -> Option<PathBuf> {
    ["python3", "python"].iter().map(|name| directory.join(name)).find(|path| path.is_file())
}

fn on_path(name: &OsStr) -> Option<PathBuf> {
    let directories = std::env::var_os("PATH")?;
    std::env::split_paths(&directories).map(|directory| directory.join(name)).find(|path| path.is_file())
}

/// Where the interpreter's own treadle has what comes before a program.
fn launch_directory(python: &Path) -> Option<PathBuf> {
    beside(python).or_else(|| asked(python)).filter(|directory| directory.join("sitecustomize.py").is_file())
}

/// Looks where installers put packages. Only where one version of Python has packages can it be this one's.
fn beside(python: &Path) -> Option<PathBuf> {
    let prefix_of = |python: &Path| Some(python.parent()?.parent()?.to_path_buf());
    // An environment's interpreter is a link out of it, so the link itself says where the environment is.
    let prefix = prefix_of(python).filter(|prefix| prefix.join("pyvenv.cfg").is_file());
    let prefix = prefix.or_else(|| prefix_of(&std::fs::canonicalize(python).ok()?))?;
    let entries = std::fs::read_dir(prefix.join("lib")).ok()?;
    let mut packages = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("python3"))
        .map(|entry| entry.path().join("site-packages"))
        .filter(|directory| directory.is_dir());
    let directory = packages.next().filter(|_| packages.next().is_none())?.join("treadle").join("launch");
    directory.is_dir().then_some(directory)
}

/// Asks the interpreter itself, which takes as long as starting it.
fn asked(python: &Path) -> Option<PathBuf> {
    const QUESTION: &str = "import os, sys, treadle; \
        sys.stdout.buffer.write(os.fsencode(os.path.join(os.path.dirname(treadle.__file__), 'launch')))";
    // `-P`: a directory of this name where we stand is not the package.
    let answer = Command::new(python).args(["-P", "-c", QUESTION]).stderr(Stdio::null()).output().ok()?;
    answer.status.success().then(|| path_of(answer.stdout))
}

#[cfg(unix)]
fn path_of(bytes: Vec<u8>) -> PathBuf {
    <OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes).into()
}

#[cfg(not(unix))]
fn path_of(bytes: Vec<u8>) -> PathBuf {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str) -> String {
        let answer = check_options(line.split(' ').map(OsStr::new));
        answer.map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn options_that_keep_the_loop_out_are_refused() {
        for line in ["-I app.py", "-uI app.py", "-X dev -E -m app", "-Xdev -W error -sS app.py"] {
            assert!(
                check(line).starts_with("`treadle run` cannot bring its loop into a Python that is started with `-"),
                "{line}"
            );
        }
    }

    #[test]
    fn misspelt_options_are_refused() {
        assert_eq!(check("--watsh app.py"), "neither `treadle run` nor Python has an option `--watsh`");
        assert_eq!(check("--check-hash-based-pycs always --watsh app.py").len(), check("--watsh app.py").len());
    }

    #[test]
    fn what_comes_after_the_program_is_its_own() {
        for line in [
            "app.py -I --watsh",
            "-m app -I",
            "-mapp -I",
            "-c code -I",
            "- -I",
            "-- app.py -I",
            "-uBmI -S",
            "-W -I -X -S app.py",
        ] {
            assert_eq!(check(line), "", "{line}");
        }
    }
}
