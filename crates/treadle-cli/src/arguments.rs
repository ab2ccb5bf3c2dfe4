//! What may be written on the command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, CommandFactory, Parser, Subcommand, ValueEnum};

/// Finds asyncio's pitfalls in Python programs, and runs them on an event loop written in Rust.
#[derive(Debug, Parser)]
#[command(name = "treadle", version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Read a program and report the pitfalls in it
    Check(Box<Check>),
    /// Run a program on treadle's event loop
    Run(Run),
    /// Show what a program under `treadle run --watch` is doing: loops, tasks, waits, findings
    Snapshot(Snapshot),
    /// Show what was recorded by `treadle run --record`: a page, a trace, a flame graph, findings
    Report(Report),
    /// Watch a program under `treadle run --watch` in a terminal: findings, tasks, waits, time
    Top(Top),
    /// Measure a program, a server or a built-in load on several event loops
    Bench(Bench),
    /// Print the page of a pitfall
    Explain(Explain),
    /// List the pitfalls
    Pitfalls(Pitfalls),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

const EXAMPLES: &str = "\
Examples:
  treadle check                         the program below the current directory
  treadle check src tests --tier certain
  treadle check --fix                   apply the safe fixes
  treadle check --unsafe-fixes --diff   show what all fixes would change
  treadle check - --stdin-filename app/views.py < app/views.py

Exit codes: 0 clean, 1 findings, 2 could not work.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Check {
    /// Files and directories; `-` reads one file from standard input
    #[arg(default_value = ".")]
    pub(crate) paths: Vec<PathBuf>,

    /// How findings are written
    #[arg(long, value_enum, default_value_t = Format::Full)]
    pub(crate) output_format: Format,
    /// Count findings by pitfall instead of listing them
    #[arg(long)]
    pub(crate) statistics: bool,
    /// When to colour
    #[arg(long, visible_alias = "colour", value_enum, default_value_t = Colour::Auto)]
    pub(crate) color: Colour,
    /// Write nothing but what was asked for: no progress, no closing line
    #[arg(long, short)]
    pub(crate) quiet: bool,

    /// Only these pitfalls
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "What is reported")]
    pub(crate) select: Vec<String>,
    /// Not these pitfalls
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "What is reported")]
    pub(crate) ignore: Vec<String>,
    /// These pitfalls as well
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "What is reported")]
    pub(crate) extend_select: Vec<String>,
    /// The least sure tier to report: `certain`, `likely` or `advisory`
    #[arg(long, help_heading = "What is reported")]
    pub(crate) tier: Option<String>,
    /// Exit with 0 even if there are findings
    #[arg(long, help_heading = "What is reported")]
    pub(crate) exit_zero: bool,

    /// Apply the safe fixes
    #[arg(long, help_heading = "Fixes")]
    pub(crate) fix: bool,
    /// Apply fixes that may change behaviour, too
    #[arg(long, help_heading = "Fixes")]
    pub(crate) unsafe_fixes: bool,
    /// Print what fixes would change, and change nothing
    #[arg(long, help_heading = "Fixes")]
    pub(crate) diff: bool,
    /// Put an ignore comment on each finding's line
    #[arg(long, help_heading = "Fixes", conflicts_with_all = ["fix", "unsafe_fixes", "diff"])]
    pub(crate) add_ignore: bool,

    /// The settings' file
    #[arg(long, value_name = "FILE", help_heading = "Which files, which settings")]
    pub(crate) config: Option<PathBuf>,
    /// Use no settings' file
    #[arg(long, conflicts_with = "config", help_heading = "Which files, which settings")]
    pub(crate) isolated: bool,
    /// Pass over files of these patterns
    #[arg(long, value_name = "PATTERN", value_delimiter = ',', help_heading = "Which files, which settings")]
    pub(crate) exclude: Vec<String>,
    /// The name standard input goes by
    #[arg(long, value_name = "FILE", help_heading = "Which files, which settings")]
    pub(crate) stdin_filename: Option<PathBuf>,
    /// List the files that would be checked
    #[arg(long, help_heading = "Which files, which settings")]
    pub(crate) show_files: bool,
    /// The program's environment: an interpreter or a virtual environment's directory
    #[arg(long, value_name = "PATH", help_heading = "Which files, which settings")]
    pub(crate) python: Option<PathBuf>,
    /// The oldest Python the program is for
    #[arg(long, value_name = "VERSION", help_heading = "Which files, which settings")]
    pub(crate) python_version: Option<String>,
    /// Follow chains of calls into installed packages
    #[arg(long, help_heading = "Which files, which settings")]
    pub(crate) follow_installed: bool,
    /// Neither read nor write the cache
    #[arg(long, help_heading = "Which files, which settings")]
    pub(crate) no_cache: bool,
    /// Where the cache is [default: `.treadle_cache` in the project]
    #[arg(long, value_name = "DIRECTORY", help_heading = "Which files, which settings")]
    pub(crate) cache_dir: Option<PathBuf>,
}

