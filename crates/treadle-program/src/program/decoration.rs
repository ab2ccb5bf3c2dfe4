//! What decorators make of a function.

use bitcode::{Decode, Encode};

use super::Program;
use crate::facts::{ExprId, ExprKind, FunctionId, FunctionKind, NodeKind, Usage};
use crate::ids::{FileId, FunctionRef, In};
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
        let facts = self.facts(decorator.file);
        let entry = facts.function(decorator.id);
        if entry.is_async || entry.is_generator {
            return Wrapping::Opaque;
        }
        let Some(param) = facts.params[entry.params.range()].first() else { return Wrapping::Opaque };
        let returned: Vec<Option<ExprId>> = facts.nodes[entry.nodes.range()]
            .iter()
            .filter_map(|node| if let NodeKind::Return(value) = node.kind { Some(value) } else { None })
            .collect();
        let gives_back = |value: &Option<ExprId>| {
            value.is_some_and(|value| matches!(facts.expr(value).kind, ExprKind::Local(local) if local == param.local))
        };
        if !returned.is_empty() && returned.iter().all(gives_back) {
            return inner;
        }
        let Ty::Function(wrapper) = self.returns(decorator) else { return Wrapping::Opaque };
        if wrapper.file != decorator.file || facts.function(wrapper.id).parent != Some(decorator.id) {
            return Wrapping::Opaque;
        }
        self.wrapper(*wrapper, param.local, is_async, inner)
    }

    fn wrapper(
        &self,
        wrapper: FunctionRef,
        wrapped: crate::facts::LocalId,
        is_async: bool,
        inner: Wrapping,
    ) -> Wrapping {
        let facts = self.facts(wrapper.file);
        let entry = facts.function(wrapper.id);
        let mut calls = false;
        let mut elsewhere = false;
        let mut returned_call = false;
        for (_, expr) in facts.exprs_of(wrapper.id) {
            if !matches!(expr.kind, ExprKind::Local(local) if local == wrapped) {
                continue;
            }
            match expr.usage {
                Usage::Callee => {
                    calls = true;
                    returned_call |= expr.parent.is_some_and(|call| facts.expr(call).usage == Usage::Returned);
                }
                Usage::Argument | Usage::Element => elsewhere = true,
                _ => {}
            }
        }
        match (entry.is_async, entry.is_generator) {
            (true, false) if calls && is_async => Wrapping::Same,
            (true, false) if elsewhere && !calls && !is_async => Wrapping::Thread,
            (true, false) => Wrapping::Async { calls },
            (false, false) if calls && !elsewhere && (!is_async || returned_call) => inner,
            _ => Wrapping::Opaque,
        }
    }

    /// The generator behind a decorated function is a coroutine function's, as far as its own body goes.
    pub fn is_async_body(&self, function: FunctionRef) -> bool {
        self.function(function).is_async
    }

    /// The function a nested function or lambda stands in.
    pub fn parent_of(&self, function: FunctionRef) -> Option<FunctionRef> {
        let mut next = self.function(function).parent;
        while let Some(id) = next {
            let entry = self.facts(function.file).function(id);
            if entry.kind != FunctionKind::ClassBody {
                return Some(In::new(function.file, FunctionId(id.0)));
            }
            next = entry.parent;
        }
        None
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
