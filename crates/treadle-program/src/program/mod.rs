//! The linked program: the facts of all files, and everything that follows from them together.
//!
//! Built once by [`Program::link`], then only read. Types come from a fixed number of rounds, each computed from the
//! one before, so that the answers do not depend on the order in which threads meet functions.

mod again;
mod blocking;
mod callgraph;
mod classes;
mod contexts;
mod decoration;
mod guards;
mod link;
mod locks;
mod modules;
mod moved;
mod nest_asyncio;
mod parameters;
mod places;
mod protocols;
mod reads;
mod rename;
mod rounds;
mod store;
mod surface;
mod tables;
#[cfg(test)]
mod tests;
mod walk;
mod wanted;

use std::sync::{Arc, OnceLock};

use treadle_finding::{Location, Span};

pub use again::{Anew, Earlier};
pub use blocking::Chain;
pub use callgraph::{CallGraph, Edge, EdgeKind};
pub use classes::{Ancestor, Classes};
pub(crate) use classes::{Named, find_by_name};
pub use contexts::Context;
pub use decoration::{Decoration, Wrapping};
use link::{Link, Whole};
pub use locks::Nesting;
pub(crate) use modules::absolute;
pub use modules::{Facts, Module, Modules, NamespaceId, SourceFile};
pub use parameters::ParamEffects;
use places::Used;
pub use places::{Operation, Place, PrimitiveUse, Primitives};
use reads::note;
pub use reads::{Parts, Reads};
pub use store::Memory;
use tables::{Progress, Tables};
pub use walk::Paths;

use crate::facts::{BindingKind, CallId, ExprId, ExprKind, FileFacts, FunctionId, FunctionKind, RegionKind};
use crate::ids::{BindingRef, CallRef, ExprRef, FileId, FunctionRef, In, LocalRef};
use crate::infer::Infer;
use crate::knowledge::claim::{Blocking, Book, Claim};
use crate::knowledge::{ItemId, Knowledge, KnownClaim};
use crate::ty::Ty;

/// What the whole program is told before it is linked.
#[derive(Clone, Debug)]
pub struct Options {
    /// The oldest Python the program is meant for.
    pub python: (u8, u8),
    /// Whether chains of calls go on inside installed packages.
    pub follow_installed: bool,
    /// The user's own claims.
    pub books: Vec<Book>,
}

impl Default for Options {
    fn default() -> Self {
        Self { python: (3, 11), follow_installed: false, books: Vec::new() }
    }
}

/// The facts of all files, linked.
#[derive(Debug)]
pub struct Program {
    files: Vec<SourceFile>,
    options: Options,
    knowledge: Knowledge,
    modules: Modules,
    scopes: Vec<OnceLock<Scopes>>,
    tables: Vec<OnceLock<Box<Tables>>>,
    whole: Whole,
    progress: Progress,
    link: Link,
}

/// Variables of a file's module body and classes, sorted by name.
#[derive(Debug)]
pub(crate) struct Scopes {
    pub(crate) module: Box<[Named]>,
    pub(crate) classes: Vec<Box<[Named]>>,
}

impl Program {
    /// All files, in the order given to [`Program::link`].
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// The files findings may be reported on.
    pub fn reported_files(&self) -> impl Iterator<Item = FileId> {
        (0..self.files.len() as u32).map(FileId).filter(|file| !self.file(*file).installed)
    }

    /// One file.
    pub fn file(&self, file: FileId) -> &SourceFile {
        &self.files[file.index()]
    }

    /// What a file says.
    pub fn facts(&self, file: FileId) -> &FileFacts {
        note(file, Parts::BODY);
        &self.files[file.index()].facts
    }

    /// What a file says, for who looks at nothing but its [surface](Parts::SURFACE), or at a file that is being asked.
    pub(crate) fn surface(&self, file: FileId) -> &FileFacts {
        note(file, Parts::SURFACE);
        &self.files[file.index()].facts
    }

    pub(crate) fn scopes(&self, file: FileId) -> &Scopes {
        self.scopes[file.index()].get_or_init(|| Scopes::new(self.surface(file)))
    }

    /// What the program was linked with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// What is known about libraries.
    pub fn knowledge(&self) -> &Knowledge {
        &self.knowledge
    }

