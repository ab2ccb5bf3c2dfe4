//! What decorators make of a function.

use bitcode::{Decode, Encode};

use super::Program;
use crate::facts::{BindingKind, ExprId, ExprKind, FileFacts, Function, FunctionId, NodeKind, Usage};
use crate::ids::{FileId, FunctionRef};
use crate::infer::Infer;
use crate::knowledge::claim::Decorator;
use crate::ty::Ty;

/// A function's decorators, understood together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Decoration {
    /// What calling the name does.
    pub wrapping: Wrapping,
    /// `staticmethod`.
    pub is_static: bool,
    /// `classmethod`.
    pub is_class: bool,
    /// A framework calls it, as this kind of handler.
    pub role: Option<Decorator>,
    /// The plain function of the program that runs around this one on every call.
    pub wrapper: Option<FunctionRef>,
}

/// What calling a decorated function's name does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum Wrapping {
    /// What calling the function itself does.
    #[default]
    Same,
    /// Gives a coroutine that runs the function in a thread.
    Thread,
    /// Gives a coroutine that calls the function on the loop.
    Async {
        /// Whether the wrapper calls the function as far as treadle sees.
        calls: bool,
    },
    /// Runs the coroutine function to its end.
    ToSync,
    /// Gives a context manager around the generator.
    ContextManager {
        /// `async with`.
        is_async: bool,
    },
    /// Reading the attribute calls it.
    Property,
    /// Something treadle does not follow.
    Opaque,
}

impl Decoration {
    /// That of a function without decorators.
    pub(super) const PLAIN: Self =
        Self { wrapping: Wrapping::Same, is_static: false, is_class: false, role: None, wrapper: None };
}

impl Program {
    pub(super) fn decorations_of_file(&self, file: FileId) -> Vec<Decoration> {
        let facts = self.facts(file);
        let mut infer = Infer::new(self, file);
        facts
            .functions
            .iter()
            .map(|function| {
                let mut decoration = Decoration::default();
                // The decorator nearest to the function is applied first.
                for decorator in facts.operands(function.decorators).iter().rev() {
                    self.apply(&mut infer, file, *decorator, function.is_async, &mut decoration);
                }
                decoration
            })
            .collect()
    }

    fn apply(
        &self,
        infer: &mut Infer<'_>,
        file: FileId,
        decorator: ExprId,
        is_async: bool,
        decoration: &mut Decoration,
    ) {
        let facts = self.facts(file);
        // `@route("/")` and `@cache`: the claim is about the name either way.
        let (callee, is_factory) = match facts.expr(decorator).kind {
            ExprKind::Call(call) => (facts.call(call).callee, true),
            _ => (decorator, false),
        };
        let name = facts.dotted(callee).unwrap_or_default();
        let last = name.rsplit('.').next().unwrap_or_default();
        if matches!(last, "setter" | "getter" | "deleter") && name.contains('.') {
            decoration.wrapping = Wrapping::Property;
            return;
        }
        let ty = infer.expr(callee);
        if let Some(item) = ty.item() {
            if let Some(claimed) = self.knowledge().claim(item).and_then(|known| known.claim.decorator) {
                claimed_decorator(claimed, is_async, decoration);
                return;
            }
            decoration.wrapping = Wrapping::Opaque;
            return;
        }
        let own = if is_factory { infer.expr(decorator) } else { ty.clone() };
        decoration.wrapping = match own {
            Ty::Function(function) => {
                let wrapping = self.own_decorator(function, is_async, decoration.wrapping);
                if let Ty::Function(wrapper) = self.returns(function)
                    && wrapping == decoration.wrapping
                    && !self.function(*wrapper).is_async
                {
                    decoration.wrapper = Some(*wrapper);
                }
                wrapping
            }
            _ => match last {
                // Names that mean the same wherever they come from.
                "property" | "cached_property" => Wrapping::Property,
                "override" | "overload" | "final" | "abstractmethod" | "wraps" => decoration.wrapping,
                "contextmanager" => Wrapping::ContextManager { is_async: false },
                "asynccontextmanager" => Wrapping::ContextManager { is_async: true },
                _ => Wrapping::Opaque,
            },
        };
    }

