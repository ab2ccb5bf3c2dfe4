//! What one file says, flat: the intermediate representation that lowering writes and everything after it reads.
//!
//! A [`FileFacts`] is a set of tables indexed by small ids; an id is only meaningful together with its file. It holds no
//! syntax tree and no text but names and short strings, it is `Encode`/`Decode` as a whole (the on-disk cache stores it),
//! and it depends on the bytes of the file alone: nothing about other files, paths or settings.
//!
//! Every function's expressions, locals, regions and flow nodes are contiguous, so "all calls of this function" is a range.

mod expr;
mod flow;
mod scope;

use bitcode::{Decode, Encode};
use treadle_finding::Span;

pub use expr::{Argument, ArgumentKind, Call, CompareOp, ComprehensionKind, Expr, ExprKind, Operator, Usage};
pub use flow::{Handler, LoopKind, Node, NodeKind, Region, RegionKind, Try};
pub use scope::{
    Binding, BindingKind, Class, Function, FunctionKind, Import, ImportKind, Local, Param, ParamKind, Store, StoreKind,
    StoreTarget,
};

/// Changes whenever the same text may give other facts: what a cache of facts is valid for.
pub const VERSION: &str = env!("TREADLE_FACTS");

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        pub struct $name(pub u32);

        impl $name {
            /// The position in its table.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

ids! {
    /// A name or a short string constant of the file: an index into [`FileFacts::names`].
    NameId,
    /// An expression.
    ExprId,
    /// A call, in the order lowering met them.
    CallId,
    /// A function, lambda, class body or the module body (which is always 0).
    FunctionId,
    /// A class.
    ClassId,
    /// A variable of one scope.
    LocalId,
    /// One place where a variable gets a value.
    BindingId,
    /// One place where an attribute or a subscript gets a value.
    StoreId,
    /// One imported name.
    ImportId,
    /// A structural context: a branch, a loop body, a `with` body, a handler.
    RegionId,
    /// A `try` statement.
    TryId,
    /// An `except` clause.
    HandlerId,
    /// A node of a function's flow graph.
    NodeId,
}

/// A run of ids in one table: `start..end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Run {
    /// First position.
    pub start: u32,
    /// One past the last position.
    pub end: u32,
}

/// Short texts in one piece: a file has hundreds of them, and each by itself would cost more than its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Names {
    text: String,
    /// Where each text ends in `text`; it begins where the one before it ends.
    ends: Vec<u32>,
}

impl Names {
    /// Adds a text and gives its number.
    pub(crate) fn add(&mut self, text: &str) -> NameId {
        self.text.push_str(text);
        self.ends.push(self.text.len() as u32);
        NameId(self.ends.len() as u32 - 1)
    }

    /// A text.
    pub fn get(&self, id: NameId) -> &str {
        let start = id.index().checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start as usize..self.ends[id.index()] as usize]
    }

    /// All texts, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len() as u32).map(|number| self.get(NameId(number)))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(crate) fn shrink_to_fit(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
    }
}

/// Everything one file says.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct FileFacts {
    /// Names and string constants of at most [`FileFacts::LONGEST_STRING`] bytes, each once.
    pub names: Names,
    /// All expressions, those of one function in one run.
    pub exprs: Vec<Expr>,
    /// Lists of child expressions: [`ExprKind`] variants and functions refer to runs of it.
    pub operands: Vec<ExprId>,
    /// All calls; `exprs[calls[i].expr]` is `ExprKind::Call(i)`.
    pub calls: Vec<Call>,
    /// Arguments of calls and of class headers.
    pub arguments: Vec<Argument>,
    /// Functions; the first is the module body.
    pub functions: Vec<Function>,
    /// Parameters of functions.
    pub params: Vec<Param>,
    /// Classes.
    pub classes: Vec<Class>,
    /// Imported names.
    pub imports: Vec<Import>,
    /// Variables, those of one scope in one run.
    pub locals: Vec<Local>,
    /// Places where variables get values, in source order within a function.
    pub bindings: Vec<Binding>,
    /// Places where attributes and subscripts get values.
    pub stores: Vec<Store>,
    /// Structural contexts.
    pub regions: Vec<Region>,
    /// `try` statements.
    pub tries: Vec<Try>,
    /// `except` clauses; those of one `try` in one run.
    pub handlers: Vec<Handler>,
    /// Flow nodes, those of one function in one run.
    pub nodes: Vec<Node>,
    /// Successor lists of flow nodes.
    pub edges: Vec<NodeId>,
    /// Every statement's bytes, sorted by start, an outer one before the inner ones it contains. A compound statement covers its whole body.
    pub statements: Vec<Span>,
    /// Byte offset of the start of every line; the first is 0.
    pub line_starts: Vec<u32>,
    /// The names of `__all__`, where it is a plain list or tuple.
    pub exported: Option<Vec<NameId>>,
    /// `# treadle:` comments.
    pub directives: Vec<Directive>,
    /// Where parsing failed. What could be read is still in the tables.
    pub syntax_errors: Vec<SyntaxError>,
    /// Length of the text in bytes.
    pub length: u32,
    /// Whether some line is indented with a tab.
    pub tabs: bool,
}