    /// The class table.
    pub fn classes(&self) -> Classes<'_> {
        Classes::new(self)
    }

    /// Module names.
    pub fn modules(&self) -> &Modules {
        &self.modules
    }

    /// Who calls whom.
    pub fn graph(&self) -> CallGraph<'_> {
        CallGraph::new(self)
    }

    /// Locks, events, queues and the like: where they are kept and what is done with them.
    pub fn primitives(&self) -> Primitives<'_> {
        Primitives::new(self)
    }

    /// Whether a file findings may be reported on applies `nest_asyncio`: loops may then run inside running ones.
    pub fn uses_nest_asyncio(&self) -> bool {
        self.whole.uses_nest_asyncio
    }

    /// What becomes of a function's parameters; indexed like its `params`.
    pub fn param_effects(&self, function: FunctionRef) -> &[ParamEffects] {
        let run = self.function(function).params;
        self.effects_in(function.file).get(run.range()).unwrap_or_default()
    }

    /// A place in a file.
    pub fn location(&self, file: FileId, span: Span) -> Location {
        note(file, Parts::BODY);
        Location { path: Arc::clone(&self.file(file).path), span }
    }

    /// The place of an expression.
    pub fn location_of(&self, expr: ExprRef) -> Location {
        self.location(expr.file, self.facts(expr.file).expr(expr.id).span)
    }

    /// Every `def`, `async def` and lambda of the files findings may be reported on.
    pub fn functions(&self) -> impl Iterator<Item = FunctionRef> {
        self.reported_files().flat_map(|file| self.functions_in(file))
    }

    /// Every `def`, `async def` and lambda of a file.
    pub fn functions_in(&self, file: FileId) -> impl Iterator<Item = FunctionRef> {
        (0..self.facts(file).functions.len() as u32)
            .map(move |id| In::new(file, FunctionId(id)))
            .filter(|function| matches!(self.function(*function).kind, FunctionKind::Def | FunctionKind::Lambda))
    }

    /// A function's entry in the facts.
    pub fn function(&self, function: FunctionRef) -> &crate::facts::Function {
        self.surface(function.file).function(function.id)
    }

    /// A function's name with the classes and functions around it: `Pool.acquire`.
    pub fn qualified_name(&self, function: FunctionRef) -> String {
        let facts = self.surface(function.file);
        let mut parts = Vec::new();
        let mut next = Some(function.id);
        while let Some(id) = next {
            let function = facts.function(id);
            next = function.parent;
            if function.kind != FunctionKind::Module || parts.is_empty() {
                parts.push(facts.name(function.name));
            }
        }
        parts.reverse();
        parts.join(".")
    }

    /// Every call made in a file.
    pub fn calls(&self, file: FileId) -> impl Iterator<Item = CallRef> {
        (0..self.facts(file).calls.len() as u32).map(move |call| In::new(file, CallId(call)))
    }

    /// The claim about what a call calls, if a claim speaks of it.
    pub fn claim(&self, call: CallRef) -> Option<(ItemId, &KnownClaim)> {
        let item = self.callee(call).item()?;
        self.knowledge.claim(item).map(|claim| (item, claim))
    }

    /// Why a call keeps its thread waiting, if a claim says so and its arguments do not take it back.
    pub fn blocking(&self, call: CallRef) -> Option<(Blocking, ItemId, &Claim)> {
        let (item, known) = self.claim(call)?;
        let blocking = known.claim.blocks?;
        let holds = |condition: &String| self.argument_holds(call, condition);
        let claim = &known.claim;
        let takes_back = claim.unless.iter().any(holds);
        let lacks = !claim.only_if.is_empty() && !claim.only_if.iter().any(holds);
        // `await session.execute(…)` on what an annotation calls a blocking session: the annotation is wrong.
        let facts = self.facts(call.file);
        let awaited = facts.expr(facts.call(call.id).expr).usage == crate::facts::Usage::Awaited;
        let contradicted = awaited && matches!(self.callee(call), Ty::KnownMethod(..));
        (!takes_back && !lacks && !contradicted && !self.is_nonblocking_receiver(call))
            .then_some((blocking, item, claim))
    }

    /// The type of an expression.
    pub fn type_of(&self, expr: ExprRef) -> Ty {
        Infer::new(self, expr.file).expr(expr.id)
    }

    /// The type of a variable over all its bindings.
    pub fn type_of_local(&self, local: LocalRef) -> Ty {
        Infer::new(self, local.file).local(local.id)
    }

    /// Whether calling a function by its name gives a coroutine that must be awaited: `async def` without `yield`, as its decorators leave it.
    /// `None` when its decorators hide it.
    pub fn is_coroutine_function(&self, function: FunctionRef) -> Option<bool> {
        let entry = self.function(function);
        let plain = entry.is_async && !entry.is_generator;
        match self.decoration(function).wrapping {
            Wrapping::Same => Some(plain),
            Wrapping::Thread | Wrapping::Async { .. } => Some(true),
            Wrapping::ToSync | Wrapping::ContextManager { .. } | Wrapping::Property => Some(false),
            Wrapping::Opaque => None,
        }
    }

    /// The function a variable always is, if `def` is all that binds it. Of several `def`s (overloads, version switches) the last,
    /// of a property its getter.
    pub fn function_bound_to(&self, local: LocalRef) -> Option<FunctionRef> {
        let facts = self.surface(local.file);
        let mut found: Option<FunctionRef> = None;
        if self.patched(local).is_some() {
            return None;
        }
        for (_, binding) in facts.bindings_of(local.id) {
            match binding.kind {
                BindingKind::Function(_) if found.is_some_and(|first| self.is_property(first)) => {}
                BindingKind::Function(function) => found = Some(In::new(local.file, function)),
                BindingKind::Deleted => {}
                _ => return None,
            }
        }
        found
    }

    fn is_property(&self, function: FunctionRef) -> bool {
        self.decoration(function).wrapping == Wrapping::Property
    }

    /// Whether a `def` gives way to another `def` of the same name in the same block: overloads to the last, setters to the getter.
    pub(crate) fn is_redefined(&self, binding: BindingRef) -> bool {
        let facts = self.surface(binding.file);
        let entry = facts.binding(binding.id);
        let BindingKind::Function(function) = entry.kind else { return false };
        let is_property = self.is_property(binding.with(function));
        let mut before = true;
        facts.bindings_of(entry.local).any(|(id, other)| {
            before &= id != binding.id;
            matches!(other.kind, BindingKind::Function(_))
                && id != binding.id
                && other.region == entry.region
                && before == is_property
        })
    }

    /// Whether a variable's type is what annotations say.
    pub(crate) fn is_annotated(&self, local: LocalRef) -> bool {
        self.surface(local.file).bindings_of(local.id).any(|(_, binding)| {
            matches!(binding.kind, BindingKind::Declared(_) | BindingKind::Value { annotation: Some(_), .. })
        })
    }

    /// Whether a method returns an instance of a class that it calls by name, whatever class it is called on.
    pub(crate) fn names_its_result(&self, function: FunctionRef) -> bool {
        self.habits(function).names_its_result
    }

    /// Whether an expression stands where only type checkers look.
    pub fn is_type_checking_only(&self, expr: ExprRef) -> bool {
        let facts = self.facts(expr.file);
        let region = facts.expr(expr.id).region;
        facts.regions_around(region).any(|(_, region)| region.kind == RegionKind::TypeChecking)
    }

    /// The expression of a call.
    pub fn call_expr(&self, call: CallRef) -> ExprRef {
        call.with(self.facts(call.file).call(call.id).expr)
    }

    /// The call an expression is.
    pub fn call_of(&self, expr: ExprRef) -> Option<CallRef> {
        match self.facts(expr.file).expr(expr.id).kind {
            crate::facts::ExprKind::Call(call) => Some(expr.with(call)),
            _ => None,
        }
    }

    /// The function whose body holds an expression.
    pub fn function_of(&self, expr: ExprRef) -> FunctionRef {
        expr.with(self.facts(expr.file).function_of(expr.id))
    }

    /// The `def` or module body around an expression, lambdas and class bodies looked through.
    pub fn enclosing_def(&self, expr: ExprRef) -> FunctionRef {
        let facts = self.facts(expr.file);
        let mut here = facts.function_of(expr.id);
        while !matches!(facts.function(here).kind, FunctionKind::Def | FunctionKind::Module) {
            match facts.function(here).parent {
                Some(parent) => here = parent,
                None => break,
            }
        }
        expr.with(here)
    }

    /// Whether code stands below a test that never holds: `if False:`, `if 0 and …`.
    pub fn is_dead(&self, file: FileId, span: Span) -> bool {
        let facts = self.facts(file);
        facts.regions.iter().any(|region| match region.kind {
            RegionKind::Branch { test, when: true } => region.span.contains(span) && never_holds(facts, test),
            _ => false,
        })
    }

    fn argument_holds(&self, call: CallRef, condition: &str) -> bool {
        let facts = self.facts(call.file);
        let entry = facts.call(call.id);
        let (key, flag) = condition.split_once('~').map_or((condition, None), |(key, flag)| (key, Some(flag)));
        let (key, wanted) = key.split_once('=').map_or((key, None), |(key, value)| (key, Some(value)));
        let value = match key.parse::<usize>() {
            Ok(index) => facts.argument(entry, index, "\0"),
            Err(_) => facts.keyword(entry, key),
        };
        match (value, wanted, flag) {
            (None, ..) => false,
            (Some(value), _, Some(flag)) => mentions(facts, value, flag),
            (Some(_), None, None) => true,
            (Some(value), Some(wanted), None) => facts.literal(value).is_some_and(|literal| literal == wanted),
        }
    }

    /// `sock.setblocking(False)` and `sock.settimeout(0)`: on the same variable, or on an attribute of that name anywhere in
    /// the file.
    fn is_nonblocking_receiver(&self, call: CallRef) -> bool {
        let facts = self.facts(call.file);
        let receiver = |call: &crate::facts::Call| match facts.expr(call.callee).kind {
            ExprKind::Attribute { base, name } => {
                let local = match facts.expr(base).kind {
                    ExprKind::Local(local) => Some(local),
                    _ => None,
                };
                Some(((local, facts.last_name(base)?), name))
            }
            _ => None,
        };
        let Some((wanted, _)) = receiver(facts.call(call.id)) else { return false };
        facts.calls.iter().any(|other| {
            receiver(other).is_some_and(|(found, name)| {
                let zero = |value: ExprId| facts.literal(value).is_some_and(|text| text == "False" || text == "0");
                found == wanted
                    && matches!(facts.name(name), "setblocking" | "settimeout")
                    && facts.argument(other, 0, "flag").is_some_and(zero)
            })
        })
    }
}

