"""What the code around an instruction says: what becomes of a value, and who handles an exception.

Suspended frames stand at an instruction. What was compiled behind it tells more than the source line, and is read only
when something has gone wrong.
"""

import dis
import sys
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType
from typing import NamedTuple

from treadle.doctor.places import Place, of_code


class Region(NamedTuple):
    """Instructions whose exceptions go to a handler; offsets in bytes, the end is not included."""

    start: int
    end: int
    handler: int


def regions(code: CodeType) -> Iterator[Region]:
    """Yield the regions of a function: the inner before the outer is not promised, but no two overlap."""
    numbers = _numbers(code.co_exceptiontable)
    for start in numbers:
        length, target, _depth = next(numbers), next(numbers), next(numbers)
        yield Region(start * 2, (start + length) * 2, target * 2)


def _numbers(table: bytes) -> Iterator[int]:
    """Yield the numbers of an exception table: six bits in each byte, of which the seventh says that there is more."""
    number = 0
    for byte in table:
        number = number << 6 | byte & 63
        if not byte & 64:
            yield number
            number = 0


def handlers(code: CodeType, offset: int) -> Iterator[int]:
    """Yield where an exception goes that is raised at an instruction: its handler, and who gets it from there."""
    table = list(regions(code))
    seen: set[int] = set()
    while True:
        found = next((region.handler for region in table if region.start <= offset < region.end), None)
        if found is None or found in seen:
            return
        seen.add(found)
        offset = found
        if _name(code, found) not in {"CLEANUP_THROW", "CALL_INTRINSIC_1", "COPY"}:
            yield found


@lru_cache(1000)
def handler(code: CodeType, offset: int) -> int | None:
    """Return the first handler that the program wrote for an exception raised at an instruction."""
    return next(handlers(code, offset), None)


@lru_cache(1000)
def has_cleanup(code: CodeType, offset: int) -> bool:
    """Return whether a ``finally`` or ``with`` stands around an instruction, as the innermost handler."""
    found = handler(code, offset)
    if found is None:
        return False
    for instruction in dis.get_instructions(code):
        if instruction.offset < found:
            continue
        if instruction.opname in {"CHECK_EXC_MATCH", "CHECK_EG_MATCH", "END_ASYNC_FOR"}:
            return False
        if instruction.opname in {"WITH_EXCEPT_START", "RERAISE", "POP_EXCEPT", "CALL", "STORE_ATTR", "GET_AWAITABLE"}:
            return True
    return False


@lru_cache(1000)
def line(code: CodeType, offset: int) -> int:
    """Return the line of an instruction, or of the next one that has a line."""
    for _start, end, number in code.co_lines():
        if end > offset and number is not None:
            return number
    return code.co_firstlineno


@lru_cache(1000)
def is_dropped(code: CodeType, offset: int) -> bool:
    """Return whether the value of the ``await`` at which a frame is suspended is thrown away."""
    name = _name(code, offset)
    behind = iter(dis.get_instructions(code))
    if name == "RESUME":
        offset -= 2
    send = None
    for instruction in behind:
        if instruction.opname == "SEND":
            send = instruction
        if instruction.offset >= offset:
            break
    if send is None:
        return False
    following = [
        instruction.opname
        for instruction in dis.get_instructions(code)
        if instruction.offset >= send.argval and instruction.opname != "END_SEND"
    ]
    return following[:1] == ["POP_TOP"]


@lru_cache(1000)
def is_in_loop(code: CodeType, offset: int) -> bool:
    """Return whether an instruction stands in a ``while`` or ``for``."""
    return any(
        instruction.opname in {"JUMP_BACKWARD", "POP_JUMP_BACKWARD_IF_TRUE", "POP_JUMP_BACKWARD_IF_FALSE"}
        and instruction.argval <= offset <= instruction.offset
        for instruction in dis.get_instructions(code)
    )


def drops_a_call(code: CodeType, offset: int) -> bool:
    """Return whether a frame is just throwing away what a call has returned: an expression statement."""
    return _name(code, offset) == "POP_TOP"


def _name(code: CodeType, offset: int) -> str:
    return dis.opname[code.co_code[offset]] if 0 <= offset < len(code.co_code) else ""


def _is_called(instructions: list[dis.Instruction], at: int) -> bool:
    """Return whether an instruction loads what is to be called, and not an argument."""
    instruction = instructions[at]
    if instruction.opname in {"LOAD_METHOD", "LOAD_SUPER_ATTR"}:
        return True
    has_mark = instruction.opname == "LOAD_GLOBAL" or (
        instruction.opname == "LOAD_ATTR" and sys.version_info >= (3, 12)
    )
    if has_mark and (instruction.arg or 0) & 1:
        return True
    beside = at + 1 if sys.version_info >= (3, 13) else at - 1
    is_beside = 0 <= beside < len(instructions) and instructions[beside].opname == "PUSH_NULL"
    return instruction.opname.startswith("LOAD_") and is_beside


def calls(code: CodeType, name: str) -> Iterator[Place]:
    """Yield the lines of a function, and of those in it, that call something of a name and do not await it."""
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from calls(inner, name)
    if name not in code.co_names + code.co_varnames + code.co_freevars:
        return
    instructions = list(dis.get_instructions(code))
    for at, instruction in enumerate(instructions):
        if instruction.argval == name and _is_called(instructions, at):
            behind = [later.opname for later in instructions[at + 1 : at + 40]]
            call = next((index for index, later in enumerate(behind) if later.startswith("CALL")), None)
            if call is not None and behind[call + 1 : call + 2] != ["GET_AWAITABLE"]:
                yield of_code(code, line(code, instruction.offset))
