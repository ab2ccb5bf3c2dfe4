//! Expressions: what is computed, and what becomes of the value.

use bitcode::{Decode, Encode};
use treadle_finding::Span;

use super::{BindingId, CallId, ExprId, FunctionId, LocalId, NameId, RegionId, Run, StoreId};

/// One expression.
///
/// Plain constants that are nobody's argument, base, test or bound value are not lowered one by one: a display made only of
/// constants is one [`ExprKind::Constant`].
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Expr {
    /// What it computes.
    pub kind: ExprKind,
    /// Its bytes, without surrounding parentheses.
    pub span: Span,
    /// What becomes of the value.
    pub usage: Usage,
    /// The expression it is a part of.
    pub parent: Option<ExprId>,
    /// The innermost structural context it is evaluated in.
    pub region: RegionId,
}

/// What an expression computes.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
pub enum ExprKind {
    /// Reads a variable of this scope or of one around it, the module's included.
    Local(LocalId),
    /// Reads a name no scope of the file binds: a builtin, or something from a star import.
    Global(NameId),
    /// `base.name`.
    Attribute {
        /// Left of the dot.
        base: ExprId,
        /// Right of the dot.
        name: NameId,
    },
    /// A call.
    Call(CallId),
    /// `await operand`.
    Await(ExprId),
    /// `yield` with its value, if any.
    Yield(Option<ExprId>),
    /// `yield from operand`.
    YieldFrom(ExprId),
    /// A string of at most [`super::FileFacts::LONGEST_STRING`] bytes.
    String(NameId),
    /// A longer string.
    LongString,
    /// An f-string (or t-string) with the interpolated expressions.
    Format(Run),
    /// An integer that fits.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// `True` or `False`.
    Bool(bool),
    /// `None`.
    None,
    /// Bytes, `...`, complex and huge numbers, displays of nothing but constants.
    Constant,
    /// `lambda …: …`.
    Lambda(FunctionId),
    /// `[a, b]`.
    List(Run),
    /// `(a, b)`.
    Tuple(Run),
    /// `{a, b}`.
    Set(Run),
    /// `{key: value, **rest}`: keys and values in turn; `**rest` stands as an [`ExprKind::Starred`] without a key before it.
    Dict(Run),
    /// A comprehension. Its generators are [`super::RegionKind::Loop`] regions around the element.
    Comprehension {
        /// Which display or generator it makes.
        kind: ComprehensionKind,
        /// The element; for a dict comprehension its value.
        element: ExprId,
    },
    /// `base[index]`.
    Subscript {
        /// Left of the bracket.
        base: ExprId,
        /// Within the brackets; a slice is lowered as [`ExprKind::Other`] over its bounds.
        index: ExprId,
    },
    /// `a and b and c`, `a or b`.
    Bool2 {
        /// `and` rather than `or`.
        and: bool,
        /// The operands.
        operands: Run,
    },
    /// `not operand`.
    Not(ExprId),
    /// `left op right`.
    Binary {
        /// The operator.
        op: Operator,
        /// Left operand.
        left: ExprId,
        /// Right operand.
        right: ExprId,
    },
    /// `left op right`; a chain `a < b < c` is [`ExprKind::Other`] over its operands.
    Compare {
        /// The operator.
        op: CompareOp,
        /// Left operand.
        left: ExprId,
        /// Right operand.
        right: ExprId,
    },
    /// `body if test else orelse`: operands `[test, body, orelse]`.
    IfElse(Run),
    /// `name := value`; the binding has the value.
    Walrus(ExprId),
    /// `*operand` or `**operand` in a display; in a call it is an [`Argument`] of that kind.
    Starred(ExprId),
    /// Anything else, with its parts: unary minus, slices, comparison chains.
    Other(Run),
}

/// Which comprehension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ComprehensionKind {
    /// `[…]`
    List,
    /// `{…}`
    Set,
    /// `{…: …}`
    Dict,
    /// `(…)`
    Generator,
}

/// A binary operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[expect(missing_docs, reason = "the names are Python's")]
pub enum Operator {
    Add,
    Subtract,
    Multiply,
    MatMultiply,
    Divide,
    Modulo,
    Power,
    LeftShift,
    RightShift,
    BitOr,
    BitXor,
    BitAnd,
    FloorDivide,
}

/// A comparison operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[expect(missing_docs, reason = "the names are Python's")]
pub enum CompareOp {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Is,
    IsNot,
    In,
    NotIn,
}

/// What becomes of an expression's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Usage {
    /// An expression statement: nothing.
    Discarded,
    /// A variable gets it (also through `:=`, where the parent uses it too, and as the whole right side of an unpacking).
    Bound(BindingId),
    /// An attribute or subscript gets it. With several targets (`a = b.c = x`) the first one names the usage.
    Stored(StoreId),
    /// The operand of `await`.
    Awaited,
    /// `return value`, or the body of a lambda.
    Returned,
    /// `yield value` or `yield from value`.
    Yielded,
    /// `raise value` or its `from` cause.
    Raised,
    /// What is called.
    Callee,
    /// An argument of the parent call, also what `*` or `**` spreads there.
    Argument,
    /// Left of a dot.
    AttributeBase,
    /// Left of a bracket.
    SubscriptBase,
    /// Within brackets.
    Index,
    /// Decides: `if`, `while`, `assert`, a ternary's test, a comprehension's `if`, `not`'s operand, a `match` subject or guard.
    Condition,
    /// An operand of `and`/`or` other than the last decides and may be the value; the last is only the value (`Result`).
    Junction,
    /// `for … in value`.
    Iterated,
    /// `async for … in value`.
    AsyncIterated,
    /// `with value`.
    Entered,
    /// `async with value`.
    AsyncEntered,
    /// An element of a display, also what `*` or `**` spreads there; a dict key or value.
    Element,
    /// The element of a comprehension.
    Collected,
    /// The value the parent evaluates to: arms of a ternary, the last operand of `and`/`or`, a walrus's value.
    Result,
    /// An operand of arithmetic.
    Operand,
    /// An operand of a comparison.
    Compared,
    /// Interpolated in an f-string.
    Formatted,
    /// A decorator.
    Decorator,
    /// A parameter's default.
    Default,
    /// A type: annotations, bases' subscripts in them, `type` statements. Never evaluated as far as flow is concerned.
    Annotation,
    /// A base class or keyword in a class header.
    Base,
    /// The exception types of a handler.
    Caught,
    /// `del value`, `match` pattern values, and whatever is none of the above.
    Other,
}

/// One call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Call {
    /// The expression that is this call.
    pub expr: ExprId,
    /// What is called.
    pub callee: ExprId,
    /// Its arguments, in source order.
    pub arguments: Run,
    /// The node at which the call happens; `None` in annotations.
    pub node: Option<super::NodeId>,
}

/// One argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Argument {
    /// How it is passed.
    pub kind: ArgumentKind,
    /// The value; for `*x` and `**x` the `x`.
    pub value: ExprId,
    /// The bytes of the whole argument, `name=` and stars included.
    pub span: Span,
}

/// How an argument is passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ArgumentKind {
    /// By position.
    Positional,
    /// `name=value`.
    Keyword(NameId),
    /// `*value`.
    Star,
    /// `**value`.
    DoubleStar,
}
