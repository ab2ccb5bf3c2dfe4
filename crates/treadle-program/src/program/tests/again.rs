//! Linking again comes to what linking anew comes to.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rayon::prelude::*;

use crate::ids::FileId;
use crate::program::{Anew, Earlier, Memory};
use crate::{Facts, Options, Program, SourceFile, lower};

#[derive(Debug)]
struct Before(Vec<Vec<u8>>);

impl Earlier for Before {
    fn tables(&self, file: FileId) -> Option<Vec<u8>> {
        self.0.get(file.index()).cloned()
    }
}

struct Linked {
    files: Vec<SourceFile>,
    whole: Vec<u8>,
    tables: Arc<Before>,
}

impl Linked {
    fn new(files: Vec<SourceFile>) -> Self {
        let Memory { whole, tables } = noting(files.clone()).memory();
        Self { files, whole, tables: Arc::new(Before(tables)) }
    }

    /// The program after files were given other texts, if it could be linked again.
    fn again(&self, changes: &[(FileId, &str)], widely: usize) -> Result<(Program, Vec<SourceFile>), Anew> {
        let mut files = self.files.clone();
        let mut changed = Vec::new();
        for (file, text) in changes {
            changed.push((*file, self.files[file.index()].facts.clone()));
            files[file.index()].facts = lower::file(text).into();
        }
        let earlier: Arc<dyn Earlier> = Arc::clone(&self.tables) as _;
        let program =
            Program::link_again_from(files.clone(), Options::default(), &self.whole, earlier, &changed, widely)
                .unwrap();
        program.map(|program| (program, files))
    }
}

fn noting(files: Vec<SourceFile>) -> Program {
    Program::link_noting(files, Options::default()).unwrap()
}

fn assert_same(again: &Program, anew: &Program, what: &str) {
    anew.all_files().collect::<Vec<_>>().into_par_iter().for_each(|file| {
        let path = anew.file(file).path.display();
        let names = &anew.whole.names.attributes;
        let (mut again, anew) = (again.tables(file).clone(), anew.tables(file));
        // Names that are no more do no harm.
        again.uses.retain(|used| used.unresolved().is_none_or(|name| names.contains(name)));
        if again != *anew {
            let (again, anew) = (format!("{again:#?}"), format!("{anew:#?}"));
            let differs = again.lines().zip(anew.lines()).position(|(again, anew)| again != anew).unwrap_or(0);
            let around =
                |text: &str| text.lines().skip(differs.saturating_sub(30)).take(45).collect::<Vec<_>>().join("\n");
            panic!("{what}: {path} differs\nagain: {}\nanew: {}", around(&again), around(&anew));
        }
    });
    let (again, anew) = (&again.whole, &anew.whole);
    assert!(again.outside.is_superset(&anew.outside), "{what}");
    assert!(again.names.attributes.is_superset(&anew.names.attributes), "{what}");
    assert!(again.names.variables.is_superset(&anew.names.variables), "{what}");
    assert!(again.unresolved.is_superset(&anew.unresolved), "{what}");
    assert_eq!(again.properties, anew.properties, "{what}");
    assert_eq!((&again.protocols, &again.methods), (&anew.protocols, &anew.methods), "{what}");
    assert_eq!(again.conformers, anew.conformers, "{what}");
}

const PROGRAM: [(&str, &str); 5] = [
    ("shop/__init__.py", "from .stock import Stock\n"),
    (
        "shop/stock.py",
        "import asyncio\nimport time\nfrom .base import Base, offload\n\nclass Stock(Base):\n    def __init__(self, rows):\n        self.rows = rows\n        self.lock = asyncio.Lock()\n\n    async def take(self, name):\n        async with self.lock:\n            return await offload(self.count, name)\n\n    def count(self, name):\n        time.sleep(1)\n        return self.rows\n",
    ),
    (
        "shop/base.py",
        "import asyncio\n\nclass Base:\n    limit = None\n\n    @property\n    def size(self):\n        return len(self.rows)\n\n    async def close(self):\n        pass\n\nasync def offload(function, *arguments):\n    return await asyncio.to_thread(function, *arguments)\n",
    ),
    (
        "shop/web.py",
        "import asyncio\nfrom . import Stock\nfrom .tools import retry\n\nstock = Stock([])\n\n@retry\nasync def handler(request):\n    taken = await stock.take(request)\n    return taken, stock.size\n\nasync def main():\n    queue = asyncio.Queue()\n    task = asyncio.create_task(worker(queue))\n    await queue.put(1)\n    await handler(None)\n    await task\n\nasync def worker(queue):\n    while True:\n        await queue.get()\n",
    ),
    (
        "shop/tools.py",
        "import functools\n\ndef retry(function):\n    @functools.wraps(function)\n    async def wrapper(*arguments):\n        return await function(*arguments)\n    return wrapper\n\ndef helper(value):\n    return value\n",
    ),
];

