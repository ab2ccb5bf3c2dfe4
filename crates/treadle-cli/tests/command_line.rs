//! The `treadle` program as people and scripts meet it: what it prints, where, and its exit code. The file is long because
//! its snapshots stand where they are checked.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A directory with a program in it.
struct Project(TempDir);

impl Project {
    fn new(files: &[(&str, &str)]) -> Self {
        let directory = TempDir::new().expect("there is room for tests");
        let project = Self(directory);
        for (path, text) in files {
            project.write(path, text);
        }
        project
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().expect("below the project")).expect("writable");
        std::fs::write(path, text).expect("writable");
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path().join(path)).expect("it was written")
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Runs `treadle` in the directory: exit code, standard output, standard error.
    fn run(&self, arguments: &[&str]) -> String {
        self.run_with_input(arguments, "")
    }

    fn run_with_input(&self, arguments: &[&str], input: &str) -> String {
        let mut child = Command::new(env!("CARGO_BIN_EXE_treadle"))
            .args(arguments)
            .current_dir(self.path())
            .env_remove("VIRTUAL_ENV")
            .env("COLUMNS", "100")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it was built");
        child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        let code = output.status.code().expect("it was not killed");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let here = self.path().display().to_string();
        let mut shown = format!("exit code {code}\n{out}");
        if !err.is_empty() {
            shown.push_str(&format!("--- standard error\n{err}"));
        }
        shown.replace(&here, "[project]")
    }
}

const APP: &str = "\
import asyncio
import time


async def main():
    time.sleep(1)
    asyncio.create_task(work())


async def work():
    open('x').read()
";

fn app() -> Project {
    Project::new(&[("app.py", APP)])
}

