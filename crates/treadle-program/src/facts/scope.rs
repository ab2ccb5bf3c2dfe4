//! Scopes: functions, classes, variables, and where they get their values.

use bitcode::{Decode, Encode};
use treadle_finding::Span;

use super::{BindingId, ClassId, ExprId, FunctionId, HandlerId, ImportId, LocalId, NameId, NodeId, RegionId, Run};

/// A scope with a body: the module, a `def`, a lambda, or a class body.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Function {
    /// What kind of scope.
    pub kind: FunctionKind,
    /// The name; `<lambda>` and `<module>` where there is none.
    pub name: NameId,
    /// `async def`.
    pub is_async: bool,
    /// Contains `yield` of its own.
    pub is_generator: bool,
    /// Does nothing: a docstring, `pass`, `...` or `raise NotImplementedError` only.
    pub is_stub: bool,
    /// The scope it stands in.
    pub parent: Option<FunctionId>,
    /// The class whose body it stands in directly (methods), or which this body is (class bodies).
    pub class: Option<ClassId>,
    /// The whole statement or lambda, decorators included.
    pub span: Span,
    /// The bytes of the name; empty for lambdas and the module.
    pub name_span: Span,
    /// From `async`/`def`/`class` (after decorators) to the colon, both included; empty for lambdas and the module.
    pub header: Span,
    /// Decorators in source order: a run of `operands`. Their expressions belong to the parent scope.
    pub decorators: Run,
    /// Parameters in source order: a run of `params`.
    pub params: Run,
    /// The return annotation.
    pub returns: Option<ExprId>,
    /// Its own expressions (not those of scopes within).
    pub exprs: Run,
    /// Its own calls.
    pub calls: Run,
    /// Its own variables.
    pub locals: Run,
    /// Its own bindings.
    pub bindings: Run,
    /// Its own attribute and subscript stores.
    pub stores: Run,
    /// Its own regions; the first is the body.
    pub regions: Run,
    /// Its own `try` statements.
    pub tries: Run,
    /// Its own flow nodes.
    pub nodes: Run,
    /// Where control comes in.
    pub entry: NodeId,
    /// Where control ends normally.
    pub exit: NodeId,
    /// Where exceptions leave.
    pub unwind: NodeId,
}

/// What kind of scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum FunctionKind {
    /// The module's top level.
    Module,
    /// `def` or `async def`.
    Def,
    /// `lambda`.
    Lambda,
    /// The body of a class; its variables are the class's attributes and are invisible to scopes within.
    ClassBody,
}

/// One parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Param {
    /// The variable it becomes.
    pub local: LocalId,
    /// How arguments reach it.
    pub kind: ParamKind,
    /// Its annotation; a string annotation is lowered as the expression it spells.
    pub annotation: Option<ExprId>,
    /// Its default.
    pub default: Option<ExprId>,
}

/// How arguments reach a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ParamKind {
    /// Before `/`.
    PositionalOnly,
    /// By position or name.
    Normal,
    /// `*args`.
    Star,
    /// After `*`.
    KeywordOnly,
    /// `**kwargs`.
    DoubleStar,
}

/// A class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Class {
    /// Its name.
    pub name: NameId,
    /// The whole statement, decorators included.
    pub span: Span,
    /// The bytes of the name.
    pub name_span: Span,
    /// The scope it stands in.
    pub parent: FunctionId,
    /// Its body; the body's locals are the class's attributes.
    pub body: FunctionId,
    /// Bases and keywords: a run of `arguments`. Their expressions belong to the parent scope.
    pub bases: Run,
    /// Decorators: a run of `operands`.
    pub decorators: Run,
}

/// One imported name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Import {
    /// What is imported.
    pub kind: ImportKind,
    /// The bytes of this one name with its `as`, within the statement.
    pub span: Span,
    /// The whole statement.
    pub statement: Span,
    /// Where it stands; imports may be conditional or inside functions.
    pub region: RegionId,
}

/// What is imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ImportKind {
    /// `import a.b.c` (binds `a`), or with `as` (binds the whole path).
    Module {
        /// The dotted path.
        path: NameId,
        /// Whether `as` binds the whole path.
        renamed: bool,
    },
    /// `from module import name`.
    From {
        /// The dotted path after the dots; the empty name for `from . import x`.
        module: NameId,
        /// How many leading dots.
        level: u32,
        /// The imported name.
        name: NameId,
    },
    /// `from module import *`; binds nothing by itself.
    Star {
        /// The dotted path after the dots.
        module: NameId,
        /// How many leading dots.
        level: u32,
    },
}