/// One `# treadle: …` comment.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Directive {
    /// The comment, from `#` to the end of the line.
    pub span: Span,
    /// What it asks for.
    pub kind: DirectiveKind,
}

/// What a `# treadle: …` comment asks for.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum DirectiveKind {
    /// `# treadle: ignore[a, b] reason`: silence these pitfalls for findings whose primary span touches the comment's
    /// (logical) line; on a line of its own, for the statement that follows. No names means a malformed `ignore`.
    Ignore {
        /// Each name with its own bytes.
        names: Vec<(Box<str>, Span)>,
        /// The bytes `statement.start..statement.end` of the smallest statement (for a compound statement: its header) the comment stands on or before.
        covers: Span,
    },
    /// `# treadle: ignore-file` or `# treadle: ignore-file[a, b]`: silence all, or these, in the whole file.
    IgnoreFile {
        /// Empty for all.
        names: Vec<(Box<str>, Span)>,
    },
    /// Anything else after `# treadle:`, a malformed `ignore-file[` included; the words as written.
    Unknown(Box<str>),
}

/// Where and why the parser gave up.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SyntaxError {
    /// The bytes it points at.
    pub span: Span,
    /// The parser's words.
    pub message: Box<str>,
}

impl Run {
    /// The positions, for slicing.
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    /// How many.
    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Whether `position` is one of them.
    pub fn contains(self, position: u32) -> bool {
        self.start <= position && position < self.end
    }
}

impl FileFacts {
    /// String constants longer than this many bytes are lowered as [`ExprKind::LongString`].
    pub const LONGEST_STRING: usize = 200;
    /// The module body's function.
    pub const MODULE: FunctionId = FunctionId(0);

    /// Gives back what the tables have room for and do not hold: all files of a program are kept.
    pub(crate) fn shrink_to_fit(&mut self) {
        self.names.shrink_to_fit();
        self.exprs.shrink_to_fit();
        self.operands.shrink_to_fit();
        self.calls.shrink_to_fit();
        self.arguments.shrink_to_fit();
        self.functions.shrink_to_fit();
        self.params.shrink_to_fit();
        self.classes.shrink_to_fit();
        self.imports.shrink_to_fit();
        self.locals.shrink_to_fit();
        self.bindings.shrink_to_fit();
        self.stores.shrink_to_fit();
        self.regions.shrink_to_fit();
        self.tries.shrink_to_fit();
        self.handlers.shrink_to_fit();
        self.nodes.shrink_to_fit();
        self.edges.shrink_to_fit();
        self.statements.shrink_to_fit();
        self.line_starts.shrink_to_fit();
    }

    /// The text of a name or short string.
    pub fn name(&self, id: NameId) -> &str {
        self.names.get(id)
    }

    /// An expression.
    pub fn expr(&self, id: ExprId) -> &Expr {
        &self.exprs[id.index()]
    }

    /// A call.
    pub fn call(&self, id: CallId) -> &Call {
        &self.calls[id.index()]
    }

    /// The call an expression is, if it is one.
    pub fn as_call(&self, id: ExprId) -> Option<&Call> {
        match self.expr(id).kind {
            ExprKind::Call(call) => Some(self.call(call)),
            _ => None,
        }
    }

    /// The arguments of a call, in source order.
    pub fn arguments(&self, call: &Call) -> &[Argument] {
        &self.arguments[call.arguments.range()]
    }

    /// The value of the positional argument number `index`, or of the keyword `name`. `None` when absent, and also when a
    /// star argument before it makes positions unknown.
    pub fn argument(&self, call: &Call, index: usize, name: &str) -> Option<ExprId> {
        let arguments = self.arguments(call);
        let positional = arguments.iter().take_while(|argument| argument.kind == ArgumentKind::Positional).nth(index);
        positional
            .or_else(|| {
                arguments
                    .iter()
                    .find(|argument| matches!(argument.kind, ArgumentKind::Keyword(key) if self.name(key) == name))
            })
            .map(|argument| argument.value)
    }

    /// The value of the keyword argument `name`.
    pub fn keyword(&self, call: &Call, name: &str) -> Option<ExprId> {
        self.argument(call, usize::MAX, name)
    }

    /// A list of child expressions.
    pub fn operands(&self, run: Run) -> &[ExprId] {
        &self.operands[run.range()]
    }