const RUN_USAGE: &str = "\
treadle run [OPTION]... <SCRIPT> [ARGUMENT]...
       treadle run [OPTION]... -m <MODULE> [ARGUMENT]...
       treadle run [OPTION]... -c <CODE> [ARGUMENT]...
       treadle run --check [--python <PATH>]";

const RUN_NOTES: &str = "\
The program runs as `python` runs it, with the same arguments, modules, tracebacks and signals; only
where asyncio makes an event loop by default, or a program or server asks for uvloop's, it gets
treadle's. A loop, a factory or a policy that the program chooses itself is left alone. Processes
follow that are forked or started by `multiprocessing`; others are on asyncio's loop.

A script may be a console script, such as `uvicorn`: it is looked for beside the interpreter and on
`PATH` if there is no such file here. Python's own options come after those of `treadle run`.

Examples:
  treadle run app.py --port 8000
  treadle run -m shop.service
  treadle run uvicorn shop.service:app --reload
  treadle run -X dev -W error app.py
  treadle run --python .venv app.py

Exit codes: the program's own; 2 also when it could not be started, 3 by `--fail-on`. With `--check`: 0 all hosts are
caught, 1 some are not, 2 could not work.";

#[derive(Args, Debug)]
#[command(override_usage = RUN_USAGE, after_help = RUN_NOTES, group = ArgGroup::new("watching").multiple(true))]
pub(crate) struct Run {
    /// An interpreter, or its environment's directory [default: the one treadle is installed in,
    /// else the active environment's, else `python3`]
    #[arg(long, value_name = "PATH", overrides_with = "python")]
    pub(crate) python: Option<PathBuf>,
    /// Leave uvloop's loops to those who ask for them
    #[arg(long)]
    pub(crate) keep_uvloop: bool,
    /// Say on standard error what is changed; Python's own `-v` is `PYTHONVERBOSE=1`
    #[arg(long, short, overrides_with = "verbose")]
    pub(crate) verbose: bool,
    /// List the servers and frameworks that the interpreter has, and how each comes to the loop
    #[arg(long)]
    pub(crate) check: bool,
    /// Have the doctor watch the program and say what is wrong in it, at which line: while it runs,
    /// and all of it at the end; `--watch=json` writes an object on each line, `--watch=logging` hands
    /// it to the program's own `logging`, as `treadle.doctor`
    #[arg(
        long,
        value_name = "FORMAT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "text",
        value_parser = ["text", "json", "logging"],
        conflicts_with = "check",
        group = "watching",
        help_heading = "The doctor"
    )]
    pub(crate) watch: Option<String>,
    /// Keep what happens in a file for `treadle report`, also if the program is killed; children make
    /// theirs beside it; implies `--watch`
    #[arg(long, value_name = "FILE", conflicts_with = "check", group = "watching", help_heading = "The doctor")]
    pub(crate) record: Option<PathBuf>,
    /// How large that file is, however long the program runs: half of it is for the last events, of
    /// 32 bytes; at least 4M [default: 64M]
    #[arg(long, value_name = "SIZE", value_parser = size, requires = "watching", help_heading = "The doctor")]
    pub(crate) record_size: Option<u64>,
    /// Write a page that shows what has happened, at the end, and one beside it for each child; implies
    /// `--watch`
    #[arg(long, value_name = "HTML", conflicts_with = "check", group = "watching", help_heading = "The doctor")]
    pub(crate) report: Option<PathBuf>,
    /// Write findings to the end of a file, or to a descriptor's number [default: 2]
    #[arg(long, value_name = "FILE", requires = "watching", help_heading = "The doctor")]
    pub(crate) watch_to: Option<PathBuf>,
    /// End with 3 if one of these pitfalls was met and the program itself ends with 0; `any` is all
    #[arg(long, value_name = "NAME", value_delimiter = ',', requires = "watching", help_heading = "The doctor")]
    pub(crate) fail_on: Vec<String>,
    /// From when on something is too much: `blocked-loop=50ms`
    #[arg(long, value_name = "NAME=TIME", requires = "watching", value_parser = pair, help_heading = "The doctor")]
    pub(crate) threshold: Vec<(String, String)>,
    /// Do not report what stands in this file; `--write-baseline` makes it
    #[arg(long, value_name = "FILE", requires = "watching", help_heading = "The doctor")]
    pub(crate) baseline: Option<PathBuf>,
    /// Write what is found to a file for `--baseline`, at the end
    #[arg(long, value_name = "FILE", requires = "watching", help_heading = "The doctor")]
    pub(crate) write_baseline: Option<PathBuf>,
    /// Watch, and serve metrics for Prometheus at this address, from a thread that a blocked loop does not
    /// keep: `127.0.0.1:9464`, or the port alone
    #[arg(long, value_name = "ADDRESS", conflicts_with = "check", help_heading = "The doctor")]
    pub(crate) metrics: Option<String>,
    /// What comes before the rest of the command, from `python -m treadle`
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub(crate) python_option: Vec<OsString>,
    /// What `python` would be given: its own options, then a script, a directory or zip file with a
    /// `__main__.py`, `-m` and a module, `-c` and code, or `-` for standard input, then arguments
    #[arg(
        required_unless_present = "check",
        conflicts_with = "check",
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    pub(crate) command: Vec<OsString>,
}

