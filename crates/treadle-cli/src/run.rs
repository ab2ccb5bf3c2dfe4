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

mod script;
#[cfg(unix)]
pub(crate) mod watch;

pub(crate) fn run(options: &Run) -> anyhow::Result<u8> {
    if cfg!(not(unix)) {
        bail!("treadle's event loop is for Linux and macOS. Run the program with `python` here");
    }
    let mut arguments: Vec<OsString> = options.python_option.iter().chain(&options.command).cloned().collect();
    let program = program("treadle run", arguments.iter().map(OsString::as_os_str))?;
    #[cfg(unix)]
    let mut settings = options.watches().map(|format| watch::settings(options, format)).transpose()?;
    #[cfg(unix)]
    if let Some(record) = settings.as_mut().and_then(|settings| settings.record.as_mut()) {
        (record.title, record.environment) = watch::about(&arguments, program);
    }
    let python = interpreter(options.python.as_deref())?;
    let words = [(options.keep_uvloop, "keep-uvloop"), (options.verbose, "verbose")];
    let words: Vec<_> = words.into_iter().filter_map(|(is_set, word)| is_set.then_some(word)).collect();
    let mut command = launched(&python, &words.join("\n"))?;
    if options.check {
        arguments.extend(["-P", "-m", "treadle.hosts.check"].map(OsString::from));
    } else {
        find_script(&mut arguments, program, &python)?;
    }
    command.args(arguments);
    #[cfg(unix)]
    if let Some(settings) = settings {
        return watch::watch(command, settings, options);
    }
    become_program(&mut command).with_context(|| python.display().to_string())
}

/// Puts the file of a console script in the place of its name.
fn find_script(arguments: &mut [OsString], program: Option<usize>, python: &Path) -> anyhow::Result<()> {
    if let Some(script) = program.and_then(|at| arguments.get_mut(at))
        && let Some(found) = script::find(script, python)?
    {
        *script = found.into_os_string();
    }
    Ok(())
}

/// What `treadle run` would give the interpreter; `us` is the command that says so if it cannot.
pub(crate) fn arguments(us: &str, command: &[OsString], python: &Path) -> anyhow::Result<Vec<OsString>> {
    let mut arguments = command.to_vec();
    let program = program(us, arguments.iter().map(OsString::as_os_str))?;
    find_script(&mut arguments, program, python)?;
    Ok(arguments)
}

/// The interpreter with our file before its program, as a command that lacks the program; the words are that file's, each
/// on a line of its own.
pub(crate) fn launched(python: &Path, words: &str) -> anyhow::Result<Command> {
    let Some(mut path) = launch_directory(python).map(PathBuf::into_os_string) else {
        bail!("{}", without_treadle(python));
    };
    // Empty is like unset, but nothing after a colon is the current directory.
    if let Some(inherited) = std::env::var_os("PYTHONPATH").filter(|inherited| !inherited.is_empty()) {
        path.push(":");
        path.push(inherited);
    }
    let mut command = Command::new(python);
    command.env("PYTHONPATH", path).env_remove(OPTIONS).env_remove("TREADLE_WATCH");
    if !words.is_empty() {
        command.env(OPTIONS, words);
    }
    Ok(command)
}

/// Where the launch file finds the options that are meant for it.
const OPTIONS: &str = "TREADLE_RUN";

/// Replaces this process; the program keeps its number, its terminal and its place in the shell's jobs.
#[cfg(unix)]
fn become_program(command: &mut Command) -> anyhow::Result<u8> {
    Err(std::os::unix::process::CommandExt::exec(command).into())
}

#[cfg(not(unix))]
fn become_program(_: &mut Command) -> anyhow::Result<u8> {
    bail!("a process cannot become another here")
}

/// Finds the word that names a script. Refuses options of the interpreter that would keep the loop out, and such that it
/// does not have: a slip in one of ours.
fn program<'a>(us: &str, arguments: impl Iterator<Item = &'a OsStr>) -> anyhow::Result<Option<usize>> {
    const LONG: [&str; 5] = ["--version", "--help", "--help-all", "--help-env", "--help-xoptions"];
    let mut arguments = arguments.enumerate();
    while let Some((at, argument)) = arguments.next() {
        let text = argument.to_string_lossy();
        if text == "--check-hash-based-pycs" {
            arguments.next();
        } else if text == "--" {
            return Ok(arguments.next().map(|(at, _)| at));
        } else if text.starts_with("--") {
            let name = text.split('=').next().unwrap_or_default();
            if !LONG.contains(&name) && crate::arguments::has_option(us, name) {
                bail!(
                    "`{name}` is an option of `{us}`, and stands behind one of Python's. Put it directly behind `{us}`"
                );
            }
            if !LONG.contains(&&*text) {
                bail!(
                    "neither `{us}` nor Python has an option `{text}`. Put the program's own options behind its name; \
                     `{us} --help` lists ours"
                );
            }
        } else {
            match letters(us, &text)? {
                Next::Option => {}
                Next::Value => drop(arguments.next()),
                Next::Code => return Ok(None),
                Next::Script => return Ok(Some(at)),
            }
        }
    }
    Ok(None)
}

