//! A run that goes on from the snapshot of another says what a run without a cache says.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use treadle_check::engine::Progress;
use treadle_check::{Configuration, Request, check};
use treadle_finding::Tier;

/// What happens between two runs.
enum Change<'c> {
    Write(&'c str, &'c str),
    Remove(&'c str),
    Set(fn(&mut Configuration)),
    /// Something done to each file of the cache whose name begins so.
    Damage(&'c str, fn(&Path)),
}
use Change::{Damage, Remove, Set, Write};

/// Where a run's findings come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Snapshot,
    Everything,
}

/// A program in a directory of its own, with a cache beside it.
struct Project {
    directory: TempDir,
    configuration: Configuration,
}

impl Project {
    fn new(files: &[(&str, &str)]) -> Self {
        let directory = TempDir::new().expect("there is room for tests");
        let root = directory.path().join("project");
        let configuration = Configuration { tier: Tier::Advisory, ..Configuration::isolated(&root) };
        let project = Self { directory, configuration };
        for (name, text) in files {
            project.write(name, text);
        }
        project.with_its_environment()
    }

    /// The environment that happens to be active has nothing to say.
    fn with_its_environment(mut self) -> Self {
        self.configuration.python = Some(self.path(".venv")).filter(|environment| environment.is_dir());
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("project").join(name)
    }

    fn cache(&self) -> PathBuf {
        self.directory.path().join("cache")
    }

    /// Files are an hour old, so that their stamps are believed.
    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it is below the project")).expect("writable");
        let earlier = SystemTime::now() - Duration::from_hours(1);
        fs::write(&path, text).expect("writable");
        File::options().append(true).open(&path).and_then(|file| file.set_modified(earlier)).expect("it is there");
    }

    fn cached(&self, prefix: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.cache()).into_iter().flatten().flatten().map(|entry| entry.path());
        let is_meant = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix));
        let mut paths: Vec<PathBuf> = entries.filter(is_meant).collect();
        paths.sort();
        paths
    }

    fn snapshots(&self) -> Vec<Vec<u8>> {
        self.cached("program-").iter().map(|path| fs::read(path).expect("it was listed")).collect()
    }

    fn apply(&mut self, change: &Change<'_>) {
        match change {
            Write(name, text) => self.write(name, text),
            Remove(name) => fs::remove_file(self.path(name)).expect("it is there"),
            Set(set) => set(&mut self.configuration),
            Damage(prefix, damage) => self.cached(prefix).iter().for_each(|path| damage(path)),
        }
    }

    fn run(&self, cache: Option<PathBuf>) -> String {
        let configuration = self.configuration.clone();
        let request = Request { paths: vec![self.path("")], stdin: None, configuration, cache };
        let outcome = check(&request, &Progress::default()).expect("the configuration is right");
        let lines = outcome.findings.iter().map(|finding| format!("{} {finding:?}\n", finding.about.name));
        lines.chain([format!("{:?} {} {}", outcome.problems, outcome.files, outcome.ignored)]).collect()
    }

    /// Runs after changes, with the cache and without.
    #[track_caller]
    fn again(&mut self, changes: &[Change<'_>], from: From) -> String {
        for change in changes {
            self.apply(change);
        }
        let before = self.snapshots();
        let found = self.run(Some(self.cache()));
        assert_eq!(found, self.run(None));
        let is_used = self.snapshots() == before;
        assert_eq!(if is_used { From::Snapshot } else { From::Everything }, from);
        found
    }
}