impl Run {
    /// How findings are written, if the program is to be watched.
    pub(crate) fn watches(&self) -> Option<&str> {
        let is_wanted = self.metrics.is_some() || self.record.is_some() || self.report.is_some();
        self.watch.as_deref().or(is_wanted.then_some("text"))
    }
}

/// `NAME=VALUE`.
fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write `NAME=TIME`, for instance `blocked-loop=50ms`")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[derive(Args, Debug)]
pub(crate) struct Snapshot {
    /// The number of a process that is watched [default: the only one there is]
    pub(crate) process: Option<u32>,
    /// An object of JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

const REPORT_NOTES: &str = "\
A page opens from the disk, without a network. `perfetto` is the trace format of Chrome, which
ui.perfetto.dev opens; `collapsed` are stacks for flame graph programs; `speedscope` is for
speedscope.app; `sarif` are the findings for code hosts; `json` is all of it.

Examples:
  treadle run --record app.treadle app.py
  treadle report app.treadle                       writes app.html
  treadle report app.treadle app-*.treadle         and a page for each child
  treadle report new.treadle --compare old.treadle -o both.html
  treadle report app.treadle --format perfetto -o trace.json

Exit codes: 0 written, 2 could not work.";

#[derive(Args, Debug)]
#[command(after_help = REPORT_NOTES)]
pub(crate) struct Report {
    /// What `treadle run --record` has written, also while it still does; several get a page each
    #[arg(required = true)]
    pub(crate) recording: Vec<PathBuf>,
    /// Where to write [default: standard output; a page beside the recording]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// An earlier recording, to show what has changed since
    #[arg(long, value_name = "RECORDING")]
    pub(crate) compare: Option<PathBuf>,
    /// What to write
    #[arg(long, value_enum, default_value_t = ReportFormat::Html)]
    pub(crate) format: ReportFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// A page
    Html,
    /// All that a page shows
    Json,
    /// A trace of events
    Perfetto,
    /// Stacks, a line for each
    Collapsed,
    /// A profile
    Speedscope,
    /// The findings, SARIF 2.1.0
    Sarif,
}

const TOP_NOTES: &str = "\
The answers come from a thread of the program that needs no Python, so one that hangs is seen too.
Nothing in the program is changed. `?` shows the keys.

Examples:
  treadle top                           the only program there is, or one of several to choose from
  treadle top 4711 --tab tasks
  treadle top --once --tab waits        one frame as text; `COLUMNS` and `LINES` are its size";

#[derive(Args, Debug)]
#[command(after_help = TOP_NOTES)]
pub(crate) struct Top {
    /// The number of a process that is watched [default: the only one there is, or one to choose]
    pub(crate) process: Option<u32>,
    /// What is seen first
    #[arg(
        long,
        value_name = "NAME",
        default_value = "findings",
        value_parser = ["findings", "tasks", "waits", "loop", "io", "threads", "patterns"]
    )]
    pub(crate) tab: String,
    /// How often the program is asked; more seldom if answers take it much time
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "1")]
    pub(crate) refresh: Duration,
    /// Print one frame as text, and end
    #[arg(long)]
    pub(crate) once: bool,
}

const BENCH_USAGE: &str = "\
treadle bench [OPTIONS] -- <COMMAND>...
       treadle bench [OPTIONS] --url <URL> -- <COMMAND>...
       treadle bench [OPTIONS] --workload <NAME>,...";

const BENCH_NOTES: &str = "\
Each measurement is a fresh process, started as `treadle run` starts programs; the loops take turns,
once in each round. The table has medians over the rounds, and ratios to the first loop.

A program has to end by itself, and its whole run is measured. With `--url`, it is a server: it is
started, loaded when its port answers, and ended. Workloads are `echo`, `streams`, `http`,
`call-soon`, `timers`, `sleep`, `tasks` and `queue`. CPU is the time of the program's processes.
MiB is the most memory that a program's largest process had, or a server's processes together.

Examples:
  treadle bench -- job.py --all
  treadle bench --url http://127.0.0.1:8000/ -- uvicorn --port 8000 shop:app
  treadle bench --compare asyncio,treadle --workload echo,call-soon