    /// A decorator of the program's own: what the function it returns does with the one it is given.
    fn own_decorator(&self, decorator: FunctionRef, is_async: bool, inner: Wrapping) -> Wrapping {
        let entry = self.function(decorator);
        if entry.is_async || entry.is_generator || entry.params.is_empty() {
            return Wrapping::Opaque;
        }
        if self.habits(decorator).gives_back {
            return inner;
        }
        let Ty::Function(wrapper) = self.returns(decorator) else { return Wrapping::Opaque };
        let entry = self.function(*wrapper);
        if wrapper.file != decorator.file || entry.parent != Some(decorator.id) {
            return Wrapping::Opaque;
        }
        let Habits { calls, hands_on, returns_call, .. } = *self.habits(*wrapper);
        match (entry.is_async, entry.is_generator) {
            (true, false) if calls && is_async => Wrapping::Same,
            (true, false) if hands_on && !calls && !is_async => Wrapping::Thread,
            (true, false) => Wrapping::Async { calls },
            (false, false) if calls && !hands_on && (!is_async || returns_call) => inner,
            _ => Wrapping::Opaque,
        }
    }
}

fn claimed_decorator(claimed: Decorator, is_async: bool, decoration: &mut Decoration) {
    match claimed {
        Decorator::Transparent => {}
        Decorator::Route | Decorator::Handler | Decorator::OffLoop => decoration.role = Some(claimed),
        Decorator::Thread => decoration.wrapping = Wrapping::Thread,
        Decorator::ToSync => decoration.wrapping = Wrapping::ToSync,
        Decorator::ContextManager => decoration.wrapping = Wrapping::ContextManager { is_async: false },
        Decorator::AsyncContextManager => decoration.wrapping = Wrapping::ContextManager { is_async: true },
        Decorator::Property => decoration.wrapping = Wrapping::Property,
        Decorator::Static => decoration.is_static = true,
        Decorator::Class => decoration.is_class = true,
        Decorator::Coroutine if is_async => {}
        Decorator::Coroutine => decoration.wrapping = Wrapping::Async { calls: true },
        Decorator::Opaque => decoration.wrapping = Wrapping::Opaque,
    }
}

/// What others need to know of the body of a function to understand it as a decorator, or as a method that makes its result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct Habits {
    /// It always returns what it is given first.
    gives_back: bool,
    /// It calls what the function around it is given first.
    calls: bool,
    /// It hands that on.
    hands_on: bool,
    /// It returns what calling that gives.
    returns_call: bool,
    /// It returns an instance of a class that it calls by name.
    pub(super) names_its_result: bool,
}

/// The habits of a file's functions, which its own text says.
pub(super) fn habits_of_file(program: &Program, file: FileId) -> Vec<Habits> {
    let facts = program.surface(file);
    (0..facts.functions.len() as u32).map(|id| habits(facts, FunctionId(id))).collect()
}

fn habits(facts: &FileFacts, id: FunctionId) -> Habits {
    let entry = facts.function(id);
    let first_of = |function: &Function| facts.params[function.params.range()].first().map(|param| param.local);
    let returned: Vec<Option<ExprId>> = facts.nodes[entry.nodes.range()]
        .iter()
        .filter_map(|node| if let NodeKind::Return(value) = node.kind { Some(value) } else { None })
        .collect();
    let is_first = |value: &Option<ExprId>| {
        value.is_some_and(
            |value| matches!(facts.expr(value).kind, ExprKind::Local(local) if Some(local) == first_of(entry)),
        )
    };
    let mut habits = Habits {
        gives_back: !returned.is_empty() && returned.iter().all(is_first),
        names_its_result: returned.iter().flatten().any(|value| calls_class_by_name(facts, *value)),
        ..Habits::default()
    };
    let Some(wrapped) = entry.parent.and_then(|parent| first_of(facts.function(parent))) else { return habits };
    for (_, expr) in facts.exprs_of(id).filter(|(_, expr)| expr.kind == ExprKind::Local(wrapped)) {
        match expr.usage {
            Usage::Callee => {
                habits.calls = true;
                habits.returns_call |= expr.parent.is_some_and(|call| facts.expr(call).usage == Usage::Returned);
            }
            Usage::Argument | Usage::Element => habits.hands_on = true,
            _ => {}
        }
    }
    habits
}

fn calls_class_by_name(facts: &FileFacts, value: ExprId) -> bool {
    facts.as_call(value).is_some_and(|call| match facts.expr(call.callee).kind {
        ExprKind::Local(local) => {
            let mut bindings = facts.bindings_of(local);
            bindings.any(|(_, binding)| matches!(binding.kind, BindingKind::Class(_) | BindingKind::Import(_)))
        }
        _ => false,
    })
}
