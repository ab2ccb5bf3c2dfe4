"""Which locks a function has taken by ``await lock.acquire()`` and not given back, at an instruction of it.

Only functions that both take and give back are looked at: what is taken here and given back elsewhere is somebody's
design. What is said holds on every way through the function to the instruction.
"""

import dis
import types
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType
from typing import Any, NamedTuple

from treadle.doctor import bytecode, chains, places

_LOCAL, _CELL, _GLOBAL = range(3)
_ENDS = {"RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE", "CLEANUP_THROW"}
_JUMPS = {"JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT", "JUMP_ABSOLUTE"}
_PASSED = {"PUSH_NULL", "PRECALL", "CACHE"}

# Functions longer than this, in instructions, are not read.
_LONG = 4000


class Path(NamedTuple):
    """How a function comes to a lock: a variable, and attributes of what that is."""

    kind: int
    place: int
    name: str
    attributes: tuple[str, ...]


class _Flow(NamedTuple):
    """What is held before each instruction on every way there, and where things are given back; by offsets.

    ``ends`` are the ways out, and whether they are a ``return``.
    """

    held: dict[int, dict[Path, int]]
    waits: dict[int, Path]
    given_back: dict[int, Path]
    next: dict[int, list[int]]
    ends: list[tuple[int, bool]]


def explicit(code: CodeType, offset: int) -> tuple[bool, tuple[tuple[Any, ...], ...]]:
    """Return what is held at an instruction: a path, and the instruction that took it.

    Before that, whether the function waits there for what it gives back on some ways out and keeps on others.
    """
    flow = _flow(code)
    if flow is None:
        return False, ()
    wanted = _at(flow.waits, offset)
    leaks = wanted is not None and _leaks(flow, wanted)
    held = _at(flow.held, offset) or {}
    return leaks, tuple((*path, taken) for path, taken in held.items())


def _leaks(flow: _Flow, path: Path) -> bool:
    ends = [(path in flow.held[end], is_return) for end, is_return in flow.ends if end in flow.held]
    # What all ways out keep is kept for whoever has called.
    return any(keeps for keeps, _ in ends) and (False, True) in ends


def reach(suspended: Any, root: object, name: str | None, attributes: tuple[str, ...]) -> object:
    """Return what a path leads to, running no code of the program's; None if that cannot be."""
    if name is not None:
        frame = chains.frame_of(suspended)
        root = None if frame is None else frame.f_globals.get(name)
    for attribute in attributes:
        root = _attribute(root, attribute)
    return root


def lost(exception: BaseException) -> places.Place | None:
    """Return the line that took what was not given back when an exception left its function."""
    traceback = exception.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if "acquire" in code.co_names and "release" in code.co_names and places.owner(code.co_filename) is None:
            taken = _lost(code, traceback.tb_lasti)
            if taken is not None:
                return places.of_code(code, bytecode.line(code, taken))
        traceback = traceback.tb_next
    return None


@lru_cache(1000)
def _lost(code: CodeType, offset: int) -> int | None:
    flow = _flow(code)
    held = None if flow is None else flow.held.get(offset)
    if flow is None or not held:
        return None
    # A handler may give it back.
    seen: set[int] = set()
    after = [region.handler for region in bytecode.regions(code) if region.start <= offset < region.end]
    while after:
        one = after.pop()
        if one not in seen:
            seen.add(one)
            after += flow.next.get(one, ())
    given_back = {path for at, path in flow.given_back.items() if at in seen}
    return next((taken for path, taken in held.items() if path not in given_back), None)


def _attribute(thing: object, name: str) -> object:
    """Return an attribute of an instance or a slot, as it is stored."""
    for owner in type(thing).__mro__:
        if name in vars(owner):
            found = vars(owner)[name]
            if not isinstance(found, types.MemberDescriptorType):
                return None if hasattr(type(found), "__get__") else found
            try:
                return found.__get__(thing)
            except AttributeError:
                return None
    try:
        stored: object = object.__getattribute__(thing, "__dict__")
    except AttributeError:
        return None
    return stored.get(name) if type(stored) is dict else None


def _at(table: dict[int, Any], offset: int) -> Any:
    """Return what stands at the instruction at which a frame is suspended, which may be counted as the next one."""
    return table.get(offset, table.get(offset - 2))