/// A variable of one scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Local {
    /// Its name.
    pub name: NameId,
    /// The scope that owns it. Comprehension targets belong to the function around the comprehension, each
    /// comprehension with variables of its own.
    pub function: FunctionId,
    /// The first place it gets a value; follow [`Binding::next_of_local`].
    pub first_binding: Option<BindingId>,
    /// How often it is read, by all scopes of the file; augmented assignment and `del` are not reads.
    pub loads: u32,
    /// Whether a scope within the owner reads or writes it.
    pub captured: bool,
}

/// One place where a variable gets a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Binding {
    /// The variable.
    pub local: LocalId,
    /// Where the value comes from.
    pub kind: BindingKind,
    /// The bytes of the name being bound.
    pub span: Span,
    /// The structural context.
    pub region: RegionId,
    /// The next binding of the same variable.
    pub next_of_local: Option<BindingId>,
}

/// Where a variable's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum BindingKind {
    /// A parameter: its position in `params`.
    Param(u32),
    /// `name = value`, with the annotation if it has one; also `name := value`.
    Value {
        /// The value.
        value: ExprId,
        /// `name: annotation = value`.
        annotation: Option<ExprId>,
    },
    /// `name: annotation` without a value.
    Declared(ExprId),
    /// `name op= value`.
    Augmented {
        /// The operator.
        op: super::Operator,
        /// The right side.
        value: ExprId,
    },
    /// Part of an unpacking, `a, (b, *c) = value`: the position at the outermost level, `None` for deeper or starred parts.
    Unpacked {
        /// The whole right side.
        value: ExprId,
        /// The position.
        index: Option<u32>,
    },
    /// A `for` target, in statements and comprehensions: an element of `iterable`, or with `index` the part at that position of each element.
    Iterated {
        /// What is iterated.
        iterable: ExprId,
        /// `async for`.
        is_async: bool,
        /// For `for i, x in …` the position; `None` when the target is the name itself.
        index: Option<u32>,
        /// Whether the target is a part deeper than one level (the type is then unknown).
        nested: bool,
    },
    /// `with context as name`.
    Entered {
        /// The context expression.
        context: ExprId,
        /// `async with`.
        is_async: bool,
        /// Whether the target is the name itself, not a part of a tuple.
        whole: bool,
    },
    /// `except … as name`.
    Caught(HandlerId),
    /// An import.
    Import(ImportId),
    /// `def`.
    Function(FunctionId),
    /// `class`.
    Class(ClassId),
    /// `del name`.
    Deleted,
    /// A capture in a `match` pattern, a type parameter or a `type` alias: a value treadle does not follow.
    Opaque,
}

/// One place where an attribute or a subscript gets a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Store {
    /// What is written.
    pub target: StoreTarget,
    /// What is written to it.
    pub kind: StoreKind,
    /// The bytes of the target.
    pub span: Span,
    /// The structural context.
    pub region: RegionId,
}

/// An attribute or a subscript that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum StoreTarget {
    /// `base.name`.
    Attribute {
        /// Left of the dot; lowered with [`super::Usage::AttributeBase`] and no parent.
        base: ExprId,
        /// Right of the dot.
        name: NameId,
    },
    /// `base[index]`.
    Subscript {
        /// Left of the bracket; lowered with [`super::Usage::SubscriptBase`] and no parent.
        base: ExprId,
        /// Within the brackets.
        index: ExprId,
    },
}

/// What is written to an attribute or subscript.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum StoreKind {
    /// `target = value`, with the annotation if it has one.
    Value {
        /// The value.
        value: ExprId,
        /// `target: annotation = value`.
        annotation: Option<ExprId>,
    },
    /// `target: annotation` without a value.
    Declared(ExprId),
    /// `target op= value`.
    Augmented {
        /// The operator.
        op: super::Operator,
        /// The right side.
        value: ExprId,
    },
    /// Part of an unpacking, as in [`BindingKind::Unpacked`].
    Unpacked {
        /// The whole right side.
        value: ExprId,
        /// The position at the outermost level.
        index: Option<u32>,
    },
    /// `with context as target`.
    Entered {
        /// The context expression.
        context: ExprId,
        /// `async with`.
        is_async: bool,
    },
    /// `for target in …` and other writes treadle does not follow.
    Opaque,
    /// `del target`.
    Deleted,
}
