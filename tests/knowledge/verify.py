"""Hold the claims of the knowledge files against the libraries they speak of.

    python3 tests/knowledge/verify.py                every claim; libraries that are not installed are skipped
    python3 tests/knowledge/verify.py python redis   the claims about the standard library and one more
    python3 tests/knowledge/verify.py --missing      also list public methods of claimed classes that nobody claims

Nothing is called: names are looked up, signatures and special methods are compared. The last line is
`N passed, N failed, N skipped`. A name that is not there everywhere is excused by its claim's `why`:
"from Python 3.13 on", "on Windows only", "in older versions". `requirements.txt` has the versions that the claims were
held against.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import importlib.util
import inspect
import re
import sys
import tomllib
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
DATA = HERE.parent.parent / "crates" / "treadle-program" / "src" / "knowledge" / "data"

DUNDERS = {
    "with": ("__enter__", "__exit__"),
    "async-with": ("__aenter__", "__aexit__"),
    "iter": ("__iter__",),
    "async-iter": ("__aiter__",),
    "await": ("__await__",),
}
TEXTS = {"why", "enters", "iterates", "awaits", "returns", "blocks", "twin", "cure", "primitive", "decorator"}
FLAGS = {"class", "attribute", "async", "twin-is-exact", "opens", "goes-on", "pooled-client", "executor"}
LISTS = {"names", "bases", "protocols", "unless", "only-if", "close"}
TABLES = {"effects", "passes", "runs", "legacy"}
SHAPES = {
    "type",
    "list",
    "set",
    "iter",
    "dict",
    "tuple",
    "async-iter",
    "coroutine",
    "task",
    "future",
    "with",
    "async-with",
}
SHAPES |= {"await", "call", "None", "self", "?"}

# Called and annotated like a class, though the name is a function's: the class of what it returns.
BEHIND = {
    "threading.Lock": "_thread.LockType",
    "threading.RLock": "_thread.RLock",
    "asyncio.timeout": "asyncio.Timeout",
    "asyncio.timeout_at": "asyncio.Timeout",
    "multiprocessing.Pool": "multiprocessing.pool.Pool",
    **{
        f"multiprocessing.{name}": f"multiprocessing.queues.{name}"
        for name in ("Queue", "JoinableQueue", "SimpleQueue")
    },
    **{
        f"multiprocessing.{name}": f"multiprocessing.synchronize.{name}"
        for name in ("Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition", "Event", "Barrier")
    },
}

# Classes that no module exports: made by the function of their claimed name.
NAMELESS = {"select.poll"}

# Protocols that a class has in name only, and claims are silent about.
IN_NAME_ONLY = {
    ("aiohttp.ClientSession", "with"): "raises TypeError",
    ("aiohttp.web.WebSocketResponse", "iter"): "goes through the keys of its state; who writes it meant `async for`",
    ("aiomysql.Pool", "with"): "raises RuntimeError",
    ("aiomysql.Pool", "iter"): "is there for `yield from`",
    ("asyncio.Future", "iter"): "is there for `yield from`",
    ("asyncio.Task", "iter"): "is there for `yield from`",
    **{
        (f"filelock.{name}", "with"): "raises NotImplementedError"
        for name in ("BaseAsyncFileLock", "AsyncFileLock", "AsyncSoftFileLock", "AsyncUnixFileLock")
    },
    ("tenacity.AsyncRetrying", "iter"): "raises TypeError",
}

# Aliases to another library's function that does the same.
ALIKE = {"uvloop.run", "uvloop.new_event_loop"}

# What a claim's `why` says about where its names are found.
YOUNG = re.compile(r"from Python (\d+\.\d+) on")
ELSEWHERE = re.compile(r"on [\w, ]+ only")
PLATFORMS = {"linux": "Linux", "darwin": "macOS", "win32": "Windows"}
OLDER = "in older versions"

Claim = dict[str, Any]


class AbsentError(Exception):
    """A dotted name leads nowhere."""


@dataclass
class Report:
    """What was checked, and every failure in words."""

    passed: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)

    def check(self, holds: object, words: str) -> None:
        """Count one check; `words` say what is wrong when it does not hold."""
        if holds:
            self.passed += 1
        else:
            self.failures.append(words)


@dataclass
class Books:
    """All files of one directory."""

    by_file: dict[Path, dict[str, Any]]
    claims: dict[str, Claim]
    aliases: dict[str, str]

    @classmethod
    def read(cls, directory: Path, report: Report) -> Books:
        """Read every file, and count keys the schema lacks and names claimed twice as failures."""
        by_file = {path: tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(directory.glob("*.toml"))}
        aliases = {spelling: name for book in by_file.values() for spelling, name in book.get("alias", {}).items()}
        books = cls(by_file, {}, aliases)
        home: dict[str, Path] = {}
        for path, book in by_file.items():
            for claim in book.get("claim", ()):
                schema(claim, path, report)
                for name in map(books.canonical, claim.get("names", ())):
                    report.check(
                        name not in home, f"{name}: claimed in {path.name} and before in {home.get(name, path).name}"
                    )
                    home[name] = path
                    books.claims[name] = claim
        return books

    def canonical(self, name: str) -> str:
        """Follow aliases."""
        parts = name.split(".")
        for end in range(len(parts), 0, -1):
            prefix = ".".join(parts[:end])
            if prefix in self.aliases:
                return self.canonical(".".join([self.aliases[prefix], *parts[end:]]))
        return name

    def ancestors(self, name: str) -> list[str]:
        """List a claimed class and the claimed classes above it."""
        classes = [self.canonical(name)]
        for here in classes:
            for base in map(self.canonical, self.claims.get(here, {}).get("bases", ())):
                if base not in classes:
                    classes.append(base)
        return classes

    def protocols(self, name: str) -> set[str]:
        """Collect what a class and its bases are claimed to support."""
        return {
            protocol for here in self.ancestors(name) for protocol in self.claims.get(here, {}).get("protocols", ())
        }


def schema(claim: Claim, path: Path, report: Report) -> None:
    """Check that every key is one the checker reads, of the right kind."""
    about = f"{path.name}: {claim.get('names', ['?'])[0]}"
    report.check(bool(claim.get("names")), f"{about}: no names")
    report.check(str(claim.get("why", "")).endswith("."), f"{about}: `why` is not a sentence")
    for key, value in claim.items():
        kinds = {str: TEXTS, bool: FLAGS, list: LISTS, dict: TABLES}
        report.check(key in kinds.get(type(value), ()), f"{about}: `{key}` is not a key, or not of this kind")


def found(name: str) -> tuple[Any, Any, bool]:
    """Find the object of a dotted name, its owner, and whether it is read from a class."""
    for public, private in BEHIND.items():
        if name.startswith(f"{public}."):
            name = private + name.removeprefix(public)
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                here: Any = importlib.import_module(".".join(parts[:end]))
        except Exception:  # noqa: BLE001, S112  # whatever a library raises when it lacks something
            continue
        owner: Any = None
        for part in parts[end:]:
            owner, here = here, member(here, part, name)
        return here, owner, inspect.isclass(owner)
    raise AbsentError(name)


def member(owner: Any, part: str, name: str) -> Any:
    """Read an attribute, without running properties of classes."""
    try:
        if inspect.isclass(owner):
            value = inspect.getattr_static(owner, part)
            return value.__func__ if isinstance(value, (staticmethod, classmethod)) else value
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return getattr(owner, part)
    except AttributeError:
        raise AbsentError(name) from None


def parameters(obj: Any, owner: Any, name: str) -> list[inspect.Parameter] | None:
    """List the parameters a caller may give, or None when Python does not say."""
    try:
        signature = inspect.signature(obj)
    except (TypeError, ValueError):
        return None
    given = list(signature.parameters.values())
    static = inspect.isclass(owner) and isinstance(inspect.getattr_static(owner, name.rpartition(".")[2]), staticmethod)
    bound = inspect.isclass(owner) and not inspect.isclass(obj) and not static
    return given[1:] if bound and given and given[0].kind != inspect.Parameter.VAR_POSITIONAL else given


def takes(given: list[inspect.Parameter], key: str) -> bool:
    """Tell whether an argument can be given at a position (`"0"`) or by a keyword (`"timeout"`)."""
    if key == "*":
        return True
    if key.isdecimal():
        positional = [p for p in given if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        return int(key) < len(positional) or any(p.kind is p.VAR_POSITIONAL for p in given)
    by_name = any(p.name == key and p.kind is not p.POSITIONAL_ONLY for p in given)
    return by_name or any(p.kind is p.VAR_KEYWORD for p in given)


def is_coroutine_function(obj: Any) -> bool | None:
    """Tell whether calling it gives something to await; None when it may."""
    if inspect.iscoroutinefunction(obj):
        return True
    # What wraps a coroutine function may give a coroutine, or something that is more than one.
    function = inspect.unwrap(obj) if callable(obj) else obj
    if inspect.iscoroutinefunction(function):
        return None
    annotation = str(getattr(function, "__annotations__", {}).get("return", ""))
    text = f"{annotation} {getattr(obj, '__doc__', None) or ''}"
    return None if re.search(r"Awaitable|Coroutine|coroutine|await|asynchronous|Async|ResultT|Any", text) else False


def has_protocol(cls: type, protocol: str) -> bool:
    """Tell whether instances of the class support it."""
    if all(getattr(cls, dunder, None) is not None for dunder in DUNDERS[protocol]):
        return True
    return protocol == "iter" and hasattr(cls, "__getitem__") and not hasattr(cls, "__class_getitem__")


def is_set_on_instances(owner: str, part: str) -> bool:
    """Tell whether methods of a class set an attribute that the class itself lacks."""
    try:
        classes = found(BEHIND.get(owner, owner))[0].__mro__
    except (AbsentError, AttributeError):
        return False
    for cls in classes:
        try:
            source = inspect.getsource(cls)
        except (TypeError, OSError):
            # A class that calls itself a member of another module than the one that defines it.
            try:
                source = inspect.getsource(cls.__init__)
            except (TypeError, OSError):
                continue
        if re.search(rf"\bself\.{part}\b(: [^=\n]+)? = ", source):
            return True
    return False


@functools.cache
def is_importable(module: str) -> bool:
    """Tell whether a module is installed and works here."""
    try:
        importlib.import_module(module)
    except Exception:  # noqa: BLE001  # whatever a library raises when it lacks something
        return False
    return True


def is_installed(name: str) -> bool:
    """Tell whether the modules of a dotted name can be imported, as far as there are any."""
    modules = [name.rsplit(".", cut)[0] for cut in range(name.count("."), 0, -1)]
    for module in modules:
        try:
            if importlib.util.find_spec(module) is None:
                break
        except ImportError:
            break
        if not is_importable(module):
            return False
    return is_importable(modules[0])


def types_in(text: str) -> Iterator[str]:
    """Find the class names within a type."""
    for word in re.findall(r"[\w.-]+|\?", text):
        if word not in SHAPES and not re.fullmatch(r"arg\d+", word):
            yield word


class Verifier:
    """Checks the claims of some books against what is installed."""

    def __init__(self, books: Books, report: Report) -> None:
        """Remember what is claimed, and where failures go."""
        self.books = books
        self.report = report
        self.name = ""

    def fails_unless(self, holds: object, words: str) -> None:
        """Check something about the name at hand."""
        self.report.check(holds, f"{self.name}: {words}")

    def fails(self, words: str) -> None:
        """Report a failure of the name at hand."""
        self.report.failures.append(f"{self.name}: {words}")

    def book(self, book: dict[str, Any]) -> None:
        """Check one file."""
        for claim in book.get("claim", ()):
            for name in claim["names"]:
                self.name = name
                self.claim(claim)
        for alias, target in book.get("alias", {}).items():
            self.name = alias
            self.alias(target)
        for module in book.get("complete", ()):
            self.complete(module)

    def claim(self, claim: Claim) -> None:
        """Check one name of one claim."""
        gone = self.is_gone(claim)
        try:
            obj, owner, in_class = found(self.name)
        except AbsentError:
            if self.is_excused(claim):
                self.report.skipped += 1
            else:
                self.fails("does not exist")
            return
        self.fails_unless(not gone, "is claimed to be gone and is still there")
        self.types(claim)
        owner_claim = self.books.claims.get(self.books.canonical(self.name.rpartition(".")[0]), {})
        self.fails_unless(not in_class or owner_claim.get("class"), "is a member of a class that no claim calls one")
        if claim.get("attribute"):
            self.fails_unless(
                not inspect.isroutine(obj) or hasattr(obj, "__get__"), "is claimed to be an attribute and is a function"
            )
            return
        if claim.get("class"):
            self.cls(claim, obj)
        elif in_class or inspect.isroutine(obj):
            self.fails_unless(callable(obj) or hasattr(obj, "__get__"), "cannot be called")
        if not claim.get("class") and not inspect.isclass(obj):
            self.coroutine(claim, obj)
        self.arguments(claim, obj, owner)
        self.twin(claim, obj, owner)

    def is_gone(self, claim: Claim) -> bool:
        """Tell whether the claim says that this Python has its names no more."""
        legacy = claim.get("legacy", {})
        removed = legacy.get("removed")
        return bool(removed) and "argument" not in legacy and version(removed) <= sys.version_info[:2]

    def is_excused(self, claim: Claim) -> bool:
        """Tell whether there is a reason for the name not to be here: no such library, another Python or platform."""
        owner, _, part = self.name.rpartition(".")
        pretend = any(each.startswith("_") for each in self.name.split("."))
        reasons = claim["why"], self.books.claims.get(self.books.canonical(owner), {}).get("why", "")
        noted = any(is_elsewhere(why) for why in reasons)
        made = owner in NAMELESS or is_set_on_instances(owner, part)
        return pretend or noted or made or self.is_gone(claim) or not is_installed(self.name)

    def cls(self, claim: Claim, obj: Any) -> None:
        """Check that it is a class, that its bases are, and that it supports what is claimed and nothing else."""
        if self.name in NAMELESS:
            return
        if not inspect.isclass(obj):
            self.fails_unless(self.name in BEHIND, "is claimed to be a class and is not")
            if self.name not in BEHIND:
                return
            obj = found(BEHIND[self.name])[0]
        for base in claim.get("bases", ()):
            try:
                real = found(base)[0]
            except AbsentError:
                self.fails_unless("._" in base, f"its base `{base}` does not exist")
                continue
            self.fails_unless(not inspect.isclass(real) or issubclass(obj, real), f"is not a subclass of `{base}`")
        claimed = self.books.protocols(self.name)
        for protocol in claimed:
            self.fails_unless(has_protocol(obj, protocol), f"does not support `{protocol}`")
        # A class that names one protocol is taken to have no other.
        for protocol in DUNDERS if claimed else ():
            silent = protocol in claimed or (self.name, protocol) in IN_NAME_ONLY
            self.fails_unless(silent or not has_protocol(obj, protocol), f"supports `{protocol}` too")
        for close in claim.get("close", ()):
            self.fails_unless(hasattr(obj, close), f"has no method `{close}`")
        for method in claim.get("runs", {}):
            self.fails_unless(
                method == "*" or hasattr(obj, method) or method.startswith("do_"), f"has no method `{method}`"
            )

    def coroutine(self, claim: Claim, obj: Any) -> None:
        """Check that what is claimed to be a coroutine function is one, and nothing else is."""
        is_async = is_coroutine_function(obj)
        if claim.get("async"):
            self.fails_unless(is_async is not False, "is not a coroutine function")
        elif is_async is True:
            told = re.match(r"coroutine|task|future|async-with", claim.get("returns", ""))
            self.fails_unless(told or "decorator" in claim, "is a coroutine function")

    def arguments(self, claim: Claim, obj: Any, owner: Any) -> None:
        """Check that arguments that conditions, effects and legacy speak of can be given."""
        given = parameters(obj, owner, self.name)
        if given is None:
            return
        for condition in [*claim.get("unless", ()), *claim.get("only-if", ())]:
            key = re.split("[=~]", condition)[0]
            # One claim speaks for kindred names: an argument some of them lack is never given.
            self.fails_unless(takes(given, key) or len(claim["names"]) > 1, f"takes no argument `{key}`")
        for keys in claim.get("effects", {}):
            wanted = keys.split("|")
            self.fails_unless(
                any(takes(given, key) for key in wanted) or len(claim["names"]) > 1, f"takes no argument `{keys}`"
            )
            if len(wanted) == 2 and wanted[0].isdecimal() and len(claim["names"]) == 1:
                at = int(wanted[0])
                self.fails_unless(
                    at < len(given) and given[at].name == wanted[1], f"argument {at} is not `{wanted[1]}`"
                )
        legacy = claim.get("legacy", {})
        if (argument := legacy.get("argument")) and version(legacy.get("removed", "9.9")) <= sys.version_info[:2]:
            self.fails_unless(not any(p.name == argument for p in given), f"still takes `{argument}`")
        instead = legacy.get("instead", "")
        if legacy.get("instead-is-exact"):
            self.exists(instead)

    def twin(self, claim: Claim, obj: Any, owner: Any) -> None:
        """Check that the asyncio way exists, is one, and takes the same arguments if it says so."""
        twin = claim.get("twin")
        if not twin or not is_importable(twin.partition(".")[0]):
            return
        if not self.exists(twin):
            return
        other, other_owner, _ = found(twin)
        known = self.books.claims.get(self.books.canonical(twin), {})
        is_async = known.get("async") or re.match(r"coroutine|task|future|async-with", known.get("returns", ""))
        self.fails_unless(
            is_async or is_coroutine_function(other) is not False, f"its twin `{twin}` is not asynchronous"
        )
        mine, theirs = parameters(obj, owner, self.name), parameters(other, other_owner, twin)
        if claim.get("twin-is-exact") and mine is not None and theirs is not None:
            same = all(takes(theirs, p.name) for p in mine if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
            required = [
                p for p in theirs if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
            ]
            self.fails_unless(same and len(required) <= max(len(mine), 1), f"its twin `{twin}` takes other arguments")

    def exists(self, name: str) -> bool:
        """Check that a name leads somewhere."""
        try:
            found(name)
        except AbsentError:
            self.fails(f"`{name}` does not exist")
            return False
        return True

    def types(self, claim: Claim) -> None:
        """Check that classes that types speak of are claimed as classes, for the checker sees no other."""
        for key in ("returns", "enters", "iterates", "awaits"):
            for name in types_in(claim.get(key, "")):
                known = self.books.canonical(name)
                about = self.books.claims.get(known) or self.books.claims.get(f"builtins.{known}", {})
                self.fails_unless(
                    bool(about.get("class")) or name == "object",
                    f"`{key}` names `{name}`, which no claim calls a class",
                )

    def alias(self, target: str) -> None:
        """Check that both spellings are one object, or a module and the package that exports its names."""
        if not is_importable(self.name.partition(".")[0]):
            self.report.skipped += 1
            return
        try:
            here, there = found(self.name)[0], found(target)[0]
        except AbsentError as absent:
            self.fails_unless("._" in target, f"alias to `{target}`: `{absent}` does not exist")
            return
        alike = (
            here is there or inspect.ismodule(here) or inspect.isclass(here) or target in BEHIND or self.name in ALIKE
        )
        self.fails_unless(alike, f"is not `{target}`")

    def complete(self, module: str) -> None:
        """Check that no public coroutine function of a module that is called complete goes unclaimed."""
        if not is_importable(module):
            self.report.skipped += 1
            return
        top = importlib.import_module(module)
        for name, obj in public_coroutines(top, module):
            self.name = name
            owners = self.books.ancestors(self.books.canonical(name.rpartition(".")[0]))
            names = [self.books.canonical(name), *(f"{owner}.{name.rpartition('.')[2]}" for owner in owners)]
            claims = [self.books.claims[each] for each in names if each in self.books.claims]
            self.fails_unless(
                any(claim.get("async") for claim in claims),
                f"is a coroutine function that nobody claims ({obj.__module__})",
            )

    def missing(self, book: dict[str, Any]) -> Iterator[str]:
        """List public methods of claimed classes without a claim of their own or of a base."""
        for claim in book.get("claim", ()):
            for name in claim["names"] if claim.get("class") else ():
                try:
                    cls = found(name)[0]
                except AbsentError:
                    continue
                for part in sorted(dir(cls)) if inspect.isclass(cls) and not issubclass(cls, BaseException) else ():
                    if not part.startswith("_") and not any(
                        f"{each}.{part}" in self.books.claims for each in self.books.ancestors(name)
                    ):
                        yield f"{name}.{part}"


def public_coroutines(module: Any, path: str) -> Iterator[tuple[str, Any]]:
    """List coroutine functions and methods among what a module exports."""
    exported = getattr(module, "__all__", None) or [name for name in dir(module) if not name.startswith("_")]
    for name in exported:
        obj = getattr(module, name, None)
        if inspect.iscoroutinefunction(obj):
            yield f"{path}.{name}", obj
        if (
            inspect.isclass(obj)
            and str(getattr(obj, "__module__", "")).partition(".")[0].lstrip("_") == path.partition(".")[0]
        ):
            for part in dir(obj):
                if not part.startswith("_") and inspect.iscoroutinefunction(inspect.getattr_static(obj, part, None)):
                    yield f"{path}.{name}.{part}", inspect.getattr_static(obj, part)


def version(text: str) -> tuple[int, int]:
    """Read `"3.10"` as numbers."""
    major, _, minor = text.partition(".")
    return int(major), int(minor)


def is_elsewhere(why: str) -> bool:
    """Tell whether a claim says that its names belong to a younger Python, another platform or an older library."""
    young = YOUNG.search(why)
    if young and version(young[1]) > sys.version_info[:2]:
        return True
    platform = ELSEWHERE.search(why)
    if platform and PLATFORMS.get(sys.platform, sys.platform) not in platform[0]:
        return True
    return OLDER in why


def literals(books: Books, report: Report) -> None:
    """Check that the values that conditions compare with are constants."""
    for name, claim in books.claims.items():
        for condition in [*claim.get("unless", ()), *claim.get("only-if", ())]:
            _, equals, value = condition.partition("=")
            # The checker reads constants only; strings stand without quotes.
            report.check(
                not equals or bool(re.fullmatch(r"[\w:+-]*", value)), f"{name}: `{condition}` compares with no constant"
            )


def main() -> int:
    """Check the books that the arguments name."""
    parser = argparse.ArgumentParser(description="hold the knowledge files against the libraries they speak of")
    parser.add_argument("library", nargs="*", help="`library` of the files to check (default: all)")
    parser.add_argument("--missing", action="store_true", help="list unclaimed public methods of claimed classes")
    options = parser.parse_args()
    report = Report()
    books = Books.read(DATA, report)
    literals(books, report)
    verifier = Verifier(books, report)
    known = {book["library"] for book in books.by_file.values()}
    for library in set(options.library) - known:
        report.failures.append(f"{library}: no knowledge file speaks of it")
    for path, book in books.by_file.items():
        if options.library and book["library"] not in options.library:
            continue
        passed, skipped = report.passed, report.skipped
        verifier.book(book)
        print(f"{path.name}: {report.passed - passed} passed, {report.skipped - skipped} skipped")
        if options.missing:
            print(*(f"    unclaimed: {name}" for name in verifier.missing(book)), sep="\n")
    for failure in report.failures:
        print(f"FAILED {failure}")
    print(f"{report.passed} passed, {len(report.failures)} failed, {report.skipped} skipped")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