@lru_cache(500)
def _flow(code: CodeType) -> _Flow | None:
    listed = [one for one in dis.get_instructions(code) if one.opname != "CACHE"]
    if len(listed) > _LONG:
        return None
    takes: dict[int, tuple[Path, int]] = {}
    waits: dict[int, Path] = {}
    given_back: dict[int, Path] = {}
    for index, one in enumerate(listed):
        if one.opname not in {"LOAD_ATTR", "LOAD_METHOD"} or one.argval not in {"acquire", "release"}:
            continue
        path, call = _path(code, listed, index), _call(listed, index)
        if path is None or call is None:
            continue
        if one.argval == "release":
            given_back[listed[call].offset] = path
            continue
        send = next((later for later in listed[call + 1 : call + 5] if later.opname == "SEND"), None)
        if listed[call + 1].opname == "GET_AWAITABLE" and send is not None:
            takes[send.offset] = path, one.offset
            for inside in listed:
                if send.offset <= inside.offset < send.argval:
                    waits[inside.offset] = path
    known = set(given_back.values())
    takes = {send: (path, taken) for send, (path, taken) in takes.items() if path in known}
    if not takes:
        return None
    ways = _ways(code, listed)
    held = _spread(listed[0].offset, ways, takes, given_back)
    waits = {offset: path for offset, path in waits.items() if path in known}
    following = {offset: [target for target, _ in targets] for offset, targets in ways.items()}
    # Around all of a coroutine stands what makes a `RuntimeError` of `StopIteration`.
    at = {one.offset: one.opname for one in listed}
    handled = [(one.start, one.end) for one in bytecode.regions(code) if at.get(one.handler) != "CALL_INTRINSIC_1"]
    ends = [(one.offset, True) for one in listed if one.opname in {"RETURN_VALUE", "RETURN_CONST"}]
    raises = [one.offset for one in listed if one.opname == "RAISE_VARARGS"]
    ends += [(one, False) for one in raises if not any(start <= one < end for start, end in handled)]
    return _Flow(held, waits, given_back, following, ends)


def _path(code: CodeType, listed: list[dis.Instruction], at: int) -> Path | None:
    """Return how what stands before an attribute was come to."""
    attributes: list[str] = []
    for one in reversed(listed[max(at - 8, 0) : at]):
        if one.opname == "LOAD_ATTR":
            attributes.insert(0, one.argval)
            continue
        name = one.argval
        if one.opname in {"LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_FAST_BORROW"}:
            return Path(_LOCAL, code.co_varnames.index(name), name, tuple(attributes))
        if one.opname == "LOAD_DEREF":
            cells = [cell for cell in code.co_cellvars if cell not in code.co_varnames]
            return Path(_CELL, [*code.co_varnames, *cells, *code.co_freevars].index(name), name, tuple(attributes))
        if one.opname in {"LOAD_GLOBAL", "LOAD_NAME"}:
            return Path(_GLOBAL, 0, name, tuple(attributes))
        return None
    return None


def _call(listed: list[dis.Instruction], at: int) -> int | None:
    """Return where a method that was loaded is called, without arguments."""
    for index in range(at + 1, min(at + 5, len(listed) - 1)):
        if listed[index].opname == "CALL":
            return index if listed[index].arg == 0 else None
        if listed[index].opname not in _PASSED:
            return None
    return None


def _ways(code: CodeType, listed: list[dis.Instruction]) -> dict[int, list[tuple[int, bool]]]:
    """Return where each instruction leads to, and whether that is a jump."""
    jumping = {*dis.hasjrel, *dis.hasjabs}
    regions = list(bytecode.regions(code))
    ways: dict[int, list[tuple[int, bool]]] = {}
    for at, one in enumerate(listed):
        targets = ways.setdefault(one.offset, [])
        if one.opname not in _ENDS and one.opname not in _JUMPS and at + 1 < len(listed):
            targets.append((listed[at + 1].offset, False))
        if one.opcode in jumping:
            targets.append((one.argval, True))
        targets += [(region.handler, False) for region in regions if region.start <= one.offset < region.end]
    return ways


def _spread(
    begin: int,
    ways: dict[int, list[tuple[int, bool]]],
    takes: dict[int, tuple[Path, int]],
    given_back: dict[int, Path],
) -> dict[int, dict[Path, int]]:
    """Return what is held before each instruction on every way to it."""
    held: dict[int, dict[Path, int]] = {begin: {}}
    open_ = [begin]
    while open_:
        at = open_.pop()
        state = {path: taken for path, taken in held[at].items() if path != given_back.get(at)}
        for target, is_jump in ways.get(at, ()):
            new = dict(_after(state, takes.get(at) if is_jump else None))
            known = held.get(target)
            if known is not None:
                new = {path: taken for path, taken in known.items() if path in new}
            if new != known:
                held[target] = new
                open_.append(target)
    return held


def _after(state: dict[Path, int], taken: tuple[Path, int] | None) -> Iterator[tuple[Path, int]]:
    yield from state.items()
    if taken is not None:
        yield taken