/// Checks files, then after each of several changes to them; what the last run says.
#[track_caller]
fn checked(files: &[(&str, &str)], changes: &[(Change<'_>, From)]) -> String {
    let mut project = Project::new(files);
    let mut found = project.again(&[], From::Everything);
    for (change, from) in changes {
        found = project.again(std::slice::from_ref(change), *from);
    }
    found
}

const LEAF: &str = "import time\n\ndef leaf(wait):\n    if wait:\n        time.sleep(1)\n";
const MIDDLE: &str = "from leaf import leaf\n\ndef middle(wait=True):\n    leaf(wait)\n";
const TOP: &str = "import middle\n\nasync def top():\n    middle.middle()\n";
const CHAIN: [(&str, &str); 3] = [("leaf.py", LEAF), ("middle.py", MIDDLE), ("top.py", TOP)];

fn count(found: &str, name: &str) -> usize {
    found.lines().filter(|line| line.starts_with(name)).count()
}

#[test]
fn nothing_changes() {
    let found = checked(&CHAIN, &[(Set(|_| {}), From::Snapshot)]);
    assert_eq!(count(&found, "blocking-call-indirect"), 1);
}

#[test]
fn chains_follow_a_changed_middle() {
    let shifted = format!("def first():\n    leaf(True)\n\n{MIDDLE}");
    let found = checked(
        &CHAIN,
        &[
            (Write("middle.py", &MIDDLE.replace("wait=True", "wait=False")), From::Snapshot),
            (Write("middle.py", &MIDDLE.replace("leaf(wait)", "leaf(False)")), From::Snapshot),
            (Write("middle.py", "def middle(wait=True):\n    pass\n"), From::Snapshot),
            (Write("middle.py", &shifted), From::Snapshot),
        ],
    );
    assert_eq!(count(&found, "blocking-call-indirect"), 1);
}

#[test]
fn files_come_and_go() {
    let found = checked(
        &CHAIN,
        &[
            (Write("other.py", TOP), From::Everything),
            (Remove("leaf.py"), From::Everything),
            (Write("leaf.py", LEAF), From::Everything),
            (Remove("middle.py"), From::Everything),
            (Write("middle/__init__.py", MIDDLE), From::Everything),
        ],
    );
    assert_eq!(count(&found, "blocking-call-indirect"), 1);
}

#[test]
fn comments_that_ignore_become_unused_in_files_that_do_not_change() {
    let ignores = TOP.replace("middle()", "middle()  # treadle: ignore[blocking-call-indirect]");
    let files = [("leaf.py", LEAF), ("middle.py", MIDDLE), ("top.py", &ignores)];
    let unused = checked(&files, &[(Write("leaf.py", "def leaf(wait): pass\n"), From::Snapshot)]);
    assert_eq!(count(&unused, "unused-ignore"), 1);
    let used = checked(&files, &[(Write("leaf.py", &format!("# Later.\n{LEAF}")), From::Snapshot)]);
    assert_eq!((count(&used, "unused-ignore"), count(&used, "blocking-call-indirect")), (0, 0));
}

#[test]
fn syntax_errors_come_and_go() {
    let found = checked(
        &CHAIN,
        &[(Write("middle.py", "def middle(:\n"), From::Snapshot), (Write("middle.py", MIDDLE), From::Snapshot)],
    );
    assert_eq!((count(&found, "syntax-error"), count(&found, "blocking-call-indirect")), (0, 1));
}

#[test]
fn settings_change() {
    let found = checked(
        &CHAIN,
        &[
            (Set(|settings| settings.select = Some(vec!["lost-task".to_owned()])), From::Snapshot),
            (Set(|settings| settings.select = None), From::Snapshot),
            (Set(|settings| settings.tier = Tier::Certain), From::Snapshot),
            (Set(|settings| settings.excludes = vec!["leaf.py".to_owned()]), From::Everything),
            (Set(|settings| settings.excludes.clear()), From::Snapshot),
            (Set(|settings| settings.follow_installed = true), From::Everything),
        ],
    );
    assert_eq!(count(&found, "blocking-call-indirect"), 1);
}

fn cut(path: &Path) {
    let bytes = fs::read(path).expect("it was listed");
    fs::write(path, &bytes[..bytes.len() / 2]).expect("writable");
}

fn forge_first(path: &Path) {
    let mut bytes = fs::read(path).expect("it was listed");
    bytes[0] ^= 0x55;
    fs::write(path, bytes).expect("writable");
}

fn remove(path: &Path) {
    fs::remove_file(path).expect("it was listed");
}

#[test]
fn damaged_caches_are_no_caches() {
    for (prefix, damage, from) in [
        ("program-", cut as fn(&Path), From::Everything),
        ("program-", forge_first, From::Everything),
        ("program-", remove, From::Everything),
        ("facts-", cut, From::Everything),
        ("facts-", remove, From::Everything),
        // The index of a shard is whole, so that the damage is met when facts are asked for.
        ("facts-", forge_first, From::Snapshot),
    ] {
        let mut project = Project::new(&CHAIN);
        project.again(&[], From::Everything);
        let found = project.again(&[Damage(prefix, damage), Write("middle.py", &format!("# More.\n{MIDDLE}"))], from);
        assert_eq!(count(&found, "blocking-call-indirect"), 1);
    }
}

#[cfg(unix)]
#[test]
fn changes_that_keep_size_and_time_are_seen() {
    let mut project = Project::new(&CHAIN);
    project.again(&[], From::Everything);
    let written = project.path("leaf.py").metadata().and_then(|metadata| metadata.modified()).expect("it is there");
    project.write("leaf.py", &LEAF.replace("time.sleep", "time.ctime"));
    let leaf = File::options().append(true).open(project.path("leaf.py"));
    leaf.and_then(|file| file.set_modified(written)).expect("it is there");
    assert_eq!(count(&project.again(&[], From::Snapshot), "blocking-call-indirect"), 0);
}

const INSTALLED: &str = ".venv/lib/python3.11/site-packages/";

/// The project's files, and those of packages installed in its environment.
fn with_installed<'f>(own: &[(&'f str, &'f str)], installed: &[(&str, &'f str)]) -> Vec<(String, &'f str)> {
    let installed = installed.iter().map(|(name, text)| (format!("{INSTALLED}{name}"), *text));
    own.iter().map(|(name, text)| ((*name).to_owned(), *text)).chain(installed).collect()
}