/// What a word of the interpreter's command line is, or what stands after it.
enum Next {
    Option,
    Value,
    /// Code, a module or standard input.
    Code,
    Script,
}

/// Looks through the letters of a word such as `-uX`.
fn letters(us: &str, word: &str) -> anyhow::Result<Next> {
    let Some(letters) = word.strip_prefix('-') else {
        return Ok(Next::Script);
    };
    if letters.is_empty() {
        return Ok(Next::Code);
    }
    for (at, letter) in letters.char_indices() {
        match letter {
            'c' | 'm' => return Ok(Next::Code),
            // The value is the rest of the word, or the next one.
            'W' | 'X' => return Ok(if at + 1 == letters.len() { Next::Value } else { Next::Option }),
            'E' | 'I' | 'S' => {
                bail!(
                    "`{us}` cannot bring its loop into a Python that is started with `-{letter}`. \
                     Leave it out, or call `treadle.run` in the program"
                )
            }
            _ => {}
        }
    }
    Ok(Next::Option)
}

/// The one named, else the one beside this program, else the active environment's, else the first `python3` there is.
pub(crate) fn interpreter(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(named) = named {
        // A name alone is looked for on `PATH` by whoever starts it, even if there is such a file here.
        let here = || if named.components().count() == 1 { Path::new(".").join(named) } else { named.to_path_buf() };
        let found = if named.is_dir() { inside(&named.join("bin")) } else { Some(here()) };
        return found.filter(|path| path.is_file()).or_else(|| on_path(named.as_os_str())).with_context(|| {
            format!(
                "`{}` is neither a Python interpreter nor an environment with one. Name a file such as \
                 `.venv/bin/python`, or a directory such as `.venv`",
                named.display()
            )
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

pub(crate) fn on_path(name: &OsStr) -> Option<PathBuf> {
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

/// Says why an interpreter has no treadle, and what to do.
fn without_treadle(python: &Path) -> String {
    // Exits with 1 where it could be installed. Any Python can say this, and nothing else does.
    const QUESTION: &str = "import sys; sys.stdout.write('Python %d.%d' % sys.version_info[:2]); \
        sys.exit(sys.version_info >= (3, 11))";
    let answer = Command::new(python).args(["-c", QUESTION]).stdin(Stdio::null()).stderr(Stdio::null()).output().ok();
    let version = answer.as_ref().map(|answer| String::from_utf8_lossy(&answer.stdout));
    let python = python.display();
    match (answer.as_ref(), version.filter(|version| version.starts_with("Python "))) {
        (Some(answer), Some(version)) if answer.status.success() => format!(
            "treadle's event loop needs Python 3.11 or newer, and `{python}` is {version}. Name another interpreter with \
             `--python`"
        ),
        (_, Some(_)) => format!(
            "`{python}` has no treadle. Install it there with `{python} -m pip install treadle`, or name another \
             interpreter with `--python`"
        ),
        _ => format!(
            "`{python}` is no Python interpreter that starts. Name one with `--python`, or the directory of its environment"
        ),
    }
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
        let answer = program("treadle run", line.split(' ').map(OsStr::new));
        answer.map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn script_is_the_first_word_that_is_none_of_an_option() {
        for (line, wanted) in [
            ("uvicorn app:app", Some(0)),
            ("-W ignore -uX dev uvicorn -m app", Some(4)),
            ("-- uvicorn", Some(1)),
            ("-m uvicorn", None),
            ("-um uvicorn", None),
            ("-c uvicorn", None),
            ("- uvicorn", None),
            ("-V", None),
        ] {
            assert_eq!(program("treadle run", line.split(' ').map(OsStr::new)).ok().flatten(), wanted, "{line}");
        }
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
        assert_eq!(
            check("--watsh app.py"),
            "neither `treadle run` nor Python has an option `--watsh`. Put the program's own options behind its name; \
             `treadle run --help` lists ours"
        );
        assert_eq!(
            check("-X dev --python=.venv app.py"),
            "`--python` is an option of `treadle run`, and stands behind one of Python's. Put it directly behind `treadle run`"
        );
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