fn never_holds(facts: &FileFacts, test: ExprId) -> bool {
    match facts.expr(test).kind {
        ExprKind::Bool(false) | ExprKind::None | ExprKind::Int(0) => true,
        ExprKind::Bool2 { and: true, operands } => {
            facts.operands(operands).iter().any(|part| never_holds(facts, *part))
        }
        _ => false,
    }
}

/// Whether a name such as `LOCK_NB` stands in an expression, `LOCK_EX | LOCK_NB`, or in the constant it names.
fn mentions(facts: &FileFacts, expr: ExprId, name: &str) -> bool {
    match facts.expr(expr).kind {
        ExprKind::Binary { left, right, .. } => mentions(facts, left, name) || mentions(facts, right, name),
        ExprKind::Local(local) if facts.name(facts.local(local).name) != name => {
            let mut bindings = facts.bindings_of(local).map(|(_, binding)| binding.kind);
            match (bindings.next(), bindings.next()) {
                // Written before it is read, so this ends.
                (Some(BindingKind::Value { value, .. }), None) if value < expr => mentions(facts, value, name),
                _ => false,
            }
        }
        _ => facts.last_name(expr) == Some(name),
    }
}

impl Scopes {
    fn new(facts: &FileFacts) -> Self {
        let sorted = |function| classes::sorted_locals(facts, function);
        Self {
            module: sorted(FileFacts::MODULE),
            classes: facts.classes.iter().map(|class| sorted(class.body)).collect(),
        }
    }
}

impl FileFacts {
    /// The text of a constant: `False`, `0`, `rb`, `None`.
    pub fn literal(&self, id: ExprId) -> Option<std::borrow::Cow<'_, str>> {
        use crate::facts::ExprKind;
        Some(match self.expr(id).kind {
            ExprKind::Bool(true) => "True".into(),
            ExprKind::Bool(false) => "False".into(),
            ExprKind::None => "None".into(),
            ExprKind::Int(value) => value.to_string().into(),
            ExprKind::Float(value) => value.to_string().into(),
            ExprKind::String(name) => self.name(name).into(),
            _ => return None,
        })
    }
}