fn borrowed<'f>(files: &'f [(String, &'f str)]) -> Vec<(&'f str, &'f str)> {
    files.iter().map(|(name, text)| (name.as_str(), *text)).collect()
}

#[test]
fn installed_packages_change() {
    let own = [("app.py", "from pack import go\nfrom pack.deep import run\n\nasync def app():\n    go()\n    run()\n")];
    let files = with_installed(&own, &[("pack/__init__.py", "async def go(): pass\n")]);
    let (top, deep) = (format!("{INSTALLED}pack/__init__.py"), format!("{INSTALLED}pack/deep.py"));
    let found = checked(
        &borrowed(&files),
        &[
            (Write(&top, "def go(): pass\n"), From::Snapshot),
            // Nothing but the package's own directory tells of it.
            (Write(&deep, "async def run(): pass\n"), From::Everything),
            (Write(&deep, "def run(): pass\n"), From::Snapshot),
            (Remove(&deep), From::Everything),
            (Write(&top, "async def go(): pass\n"), From::Snapshot),
        ],
    );
    assert_eq!(count(&found, "missing-await"), 1);
}

#[test]
fn installed_packages_are_imported_no_longer() {
    let class = "import time\n\nclass Disk:\n    def read(self):\n        time.sleep(1)\n";
    let three = class.replace("import time\n", "import time\nclass A(Z):\n    def read(self): pass\nclass B:\n    def read(self): pass\nclass C:\n    def read(self): pass\n");
    let own = [
        ("asks.py", "from typing import Protocol\n\nclass Store(Protocol):\n    def read(self): ...\n"),
        ("uses.py", "import asks\n\nasync def use(store: asks.Store):\n    store.read()\n"),
        ("disk.py", class),
        ("imports.py", "import pack\n"),
    ];
    let files = with_installed(&own, &[("pack.py", &three)]);
    // Of too many classes that could be meant none is; without the package there is one.
    let found = checked(&borrowed(&files), &[(Write("imports.py", ""), From::Everything)]);
    assert_eq!(count(&found, "blocking-call-indirect"), 1);
    let found = checked(&borrowed(&files), &[(Write("imports.py", "import pack, json\n"), From::Snapshot)]);
    assert_eq!(count(&found, "blocking-call-indirect"), 0);
}

#[test]
fn locks_of_a_third_file_get_other_numbers() {
    let locks = "import asyncio\n\nFIRST = asyncio.Lock()\nSECOND = asyncio.Lock()\n";
    let manager = |name: &str, lock: &str| {
        format!("@contextlib.asynccontextmanager\nasync def {name}():\n    async with locks.{lock}:\n        yield\n")
    };
    let managers = format!("import contextlib\nimport locks\n{}{}", manager("one", "FIRST"), manager("two", "SECOND"));
    let files = [
        ("locks.py", locks),
        ("managers.py", &managers),
        (
            "here.py",
            "import managers\nasync def f():\n    async with managers.one():\n        async with managers.two():\n            await f()\n",
        ),
        (
            "there.py",
            "import locks\nasync def g():\n    async with locks.SECOND:\n        async with locks.FIRST:\n            pass\n",
        ),
    ];
    let found = checked(&files, &[(Write("locks.py", &locks.replace("\n\n", "\n\nlimit = 5\n")), From::Snapshot)]);
    assert_eq!(count(&found, "lock-order"), 1);
}

#[test]
fn what_is_removed_is_unknown_to_who_was_handed_it() {
    let files = [
        ("kinds.py", "class Kind:\n    def act(self): pass\n"),
        ("makes.py", "from kinds import Kind\n\ndef make():\n    return Kind()\n"),
        (
            "uses.py",
            "import time\n\nclass Other:\n    def act(self):\n        time.sleep(1)\n\ndef use(value):\n    value.act()\n",
        ),
        (
            "joins.py",
            "import makes, uses\n\nasync def join():\n    uses.use(makes.make())\n    uses.use(uses.Other())\n",
        ),
    ];
    let found = checked(&files, &[(Write("kinds.py", ""), From::Snapshot)]);
    assert_eq!(count(&found, "blocking-call-indirect"), 1);
}

#[test]
fn what_holds_for_the_whole_program_is_asked_anew() {
    let nested = "import asyncio\n\nasync def main():\n    asyncio.run(main())\n";
    let files = [("nested.py", nested), ("setup.py", "x = 1\n"), ("top.py", TOP)];
    let found =
        checked(&files, &[(Write("setup.py", "import nest_asyncio\n\nnest_asyncio.apply()\n"), From::Everything)]);
    assert_eq!(count(&found, "nested-loop-run"), 0);
}

#[test]
fn many_edits_start_from_one_snapshot() {
    let mut project = Project::new(&CHAIN);
    let first = project.again(&[], From::Everything);
    for round in 0..5 {
        let text = format!("{TOP}async def more_{round}():\n    middle.middle()\n");
        project.again(&[Write("top.py", &text)], From::Snapshot);
        project.again(&[Write("leaf.py", &LEAF.replace("if wait", "if not wait"))], From::Snapshot);
        assert_eq!(project.again(&[Write("top.py", TOP), Write("leaf.py", LEAF)], From::Snapshot), first);
    }
}