Exit codes: 0 measured, 2 could not work.";

#[derive(Args, Debug)]
#[command(override_usage = BENCH_USAGE, after_help = BENCH_NOTES)]
pub(crate) struct Bench {
    /// The loops; the first is what the others are compared to [default: asyncio,uvloop,treadle, without
    /// uvloop where it is not installed]
    #[arg(long, value_name = "LOOP", value_delimiter = ',')]
    pub(crate) compare: Vec<String>,
    /// How often each loop has its turn
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = count)]
    pub(crate) rounds: usize,
    /// How long a server or a workload is measured in each round
    #[arg(long, value_parser = seconds, default_value = "2")]
    pub(crate) seconds: Duration,
    /// What to ask the server for; only plain HTTP
    #[arg(long, requires = "command")]
    pub(crate) url: Option<String>,
    /// How many connections a server is asked on, one request at a time on each
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = count)]
    pub(crate) connections: usize,
    /// Built-in loads instead of a program
    #[arg(long, value_name = "NAME", value_delimiter = ',', conflicts_with_all = ["command", "url"])]
    pub(crate) workload: Vec<String>,
    /// An interpreter, or its environment's directory [default: as for `treadle run`]
    #[arg(long, value_name = "PATH")]
    pub(crate) python: Option<PathBuf>,
    /// How the table is written
    #[arg(long, visible_alias = "format", value_enum, default_value_t = ListFormat::Text)]
    pub(crate) output_format: ListFormat,
    /// What `treadle run` would be given: a script, the name of a console script, `-m` and a module,
    /// `-c` and code, then arguments
    #[arg(required_unless_present = "workload", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) command: Vec<OsString>,
}

/// `64M`, `1G`.
fn size(text: &str) -> Result<u64, String> {
    let number = |suffix: char, shift: u32| {
        let number: u64 = text.strip_suffix(suffix)?.parse().ok()?;
        number.checked_shl(shift).filter(|size| size >> shift == number)
    };
    let size = number('K', 10).or_else(|| number('M', 20)).or_else(|| number('G', 30));
    size.filter(|size| (4 << 20..=4 << 30).contains(size)).ok_or_else(|| "it is from `4M` to `4G`".to_owned())
}

fn count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "it is a number above 0".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    // A day is more than anybody waits for, and little enough to be added to any time.
    let number = text.parse().ok().filter(|number: &f64| *number > 0.0 && *number <= 86400.0);
    number
        .and_then(|number| Duration::try_from_secs_f64(number).ok())
        .ok_or_else(|| "it is a number above 0 and not above 86400".to_owned())
}

#[derive(Args, Debug)]
pub(crate) struct Explain {
    /// The pitfall's name
    pub(crate) name: String,
    /// When to colour
    #[arg(long, visible_alias = "colour", value_enum, default_value_t = Colour::Auto)]
    pub(crate) color: Colour,
}

#[derive(Args, Debug)]
pub(crate) struct Pitfalls {
    /// How the list is written
    #[arg(long, value_enum, default_value_t = ListFormat::Text)]
    pub(crate) output_format: ListFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// With the code, the way to the cause and the cure
    Full,
    /// One line for each finding
    Concise,
    /// One document
    Json,
    /// One object on each line
    JsonLines,
    /// Workflow commands
    Github,
    /// SARIF 2.1.0
    Sarif,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// When standard output is a terminal
    Auto,
    Always,
    Never,
}

/// Whether a command, such as `treadle run`, has a long option of this name.
pub(crate) fn has_option(command: &str, option: &str) -> bool {
    let (arguments, name) = (Arguments::command(), command.trim_start_matches("treadle "));
    let command = arguments.find_subcommand(name);
    command.is_some_and(|command| {
        command
            .get_arguments()
            .filter(|known| !known.is_hide_set())
            .any(|known| known.get_long() == option.strip_prefix("--"))
    })
}

/// The help text of each command.
pub(crate) fn help() -> Vec<(String, String)> {
    let mut command = Arguments::command();
    // The documentation does not change with the width of a terminal.
    command = command.term_width(100);
    command.build();
    let mut pages = vec![("treadle".to_owned(), command.render_long_help().to_string())];
    for sub in command.get_subcommands_mut().filter(|sub| sub.get_name() != "help") {
        pages.push((format!("treadle {}", sub.get_name()), sub.render_long_help().to_string()));
    }
    pages
}

/// Prints the completions of a shell.
#[expect(clippy::unnecessary_wraps, reason = "every command returns the same")]
pub(crate) fn completions(shell: clap_complete::Shell) -> anyhow::Result<u8> {
    clap_complete::generate(shell, &mut Arguments::command(), "treadle", &mut std::io::stdout());
    Ok(0)
}