#[test]
fn findings_are_shown_with_their_code_and_cure() {
    insta::assert_snapshot!(app().run(&["check"]), @"
    exit code 1
    error[blocking-call]: `time.sleep` blocks the event loop
     --> app.py:6:5
      |
    6 |     time.sleep(1)
      |     ^^^^^^^^^^^^^ every task of the loop sleeps here
      |
      = help: write `await asyncio.sleep(…)`

    error[lost-task]: the task that `asyncio.create_task` starts is kept by nothing
     --> app.py:7:5
      |
    7 |     asyncio.create_task(work())
      |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^ may be collected before it is done, and nobody sees its exception
      |
      = help: keep the task until it is done, or start it in an `asyncio.TaskGroup`

    warning[blocking-file]: `open` waits for the file system on the event loop
      --> app.py:11:5
       |
    11 |     open('x').read()
       |     ^^^^^^^^^
       |
       = help: move all the work on the file to a function, and call that with `await asyncio.to_thread(…)`, or use `treadle.files`

    3 findings in 1 file, 1 of them fixed by `--fix`. Fix app.py:6 first (blocking-call).
    ");
}

#[test]
fn concise_has_one_line_for_each_finding() {
    insta::assert_snapshot!(app().run(&["check", "--output-format", "concise"]), @"
    exit code 1
    app.py:6:5: error[blocking-call] `time.sleep` blocks the event loop
    app.py:7:5: error[lost-task] the task that `asyncio.create_task` starts is kept by nothing
    app.py:11:5: warning[blocking-file] `open` waits for the file system on the event loop
    ");
}

#[test]
fn json_lines_carry_everything() {
    insta::assert_snapshot!(app().run(&["check", "--output-format", "json-lines", "--select", "blocking-call"]), @r#"
    exit code 1
    {"path":"app.py","line":6,"column":5,"end_line":6,"end_column":18,"name":"blocking-call","severity":"error","tier":"certain","message":"`time.sleep` blocks the event loop","help":"write `await asyncio.sleep(…)`","notes":[],"steps":[],"also":[],"fix":{"title":"use `asyncio.sleep`","applicability":"safe","edits":[{"line":6,"column":5,"end_line":6,"end_column":15,"content":"await asyncio.sleep"}],"imports":["asyncio"]}}
    "#);
}

#[test]
fn json_is_one_document() {
    insta::assert_snapshot!(app().run(&["check", "--output-format", "json", "--select", "lost-task"]), @r#"
    exit code 1
    {
      "findings": [
        {
          "path": "app.py",
          "line": 7,
          "column": 5,
          "end_line": 7,
          "end_column": 32,
          "name": "lost-task",
          "severity": "error",
          "tier": "certain",
          "message": "the task that `asyncio.create_task` starts is kept by nothing",
          "help": "keep the task until it is done, or start it in an `asyncio.TaskGroup`",
          "notes": [],
          "steps": [],
          "also": [],
          "fix": {
            "title": "keep the task in a set until it is done",
            "applicability": "unsafe",
            "edits": [
              {
                "line": 7,
                "column": 5,
                "end_line": 7,
                "end_column": 5,
                "content": "background_tasks.add(task := "
              },
              {
                "line": 7,
                "column": 32,
                "end_line": 7,
                "end_column": 32,
                "content": "); task.add_done_callback(background_tasks.discard)"
              },
              {
                "line": 2,
                "column": 12,
                "end_line": 2,
                "end_column": 12,
                "content": "\n\nbackground_tasks = set()"
              }
            ],
            "imports": []
          }
        }
      ],
      "problems": [],
      "files": 1,
      "ignored": 0
    }
    "#);
}

#[test]
fn github_shows_commands() {
    insta::assert_snapshot!(app().run(&["check", "--output-format", "github"]), @"
    exit code 1
    ::error title=treadle blocking-call,file=app.py,line=6,col=5,endLine=6,endColumn=18::`time.sleep` blocks the event loop%0Ahelp: write `await asyncio.sleep(…)`
    ::error title=treadle lost-task,file=app.py,line=7,col=5,endLine=7,endColumn=32::the task that `asyncio.create_task` starts is kept by nothing%0Ahelp: keep the task until it is done, or start it in an `asyncio.TaskGroup`
    ::warning title=treadle blocking-file,file=app.py,line=11,col=5,endLine=11,endColumn=14::`open` waits for the file system on the event loop%0Ahelp: move all the work on the file to a function, and call that with `await asyncio.to_thread(…)`, or use `treadle.files`
    ");
}

#[test]
#[expect(clippy::too_many_lines, reason = "the document is long")]
fn sarif_is_what_its_readers_expect() {
    let shown = app().run(&["check", "--output-format", "sarif", "--select", "blocking-call"]);
    let document = shown.strip_prefix("exit code 1\n").expect("a finding");
    let mut document: serde_json::Value = serde_json::from_str(document).expect("SARIF is JSON");
    // The page is tested elsewhere, and long.
    let rule = document.pointer_mut("/runs/0/tool/driver/rules/0/help").expect("a rule has help");
    assert!(rule["markdown"].as_str().is_some_and(|page| page.starts_with("# blocking-call")));
    *rule = "the page".into();
    insta::assert_snapshot!(serde_json::to_string_pretty(&document).expect("JSON"), @r#"
    {
      "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
      "version": "2.1.0",
      "runs": [
        {
          "tool": {
            "driver": {
              "name": "treadle",
              "version": "0.1.0",
              "rules": [
                {
                  "id": "blocking-call",
                  "shortDescription": {
                    "text": "blocking call on the event loop's thread"
                  },
                  "help": "the page",
                  "defaultConfiguration": {
                    "level": "error"
                  },
                  "properties": {
                    "tier": "certain"
                  }
                }
              ]
            }
          },
          "columnKind": "unicodeCodePoints",
          "results": [
            {
              "ruleId": "blocking-call",
              "ruleIndex": 0,
              "level": "error",
              "message": {
                "text": "`time.sleep` blocks the event loop\nhelp: write `await asyncio.sleep(…)`"
              },
              "locations": [
                {
                  "physicalLocation": {
                    "artifactLocation": {
                      "uri": "app.py"
                    },
                    "region": {
                      "startLine": 6,
                      "startColumn": 5,
                      "endLine": 6,
                      "endColumn": 18
                    }
                  }
                }
              ],
              "fixes": [
                {
                  "description": {
                    "text": "use `asyncio.sleep`"
                  },
                  "artifactChanges": [
                    {
                      "artifactLocation": {
                        "uri": "app.py"
                      },
                      "replacements": [
                        {
                          "deletedRegion": {
                            "startLine": 6,
                            "startColumn": 5,
                            "endLine": 6,
                            "endColumn": 15
                          },
                          "insertedContent": {
                            "text": "await asyncio.sleep"
                          }
                        }
                      ]
                    }
                  ]
                }
              ]
            }
          ],
          "invocations": [
            {
              "executionSuccessful": true,
              "toolExecutionNotifications": []
            }
          ]
        }
      ]
    }
    "#);
}

#[test]
fn statistics_count() {
    insta::assert_snapshot!(app().run(&["check", "--statistics"]), @"
    exit code 1
         1  blocking-call            1 fixable    blocking call on the event loop's thread
         1  blocking-file                         file-system access on the event loop's thread
         1  lost-task                             handle of a started task kept by nothing
    ");
}

#[test]
fn path_of_calls_is_shown_across_files() {
    let project = Project::new(&[
        ("shop/__init__.py", ""),
        (
            "shop/db.py",
            "import sqlite3\n\n\ndef rows(path):\n    return connect(path).execute('x')\n\n\ndef connect(path):\n    return sqlite3.connect(path)\n",
        ),
        (
            "shop/app.py",
            "from shop import db\n\n\nasync def one():\n    return db.rows('a')\n\n\nasync def two():\n    return db.rows('b')\n",
        ),
    ]);
    insta::assert_snapshot!(project.run(&["check"]), @"
    exit code 1
    error[blocking-call-indirect]: `rows` blocks the event loop: it reaches `sqlite3.Connection.execute`
     --> shop/app.py:5:12
      |
    5 |     return db.rows('a')
      |            ^^^^^^^^^^^^ called on the loop by `one`
      |
     ::: shop/db.py:5:12
      |
    5 |     return connect(path).execute('x')
      |            -------------------------- `rows` waits for the database
      |
      = note: reached from 1 more place: shop/app.py:9
      = note: the same call also reaches `sqlite3.connect`
      = help: run it in a thread: `await asyncio.to_thread(db.rows, …)`

    1 finding in 3 files.
    ");
}

#[test]
fn clean_program_gets_one_line_and_zero() {
    let project = Project::new(&[("app.py", "print('hello')\n")]);
    insta::assert_snapshot!(project.run(&["check"]), @"
    exit code 0
    No pitfalls in 1 file.
    ");
}

#[test]
fn tiers_and_selection_narrow_what_is_reported() {
    let project = app();
    insta::assert_snapshot!(project.run(&["check", "--tier", "certain", "--output-format", "concise"]), @"
    exit code 1
    app.py:6:5: error[blocking-call] `time.sleep` blocks the event loop
    app.py:7:5: error[lost-task] the task that `asyncio.create_task` starts is kept by nothing
    ");
    insta::assert_snapshot!(project.run(&["check", "--ignore", "lost-task", "--output-format", "concise"]), @"
    exit code 1
    app.py:6:5: error[blocking-call] `time.sleep` blocks the event loop
    app.py:11:5: warning[blocking-file] `open` waits for the file system on the event loop
    ");
    insta::assert_snapshot!(project.run(&["check", "--select", "blocking-cal"]), @"
    exit code 2
    --- standard error
    treadle: unknown pitfall `blocking-cal`; did you mean `blocking-call`?
    ");
    insta::assert_snapshot!(project.run(&["check", "--tier", "sure"]), @"
    exit code 2
    --- standard error
    treadle: unknown tier `sure`: `certain`, `likely` or `advisory`
    ");
}

#[test]
fn exit_zero_is_zero_with_findings() {
    insta::assert_snapshot!(app().run(&["check", "--exit-zero", "--select", "blocking-call", "--output-format", "concise"]), @"
    exit code 0
    app.py:6:5: error[blocking-call] `time.sleep` blocks the event loop
    ");
}

#[test]
fn safe_fixes_are_written() {
    let project = app();
    insta::assert_snapshot!(project.run(&["check", "--fix"]), @"
    exit code 1
    error[lost-task]: the task that `asyncio.create_task` starts is kept by nothing
     --> app.py:7:5
      |
    7 |     asyncio.create_task(work())
      |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^ may be collected before it is done, and nobody sees its exception
      |
      = help: keep the task until it is done, or start it in an `asyncio.TaskGroup`

    warning[blocking-file]: `open` waits for the file system on the event loop
      --> app.py:11:5
       |
    11 |     open('x').read()
       |     ^^^^^^^^^
       |
       = help: move all the work on the file to a function, and call that with `await asyncio.to_thread(…)`, or use `treadle.files`

    2 findings in 1 file. Fix app.py:7 first (lost-task).
    --- standard error
    Fixed 1 finding.
    ");
    insta::assert_snapshot!(project.read("app.py"), @"
    import asyncio
    import time


    async def main():
        await asyncio.sleep(1)
        asyncio.create_task(work())


    async def work():
        open('x').read()
    ");
}

#[test]
fn diff_writes_nothing() {
    let project = app();
    insta::assert_snapshot!(project.run(&["check", "--unsafe-fixes", "--diff"]), @"
    exit code 1
    --- app.py
    +++ app.py
    @@ -1,10 +1,12 @@
     import asyncio
     import time
     
    +background_tasks = set()
    +
     
     async def main():
    -    time.sleep(1)
    -    asyncio.create_task(work())
    +    await asyncio.sleep(1)
    +    background_tasks.add(task := asyncio.create_task(work())); task.add_done_callback(background_tasks.discard)
     
     
     async def work():
    ");
    assert_eq!(project.read("app.py"), APP);
}

#[test]
fn standard_input_goes_by_the_name_given() {
    let project = Project::new(&[]);
    let arguments = ["check", "-", "--stdin-filename", "app/views.py", "--output-format", "concise"];
    insta::assert_snapshot!(project.run_with_input(&arguments, APP), @"
    exit code 1
    app/views.py:6:5: error[blocking-call] `time.sleep` blocks the event loop
    app/views.py:7:5: error[lost-task] the task that `asyncio.create_task` starts is kept by nothing
    app/views.py:11:5: warning[blocking-file] `open` waits for the file system on the event loop
    ");
}

#[test]
fn fixed_standard_input_goes_to_standard_output() {
    let project = Project::new(&[]);
    let arguments = ["check", "-", "--fix", "--select", "blocking-call"];
    insta::assert_snapshot!(project.run_with_input(&arguments, "import time\nasync def f():\n    time.sleep(1)\n"), @"
    exit code 0
    import asyncio
    import time
    async def f():
        await asyncio.sleep(1)
    --- standard error
    Fixed 1 finding.
    ");
}

#[test]
fn ignore_comments_silence_their_line() {
    let text = "import time\nasync def f():\n    time.sleep(1)  # treadle: ignore[blocking-call] start-up only\n    time.sleep(1)  # treadle: ignore[lock-order]\n";
    let project = Project::new(&[("app.py", text)]);
    insta::assert_snapshot!(project.run(&["check", "--output-format", "concise"]), @"
    exit code 1
    app.py:4:5: error[blocking-call] `time.sleep` blocks the event loop
    app.py:4:38: warning[unused-ignore] there is no `lock-order` here to ignore
    ");
}

#[test]
fn ignore_comments_for_what_the_doctor_sees_are_not_called_unused() {
    let text = "async def f(): ...  # treadle: ignore[blocked-loop, lost-task] at start-up\n";
    let project = Project::new(&[("app.py", text)]);
    insta::assert_snapshot!(project.run(&["check"]), @"
    exit code 0
    No pitfalls in 1 file.
    ");
}

#[test]
fn whole_files_can_be_ignored() {
    let project =
        Project::new(&[("app.py", "# treadle: ignore-file\nimport time\nasync def f():\n    time.sleep(1)\n")]);
    insta::assert_snapshot!(project.run(&["check"]), @"
    exit code 0
    No pitfalls in 1 file, 1 ignored by comments.
    ");
}

#[test]
fn ignores_are_added_and_then_nothing_is_found() {
    let project = app();
    insta::assert_snapshot!(project.run(&["check", "--add-ignore"]), @"
    exit code 0
    Added ignore comments for 3 findings.
    ");
    insta::assert_snapshot!(project.read("app.py"), @"
    import asyncio
    import time


    async def main():
        time.sleep(1)  # treadle: ignore[blocking-call]
        asyncio.create_task(work())  # treadle: ignore[lost-task]


    async def work():
        open('x').read()  # treadle: ignore[blocking-file]
    ");
    insta::assert_snapshot!(project.run(&["check"]), @"
    exit code 0
    No pitfalls in 1 file, 3 ignored by comments.
    ");
}

#[test]
fn settings_come_from_the_project() {
    let project = app();
    project.write("pyproject.toml", "[tool.treadle]\nignore = [\"lost-task\"]\ntier = \"certain\"\n");
    insta::assert_snapshot!(project.run(&["check", "--output-format", "concise"]), @"
    exit code 1
    app.py:6:5: error[blocking-call] `time.sleep` blocks the event loop
    ");
    insta::assert_snapshot!(project.run(&["check", "--output-format", "concise", "--isolated"]), @"
    exit code 1
    app.py:6:5: error[blocking-call] `time.sleep` blocks the event loop
    app.py:7:5: error[lost-task] the task that `asyncio.create_task` starts is kept by nothing
    app.py:11:5: warning[blocking-file] `open` waits for the file system on the event loop
    ");
}

#[test]
fn wrong_settings_are_errors_with_the_nearest_right_one() {
    let project = app();
    project.write("treadle.toml", "ignroe = []\n");
    insta::assert_snapshot!(project.run(&["check"]), @"
    exit code 2
    --- standard error
    treadle: [project]/treadle.toml: line 1: unknown key `ignroe`; did you mean `ignore`?
    ");
    project.write("treadle.toml", "ignore = [\"lost-tsk\"]\n");
    insta::assert_snapshot!(project.run(&["check"]), @"
    exit code 2
    --- standard error
    treadle: [project]/treadle.toml: line 1: unknown pitfall `lost-tsk`; did you mean `lost-task`?
    ");
    project.write("treadle.toml", "tier = 3\n");
    insta::assert_snapshot!(project.run(&["check"]), @"
    exit code 2
    --- standard error
    treadle: [project]/treadle.toml: line 1: invalid type: integer `3`, expected a string
    ");
    project.write("treadle.toml", "tier = \n");
    insta::assert_snapshot!(project.run(&["check"]), @"
    exit code 2
    --- standard error
    treadle: [project]/treadle.toml: TOML parse error at line 1, column 8
      |
    1 | tier = 
      |        ^
    string values must be quoted, expected literal string
    ");
}

#[test]
fn users_teach_what_blocks() {
    let project = Project::new(&[(
        "app.py",
        "import billing\n\n\nasync def pay(client: billing.Client):\n    client.charge(1)\n",
    )]);
    let claim = |key: &str| {
        format!(
            "[[knowledge]]\nnames = [\"billing.Client.charge\"]\n{key} = \"network\"\nwhy = \"waits for the provider\"\n"
        )
    };
    project.write("treadle.toml", claim("blocks"));
    insta::assert_snapshot!(project.run(&["check", "--output-format", "concise"]), @"exit code 0");
    project.write("treadle.toml", claim("blocks").replace("network", "netwrok"));
    insta::assert_snapshot!(project.run(&["check"]), @"
    exit code 2
    --- standard error
    treadle: [project]/treadle.toml: line 3: unknown value `netwrok`; did you mean `network`?
    ");
    project.write("treadle.toml", claim("block"));
    insta::assert_snapshot!(project.run(&["check"]), @"
    exit code 2
    --- standard error
    treadle: [project]/treadle.toml: line 3: unknown key `block`; did you mean `blocks`?
    ");
}

/// A program in an environment of its own with a library that nobody has claimed anything about.
fn with_library() -> Project {
    let project = Project::new(&[(
        "app.py",
        "import stocks\nfrom stocks.client import Client\n\n\nasync def main(client: Client):\n    client.fetch()\n    stocks.load()\n",
    )]);
    let library = ".venv/lib/python3.12/site-packages/stocks";
    project.write(".venv/pyvenv.cfg", "version = 3.12.1\n");
    project.write(&format!("{library}/__init__.py"), "from ._load import load\n");
    project.write(
        &format!("{library}/_load.py"),
        "import time\n\n\ndef load():\n    wait()\n\n\ndef wait():\n    time.sleep(1)\n",
    );
    project.write(&format!("{library}/client.py"), "class Client:\n    async def fetch(self): ...\n");
    project
}

#[test]
fn installed_packages_are_known_and_followed_when_asked() {
    let project = with_library();
    insta::assert_snapshot!(project.run(&["check", "--output-format", "concise"]), @"
    exit code 1
    app.py:6:5: error[missing-await] the coroutine of `client.fetch` is never awaited
    ");
    insta::assert_snapshot!(project.run(&["check", "--output-format", "concise", "--follow-installed"]), @"
    exit code 1
    app.py:6:5: error[missing-await] the coroutine of `client.fetch` is never awaited
    app.py:7:5: error[blocking-call-indirect] `load` blocks the event loop: it reaches `time.sleep`
    ");
    insta::assert_snapshot!(project.run(&["check", "--output-format", "concise", "--python", "absent"]), @"
    exit code 2
    --- standard error
    treadle: `absent` is no Python environment: it has no `site-packages`
    ");
}

#[test]
fn sources_below_src_are_modules_of_the_project() {
    let project = Project::new(&[
        ("pyproject.toml", "[project]\nname = 'shop'\n"),
        ("src/shop/__init__.py", ""),
        ("src/shop/work.py", "async def work(): ...\n"),
        ("tests/test_work.py", "from shop.work import work\n\n\nasync def test():\n    work()\n"),
    ]);
    insta::assert_snapshot!(project.run(&["check", "--output-format", "concise"]), @"
    exit code 1
    tests/test_work.py:5:5: error[missing-await] the coroutine of `work` is never awaited
    ");
    insta::assert_snapshot!(project.run(&["check", "--output-format", "concise", "tests/test_work.py", "src/shop"]), @"
    exit code 1
    tests/test_work.py:5:5: error[missing-await] the coroutine of `work` is never awaited
    ");
}

#[test]
fn broken_files_are_findings_and_the_others_are_checked() {
    let project = app();
    project.write("broken.py", "def f(:\n");
    project.write("latin.py", b"name = '\xe4'\n");
    project.write("null.py", b"a = 1\0\n");
    insta::assert_snapshot!(project.run(&["check", "--output-format", "concise"]), @"
    exit code 1
    app.py:6:5: error[blocking-call] `time.sleep` blocks the event loop
    app.py:7:5: error[lost-task] the task that `asyncio.create_task` starts is kept by nothing
    app.py:11:5: warning[blocking-file] `open` waits for the file system on the event loop
    broken.py:1:7: error[syntax-error] Expected a parameter or the end of the parameter list
    --- standard error
    warning: latin.py: cannot be read: line 1 is not UTF-8, and no coding comment names another encoding
    warning: null.py: cannot be read: line 1 holds a NUL character
    ");
}

#[test]
fn declared_encodings_are_honoured() {
    let project = Project::new(&[]);
    project.write("app.py", b"# coding: latin-1\nimport time\nasync def f():\n    '\xe4'; time.sleep(1)\n");
    insta::assert_snapshot!(project.run(&["check", "--output-format", "concise"]), @"
    exit code 1
    app.py:4:10: error[blocking-call] `time.sleep` blocks the event loop
    ");
}

#[test]
fn what_is_not_there_cannot_be_checked() {
    insta::assert_snapshot!(Project::new(&[]).run(&["check", "absent"]), @"
    exit code 2
    No Python file was checked.
    --- standard error
    warning: absent: cannot be read: No such file or directory (os error 2)
    ");
}

#[cfg(unix)]
#[test]
fn symbolic_links_in_a_circle_end() {
    let project = app();
    std::fs::create_dir(project.path().join("a")).expect("writable");
    std::os::unix::fs::symlink("..", project.path().join("a/up")).expect("writable");
    std::os::unix::fs::symlink("nowhere", project.path().join("dangling.py")).expect("writable");
    insta::assert_snapshot!(project.run(&["check", "--output-format", "concise"]), @"
    exit code 1
    app.py:6:5: error[blocking-call] `time.sleep` blocks the event loop
    app.py:7:5: error[lost-task] the task that `asyncio.create_task` starts is kept by nothing
    app.py:11:5: warning[blocking-file] `open` waits for the file system on the event loop
    --- standard error
    warning: dangling.py: cannot be read: No such file or directory (os error 2)
    ");
}

#[test]
fn ignored_and_excluded_files_are_not_found() {
    let project = app();
    project.write(".gitignore", "skipped/\n");
    project.write("skipped/a.py", APP);
    project.write("node_modules/b.py", APP);
    project.write("generated/c.py", APP);
    project.write("src/d.pyi", "x: int\n");
    std::fs::create_dir(project.path().join(".git")).expect("writable");
    insta::assert_snapshot!(project.run(&["check", "--show-files", "--exclude", "generated"]), @"
    exit code 0
    app.py
    ");
}

#[test]
fn cache_is_not_for_version_control_and_changes_nothing() {
    let project = app();
    let first = project.run(&["check"]);
    assert!(project.read(".treadle_cache/.gitignore").ends_with("\n*\n"));
    assert_eq!(project.run(&["check"]), first);
    assert_eq!(project.run(&["check", "--no-cache"]), first);
    for entry in std::fs::read_dir(project.path().join(".treadle_cache")).expect("there") {
        let path = entry.expect("there").path();
        if path.is_file() && !path.ends_with(".gitignore") {
            std::fs::write(path, b"not a cache").expect("writable");
        }
    }
    assert_eq!(project.run(&["check"]), first);
}

#[test]
fn pages_are_explained() {
    let project = Project::new(&[]);
    let page = project.run(&["explain", "lost-task"]);
    assert!(page.starts_with("exit code 0\nlost-task\n---------\n"), "{page}");
    assert!(!page.contains("# error:") && !page.contains("```"), "{page}");
    insta::assert_snapshot!(project.run(&["explain", "lost-tasks"]), @"
    exit code 2
    --- standard error
    treadle: unknown pitfall `lost-tasks`; did you mean `lost-task`?
    ");
}

#[test]
fn pitfalls_are_listed() {
    let listed = Project::new(&[]).run(&["pitfalls"]);
    for pitfall in treadle_pitfalls::CATALOGUE {
        assert!(listed.contains(pitfall.about.name), "{listed}");
    }
}

#[test]
fn completions_are_for_the_shell_asked_for() {
    let project = Project::new(&[]);
    assert!(project.run(&["completions", "bash"]).contains("complete -F _treadle"));
    assert!(project.run(&["completions", "fish"]).contains("complete -c treadle"));
    assert!(project.run(&["completions", "basic"]).starts_with("exit code 2"));
}

#[test]
fn unknown_options_say_what_there_is() {
    insta::assert_snapshot!(app().run(&["check", "--fixx"]), @"
    exit code 2
    --- standard error
    error: unexpected argument '--fixx' found

      tip: a similar argument exists: '--fix'

    Usage: treadle check --fix [PATHS]...

    For more information, try '--help'.
    ");
}

#[test]
fn version_is_the_packages() {
    assert_eq!(app().run(&["--version"]), format!("exit code 0\ntreadle {}\n", env!("CARGO_PKG_VERSION")));
}

/// `examples/orders/findings.txt` is what the README shows; `TREADLE_UPDATE=1 cargo test` writes it anew.
#[test]
fn example_has_the_findings_it_shows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = Command::new(env!("CARGO_BIN_EXE_treadle"))
        .args(["check", "examples/orders", "--isolated", "--no-cache"])
        .current_dir(&root)
        .env_remove("VIRTUAL_ENV")
        .env("COLUMNS", "100")
        .output()
        .expect("it was built");
    let shown = String::from_utf8_lossy(&output.stdout);
    let path = root.join("examples/orders/findings.txt");
    if std::env::var_os("TREADLE_UPDATE").is_some() {
        std::fs::write(&path, shown.as_bytes()).expect("writable");
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), shown);
}

#[test]
fn bench_wants_something_to_measure() {
    let project = Project::new(&[]);
    insta::assert_snapshot!(project.run(&["bench"]), @"
    exit code 2
    --- standard error
    error: the following required arguments were not provided:
      <COMMAND>...

    Usage: treadle bench [OPTIONS] -- <COMMAND>...
           treadle bench [OPTIONS] --url <URL> -- <COMMAND>...
           treadle bench [OPTIONS] --workload <NAME>,...

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(project.run(&["bench", "--rounds", "0", "--", "app.py"]), @"
    exit code 2
    --- standard error
    error: invalid value '0' for '--rounds <COUNT>': it is a number above 0

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(project.run(&["bench", "--workload", "ecko"]), @"
    exit code 2
    --- standard error
    treadle: there is no workload `ecko`. Name some of `call-soon`, `timers`, `sleep`, `tasks`, `queue`, `echo`, `streams`, `http`
    ");
    insta::assert_snapshot!(project.run(&["bench", "--url", "https://localhost/", "--", "app.py"]), @"
    exit code 2
    --- standard error
    treadle: `https://localhost/` is no URL that can be loaded. Name one that begins with `http://`
    ");
    insta::assert_snapshot!(project.run(&["bench", "--", "-I", "app.py"]), @"
    exit code 2
    --- standard error
    treadle: `treadle bench` cannot bring its loop into a Python that is started with `-I`. Leave it out, or call `treadle.run` in the program
    ");
    insta::assert_snapshot!(project.run(&["bench", "--python", "absent", "--", "app.py"]), @"
    exit code 2
    --- standard error
    treadle: `absent` is neither a Python interpreter nor an environment with one. Name a file such as `.venv/bin/python`, or a directory such as `.venv`
    ");
    insta::assert_snapshot!(project.run(&["bench", "--watsh", "app.py"]), @"
    exit code 2
    --- standard error
    treadle: neither `treadle bench` nor Python has an option `--watsh`. Put the program's own options behind its name; `treadle bench --help` lists ours
    ");
}