    /// A function.
    pub fn function(&self, id: FunctionId) -> &Function {
        &self.functions[id.index()]
    }

    /// A class.
    pub fn class(&self, id: ClassId) -> &Class {
        &self.classes[id.index()]
    }

    /// A variable.
    pub fn local(&self, id: LocalId) -> &Local {
        &self.locals[id.index()]
    }

    /// A binding.
    pub fn binding(&self, id: BindingId) -> &Binding {
        &self.bindings[id.index()]
    }

    /// Every binding of a variable, in source order; bindings through `global` and `nonlocal` come in source order too.
    pub fn bindings_of(&self, id: LocalId) -> impl Iterator<Item = (BindingId, &Binding)> {
        let mut next = self.local(id).first_binding;
        std::iter::from_fn(move || {
            let here = next?;
            let binding = self.binding(here);
            next = binding.next_of_local;
            Some((here, binding))
        })
    }

    /// An attribute or subscript assignment.
    pub fn store(&self, id: StoreId) -> &Store {
        &self.stores[id.index()]
    }

    /// A structural context.
    pub fn region(&self, id: RegionId) -> &Region {
        &self.regions[id.index()]
    }

    /// The contexts around `id`, itself first, up to the function's body.
    pub fn regions_around(&self, id: RegionId) -> impl Iterator<Item = (RegionId, &Region)> {
        let mut next = Some(id);
        std::iter::from_fn(move || {
            let here = next?;
            let region = self.region(here);
            next = region.parent;
            Some((here, region))
        })
    }

    /// Whether `inner` is `outer` or lies within it.
    pub fn region_within(&self, inner: RegionId, outer: RegionId) -> bool {
        self.regions_around(inner).any(|(id, _)| id == outer)
    }

    /// A `try` statement.
    pub fn try_(&self, id: TryId) -> &Try {
        &self.tries[id.index()]
    }

    /// An `except` clause.
    pub fn handler(&self, id: HandlerId) -> &Handler {
        &self.handlers[id.index()]
    }

    /// A flow node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// Where control can go after a node, not counting exceptions. For [`NodeKind::Test`]: the true side first.
    pub fn next(&self, id: NodeId) -> &[NodeId] {
        &self.edges[self.node(id).next.range()]
    }

    /// The function whose body holds an expression.
    pub fn function_of(&self, id: ExprId) -> FunctionId {
        self.region(self.expr(id).region).function
    }

    /// The expressions of one function's own body, in the order lowering met them.
    pub fn exprs_of(&self, id: FunctionId) -> impl Iterator<Item = (ExprId, &Expr)> {
        let run = self.function(id).exprs;
        (run.start..run.end).map(ExprId).zip(&self.exprs[run.range()])
    }

    /// The calls of one function's own body, in source order of evaluation.
    pub fn calls_of(&self, id: FunctionId) -> impl Iterator<Item = (CallId, &Call)> {
        let run = self.function(id).calls;
        (run.start..run.end).map(CallId).zip(&self.calls[run.range()])
    }

    /// The smallest statement that contains `span`. A compound statement counts with its whole body.
    pub fn statement_around(&self, span: Span) -> Option<Span> {
        let after = self.statements.partition_point(|statement| statement.start <= span.start);
        self.statements[..after].iter().rev().find(|statement| statement.contains(span)).copied()
    }

    /// The blanks that indent the line on which a statement starts, as far as its column tells.
    pub fn indentation(&self, statement: Span) -> String {
        let column = statement.start - self.line_starts[self.line_of(statement.start)];
        if self.tabs { "\t" } else { " " }.repeat(column as usize)
    }

    /// The zero-based line of a byte offset.
    pub fn line_of(&self, offset: u32) -> usize {
        self.line_starts.partition_point(|start| *start <= offset).saturating_sub(1)
    }

    /// The last word of a name: `c` of `a().b.c`.
    pub fn last_name(&self, expr: ExprId) -> Option<&str> {
        match self.expr(expr).kind {
            ExprKind::Attribute { name, .. } | ExprKind::Global(name) => Some(self.name(name)),
            ExprKind::Local(local) => Some(self.name(self.local(local).name)),
            _ => None,
        }
    }

    /// The dotted path an expression spells, such as `self.pool.get` or `os.path.join`: names and attributes only.
    pub fn dotted(&self, id: ExprId) -> Option<String> {
        match self.expr(id).kind {
            ExprKind::Local(local) => Some(self.name(self.local(local).name).to_owned()),
            ExprKind::Global(name) => Some(self.name(name).to_owned()),
            ExprKind::Attribute { base, name } => Some(format!("{}.{}", self.dotted(base)?, self.name(name))),
            _ => None,
        }
    }
}