fn sources(files: &[(&str, &str)]) -> Vec<SourceFile> {
    let source = |(path, text): &(&str, &str)| {
        let module = path.trim_end_matches(".py").trim_end_matches("/__init__").replace('/', ".");
        let is_package = path.ends_with("__init__.py");
        SourceFile {
            path: Path::new(path).into(),
            names: vec![module],
            is_package,
            installed: false,
            facts: lower::file(text).into(),
        }
    };
    files.iter().map(source).collect()
}

#[track_caller]
fn edited(path: &str, before: &str, after: &str, is_linked_again: bool) {
    edited_in(&PROGRAM, path, before, after, is_linked_again);
}

#[track_caller]
fn edited_in(program: &[(&str, &str)], path: &str, before: &str, after: &str, is_linked_again: bool) {
    let at = program.iter().position(|(name, _)| *name == path).unwrap();
    assert!(program[at].1.contains(before), "{before}");
    let text = program[at].1.replacen(before, after, 1);
    let linked = Linked::new(sources(program));
    let again = linked.again(&[(FileId(at as u32), &text)], usize::MAX);
    assert_eq!(again.is_ok(), is_linked_again, "{:?}\n{text}", again.err());
    // With and without a look at what others see of the file.
    let both = [again, linked.again(&[(FileId(at as u32), &text)], 0)];
    for (again, files) in both.into_iter().flatten() {
        assert_same(&again, &noting(files), &text);
    }
}

#[test]
fn a_comment_changes_nothing_for_others() {
    edited("shop/base.py", "import asyncio\n", "# Comment.\nimport asyncio\n", true);
}

#[test]
fn another_call_leads_somewhere_else_and_passes_something() {
    edited("shop/web.py", "taken = await", "helper(stock)\n    taken = await", true);
    edited("shop/web.py", "from .tools import retry", "from .tools import helper, retry\nhelper(stock)", true);
    edited("shop/stock.py", "await offload(self.count, name)", "self.count(name)", true);
}

#[test]
fn what_a_function_gives_reaches_those_who_call_it() {
    edited("shop/stock.py", "return self.rows", "return Base()", true);
    edited("shop/tools.py", "return wrapper", "return function", true);
    edited("shop/base.py", "await asyncio.to_thread(function, *arguments)", "function(*arguments)", true);
}

#[test]
fn functions_move_and_others_come_and_go() {
    edited("shop/base.py", "class Base:", "def first():\n    return lambda: 1\n\nclass Base:", true);
    edited("shop/stock.py", "    def count(self, name):\n        time.sleep(1)\n        return self.rows\n", "", true);
    edited("shop/web.py", "async def worker(queue):\n    while True:\n        await queue.get()\n", "", true);
}

#[test]
fn locks_and_queues_are_used_otherwise() {
    edited("shop/web.py", "await queue.put(1)", "print(queue)", true);
    edited("shop/stock.py", "async with self.lock:", "await self.lock.acquire()\n        if name:", true);
}

#[test]
fn what_holds_for_the_whole_program_is_linked_anew() {
    edited(
        "shop/tools.py",
        "def helper(value):",
        "class Tool:\n    @property\n    def sharpness(self): pass\n\ndef helper(value):",
        false,
    );
    edited("shop/stock.py", "class Stock(Base):", "class Stock:", false);
    edited("shop/web.py", "stock = Stock([])", "stock = Stock([])\nstock.limit = 5", false);
}

#[test]
fn what_is_no_more_is_not_taken_for_what_was_never_known() {
    let program = [
        ("kinds.py", "class Kind:\n    def act(self): pass\n"),
        ("makes.py", "from kinds import Kind\ndef make():\n    return Kind()\n"),
        ("uses.py", "class Other:\n    def act(self): pass\ndef use(value):\n    value.act()\n"),
        ("joins.py", "import makes, uses\nuses.use(makes.make())\nuses.use(uses.Other())\n"),
    ];
    edited_in(&program, "kinds.py", "class Kind:\n    def act(self): pass\n", "", true);
    edited_in(&program, "kinds.py", "class Kind:", "class Sort:", true);
    edited_in(&program, "kinds.py", "class Kind:\n    def act(self): pass\n", "def Kind(): pass\n", true);
}

#[test]
fn classes_come_to_do_what_a_protocol_asks_or_no_longer_do() {
    let program = [
        (
            "asks.py",
            "from typing import Protocol\nclass Store(Protocol):\n    def read(self): ...\n    def write(self): ...\n",
        ),
        ("below.py", "class Base:\n    def write(self): pass\n"),
        ("does.py", "import below\nclass Disk(below.Base):\n    def read(self): pass\n"),
        ("uses.py", "import asks\ndef use(store: asks.Store):\n    store.read()\n"),
    ];
    edited_in(&program, "below.py", "write(self): pass\n", "write(self): pass\n    write = None\n", false);
    edited_in(&program, "does.py", "read(self): pass\n", "read(self): pass\n    write = None\n", false);
    edited_in(&program, "does.py", "import below\n", "import below\ndef first(): pass\n", true);
}

