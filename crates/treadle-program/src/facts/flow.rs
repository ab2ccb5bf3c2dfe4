//! Structure and order: regions say what stands inside what, nodes say what can happen after what.

use bitcode::{Decode, Encode};
use treadle_finding::Span;

use super::{BindingId, ExprId, FunctionId, HandlerId, NodeId, RegionId, Run, StoreId, TryId};

/// A structural context. A function's body is the root; every other region has a parent in the same function.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Region {
    /// What kind of context.
    pub kind: RegionKind,
    /// The context around it.
    pub parent: Option<RegionId>,
    /// The function it belongs to.
    pub function: FunctionId,
    /// The bytes it covers (the block; for comprehensions the whole comprehension).
    pub span: Span,
}

/// What kind of context.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
pub enum RegionKind {
    /// A function's, class's or module's body.
    Body,
    /// A side of an `if`, `elif` or ternary; for `else` the test is that of the last condition before it.
    Branch {
        /// The condition.
        test: ExprId,
        /// Whether this side runs when the condition holds.
        when: bool,
    },
    /// A side that runs only for type checkers: `if TYPE_CHECKING:`.
    TypeChecking,
    /// The body of a loop, or the part of a comprehension governed by one `for`.
    Loop {
        /// Which loop.
        kind: LoopKind,
        /// The iterable of a `for`, the condition of a `while`.
        control: ExprId,
    },
    /// `else` of a loop.
    LoopElse,
    /// The body of one `with` item; several items nest.
    With {
        /// The context expression.
        context: ExprId,
        /// `async with`.
        is_async: bool,
    },
    /// `try:`.
    Try(TryId),
    /// `except …:`.
    Handler(HandlerId),
    /// `else:` of a `try`.
    TryElse(TryId),
    /// `finally:`.
    Finally(TryId),
    /// A `case` of a `match`.
    Case,
}

/// Which loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum LoopKind {
    /// `for` statement.
    For,
    /// `async for` statement.
    AsyncFor,
    /// `while` statement.
    While,
    /// `for` in a comprehension.
    Comprehension,
    /// `async for` in a comprehension.
    AsyncComprehension,
}

/// A `try` statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Try {
    /// The whole statement.
    pub span: Span,
    /// The region of `try:`.
    pub body: RegionId,
    /// Its `except` clauses, in order: a run of `handlers`.
    pub handlers: Run,
    /// The region of `else:`.
    pub orelse: Option<RegionId>,
    /// The region of `finally:`.
    pub finally: Option<RegionId>,
    /// `except*`.
    pub is_star: bool,
}

/// An `except` clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Handler {
    /// The `try` it belongs to.
    pub try_: TryId,
    /// The whole clause.
    pub span: Span,
    /// `except` and the types, up to and with the colon.
    pub header: Span,
    /// The caught type or tuple of types; `None` for a bare `except:`.
    pub caught: Option<ExprId>,
    /// `as name`.
    pub binding: Option<BindingId>,
    /// The region of its block.
    pub region: RegionId,
    /// The node at which the handler starts.
    pub entry: NodeId,
}

/// One step of a function's execution.
///
/// Every function has one `Entry`, one `Exit` and one `Unwind`. The block of a `finally` stands once for each way into it
/// (falling through, exception, `return`, `break`, `continue`), so no path mixes them; its expressions exist once.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Node {
    /// What happens.
    pub kind: NodeKind,
    /// The structural context.
    pub region: RegionId,
    /// Where control goes next: a run of `edges`.
    pub next: Run,
    /// Where an exception raised here goes: the dispatch of the `try` around it, a `with`'s `Leave`, or `Unwind`. `None` where nothing can raise.
    pub raises: Option<NodeId>,
}

/// What happens at a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum NodeKind {
    /// The function starts.
    Entry,
    /// The function returns.
    Exit,
    /// An exception leaves the function.
    Unwind,
    /// A variable of a function scope is read (reads of module variables and of imports have no node).
    Use(ExprId),
    /// A call happens.
    Call(ExprId),
    /// `await`: the expression is the `Await`.
    Suspend(ExprId),
    /// `yield` or `yield from`: the expression is the `Yield`. In an async generator this suspends too.
    Yield(ExprId),
    /// A variable gets a value (or is deleted).
    Bind(BindingId),
    /// An attribute or subscript gets a value (or is deleted).
    Store(StoreId),
    /// A `with` is entered; for `async with` this suspends.
    Enter(RegionId),
    /// A `with` is left normally; for `async with` this suspends.
    Leave(RegionId),
    /// A `with` is left by an exception; it may suppress it, so `next` holds where the exception goes on, and after it the
    /// statement behind the `with` when the context manager is one that can suppress (unknown ones cannot).
    LeaveRaising(RegionId),
    /// The head of a loop: the next item, or the end. `next` holds the body first, then what follows. For `async for` this suspends.
    Iterate(RegionId),
    /// A condition is decided; `next` holds the true side first. A constant condition has only the side it takes.
    Test(ExprId),
    /// An exception looks for its handler: `next` holds the handlers in order, then, unless one catches everything, where it goes on.
    Dispatch(TryId),
    /// A handler starts.
    Handle(HandlerId),
    /// `return`, with the value.
    Return(Option<ExprId>),
    /// `raise`; with no value it raises again what is being handled.
    Raise(Option<ExprId>),
    /// `break`, `continue`, and places where paths meet.
    Join,
}