#[test]
fn what_functions_bind_by_global_is_seen_from_outside() {
    let program = [
        ("kinds.py", "class One:\n    def act(self): pass\nclass Two:\n    def act(self): pass\n"),
        (
            "state.py",
            "import kinds\ncurrent = None\ndef set_up(fast):\n    global current\n    current = kinds.One()\n",
        ),
        ("uses.py", "import state\ndef use():\n    return state.current.act()\n"),
    ];
    edited_in(&program, "state.py", "kinds.One()", "kinds.Two()", true);
    edited_in(&program, "state.py", "    current = kinds.One()", "    if fast:\n        current = kinds.One()", true);
    edited_in(&program, "state.py", "    current = kinds.One()", "    made = kinds.Two()\n    current = made", true);
    edited_in(&program, "state.py", "def set_up", "def first():\n    return 1\ndef set_up", true);
}

#[test]
fn type_parameters_belong_to_the_surface() {
    let program = [
        (
            "tools.py",
            "def same[T](value: T) -> T:\n    return value\ndef wraps(inner):\n    def outer(x: inner = 1): pass\n    return outer\n",
        ),
        ("uses.py", "import tools\ndef use():\n    return tools.same(1), tools.wraps(int)(2)\n"),
    ];
    edited_in(&program, "tools.py", "    return value", "    kept = value\n    return kept", true);
    edited_in(&program, "tools.py", "inner = 1", "str = 1", true);
}

/// Python files below a part of a directory, as modules of the directory.
fn below(root: &Path, part: &Path) -> Vec<(PathBuf, String)> {
    let mut waiting = vec![part.to_path_buf()];
    let mut files = Vec::new();
    while let Some(directory) = waiting.pop() {
        for path in std::fs::read_dir(directory).unwrap().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "py")
                && let Ok(text) = std::fs::read_to_string(&path)
            {
                files.push((path.strip_prefix(root).unwrap().to_path_buf(), text));
            }
        }
    }
    files.sort();
    files
}

fn standard_library() -> PathBuf {
    let program = "import sysconfig; print(sysconfig.get_path('stdlib'))";
    let output = Command::new("python3").args(["-c", program]).output().unwrap();
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

/// A text with one of the changes that people make.
fn changed(text: &str, seed: usize) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    let at = (seed / 6 * 7919) % lines.len().max(1);
    let indented = |line: &str| line.starts_with(' ') && line.trim_end().ends_with(')');
    match seed % 6 {
        0 => lines.push("# The end."),
        1 => lines.push("async def added():\n    import time\n    time.sleep(1)"),
        2 => lines.insert(0, "def _first(value=None):\n    return [value for value in (lambda: value)()]"),
        3 => {
            if let Some(found) = (at..lines.len()).find(|line| indented(lines[*line])) {
                lines.remove(found);
            }
        }
        4 => {
            if let Some(found) = (at..lines.len()).find(|line| indented(lines[*line])) {
                lines.insert(found, lines[found]);
            }
        }
        _ => {
            if let Some(found) = (at..lines.len()).find(|line| lines[*line].trim_start().starts_with("return ")) {
                lines.remove(found);
            }
        }
    }
    lines.join("\n") + "\n"
}

/// Real files, changed as people change them. `TREADLE_SOURCES` names another directory than the standard library's
/// `asyncio`, `TREADLE_EDITS` how many changes to make.
#[test]
fn real_files_are_linked_again_as_anew() {
    let root = std::env::var_os("TREADLE_SOURCES").map_or_else(standard_library, PathBuf::from);
    let part = if std::env::var_os("TREADLE_SOURCES").is_some() { root.clone() } else { root.join("asyncio") };
    let edits = std::env::var("TREADLE_EDITS").map_or(24, |count| count.parse().unwrap());
    let texts = below(&root, &part);
    let files = texts.par_iter().map(|(path, text)| {
        let stem = path.with_extension("");
        let names: Vec<_> = stem.iter().map(|part| part.to_str().unwrap()).filter(|part| *part != "__init__").collect();
        let facts: Facts = lower::file(text).into();
        SourceFile {
            path: path.as_path().into(),
            names: vec![names.join(".")],
            is_package: path.ends_with("__init__.py"),
            installed: false,
            facts,
        }
    });
    let linked = Linked::new(files.collect());
    let mut linked_again = 0;
    for edit in 0..edits {
        let at = (edit / 2 * 37) % texts.len();
        let text = changed(&texts[at].1, edit / 2);
        let what = format!("{} after change {}", texts[at].0.display(), edit / 2 % 6);
        match linked.again(&[(FileId(at as u32), &text)], if edit % 2 == 0 { 0 } else { usize::MAX }) {
            Ok((again, files)) => {
                assert_same(&again, &noting(files), &what);
                linked_again += 1;
            }
            Err(why) => println!("{what}: {why:?}"),
        }
    }
    println!("{linked_again} of {edits} linked again");
    assert!(
        linked_again * 2 > edits,
        "only {linked_again} of {edits} changes did not need everything to be linked anew"
    );
}
