//! `callee(arguments)`.

use std::sync::Arc;

use super::Infer;
use crate::facts::{ArgumentKind, CallId, ExprId, FunctionKind};
use crate::ids::FunctionRef;
use crate::knowledge::ItemId;
use crate::knowledge::types::{Shape, TypeText};
use crate::program::{Ancestor, Wrapping};
use crate::ty::Ty;

impl Infer<'_> {
    /// What calling `callee` gives. The call's arguments are looked at where the claim's type speaks of them.
    pub(crate) fn call(&mut self, callee: &Ty, call: Option<CallId>) -> Ty {
        match callee {
            Ty::Known(item) => self.call_known(*item, callee, call),
            Ty::KnownMethod(item, receiver) => {
                if let Some(found) = self.call_container_method(*item, receiver, call) {
                    return found;
                }
                self.call_known(*item, receiver, call)
            }
            Ty::Class(class) => Ty::Instance(*class),
            Ty::Function(function) | Ty::Method(function, _) => self.call_function(*function, callee),
            Ty::Partial(inner) => self.call(inner, None),
            Ty::Instance(class) => match self.program.method(*class, "__call__") {
                Some(function) => self.call_function(function, callee),
                None => Ty::Unknown,
            },
            Ty::Union(members) => {
                let results: Vec<Ty> = members
                    .iter()
                    .filter(|member| **member != Ty::None)
                    .map(|member| self.call(member, call))
                    .collect();
                Ty::any(results)
            }
            _ => Ty::Unknown,
        }
    }

    fn call_known(&mut self, item: ItemId, receiver: &Ty, call: Option<CallId>) -> Ty {
        let knowledge = self.program.knowledge();
        match knowledge.path(item) {
            "functools.partial" => {
                let inner = self.argument_type(call, 0);
                return Ty::Partial(Arc::new(inner));
            }
            "builtins.super" => return self.super_class(call),
            "typing.cast" => return self.cast(call),
            path => {
                if let Some(found) = path.strip_prefix("builtins.").and_then(|name| self.call_builtin(name, call)) {
                    return found;
                }
            }
        }
        let Some(known) = knowledge.claim(item) else { return Ty::Unknown };
        if known.claim.class {
            return match known.returns.as_ref() {
                Some(returns) => self.claimed_type(Some(returns), receiver, call),
                None => Ty::KnownInstance(item),
            };
        }
        let result = self.claimed_type(known.returns.as_ref(), receiver, call);
        if known.claim.is_async { Ty::coroutine(result) } else { result }
    }

    /// Built-in functions that hand on the elements of what they are given.
    fn call_builtin(&mut self, name: &str, call: Option<CallId>) -> Option<Ty> {
        let count = self.facts.arguments(self.facts.call(call?)).len();
        let elements = |infer: &mut Self, index: usize| {
            let given = infer.argument_type(call, index);
            infer.iterated(&given)
        };
        Some(match name {
            "list" | "tuple" | "sorted" | "reversed" if count > 0 => Ty::of(Shape::List, elements(self, 0)),
            "set" | "frozenset" if count > 0 => Ty::of(Shape::Set, elements(self, 0)),
            "enumerate" => {
                let element = elements(self, 0);
                Ty::of(Shape::Iter, Ty::Tuple([self.builtin("int"), element].into()))
            }
            "zip" => {
                let members: Vec<Ty> = (0..count).map(|index| elements(self, index)).collect();
                Ty::of(Shape::Iter, Ty::Tuple(members.into()))
            }
            "filter" => Ty::of(Shape::Iter, elements(self, 1)),
            "map" => {
                let function = self.argument_type(call, 0);
                Ty::of(Shape::Iter, self.call(&function, None))
            }
            "next" if count == 1 => elements(self, 0),
            _ => return None,
        })
    }

    /// Methods of containers that hand out an element.
    fn call_container_method(&mut self, item: ItemId, receiver: &Ty, call: Option<CallId>) -> Option<Ty> {
        let Ty::Of(shape @ (Shape::List | Shape::Set | Shape::Dict), element) = receiver else { return None };
        let path = self.program.knowledge().path(item);
        let method = path.rsplit('.').next()?;
        let element = (**element).clone();
        // `get(key, default)` may give the default.
        if *shape == Shape::Dict
            && matches!(method, "get" | "pop" | "setdefault")
            && let Some(call) = call
            && self.facts.arguments(self.facts.call(call)).len() > 1
        {
            let default = self.argument_type(Some(call), 1);
            return Some(if default == Ty::None { element } else { element.or(default) });
        }
        Some(match (shape, method) {
            (Shape::List | Shape::Set | Shape::Dict, "pop") | (Shape::Dict, "get" | "setdefault") => element,
            (Shape::List | Shape::Set | Shape::Dict, "copy") | (Shape::Set, "union" | "difference") => receiver.clone(),
            (Shape::Dict, "values") => Ty::of(Shape::Iter, element),
            (Shape::Dict, "items") => Ty::of(Shape::Iter, Ty::Tuple([Ty::Unknown, element].into())),
            (Shape::Dict, "popitem") => Ty::Tuple([Ty::Unknown, element].into()),
            _ => return None,
        })
    }

    /// What calling a function of the program by its name gives.
    pub(crate) fn call_function(&mut self, function: FunctionRef, callee: &Ty) -> Ty {
        let program = self.program;
        let entry = program.function(function);
        let result = self.result_of(function);
        let result = match (&result, callee) {
            // A fluent or factory method of a base class gives the class it is called on.
            (Ty::Instance(of), Ty::Method(_, receiver)) => match &**receiver {
                Ty::Instance(class) | Ty::Class(class)
                    if class != of
                        && entry.class.is_some_and(|own| function.with(own) == *of)
                        && !program.names_its_result(function) =>
                {
                    Ty::Instance(*class)
                }
                _ => result,
            },
            _ => result,
        };
        let is_coroutine = entry.is_async && !entry.is_generator;
        match program.decoration(function).wrapping {
            Wrapping::Same if is_coroutine => Ty::coroutine(result),
            Wrapping::Same => result,
            // The wrapper awaits what a plain function returned to it, and may return something else.
            Wrapping::Thread | Wrapping::Async { .. } if !entry.is_async => Ty::coroutine(Ty::Unknown),
            Wrapping::Thread | Wrapping::Async { .. } => Ty::coroutine(result),
            Wrapping::ToSync | Wrapping::Property => result,
            Wrapping::ContextManager { is_async } => {
                Ty::of(if is_async { Shape::AsyncWith } else { Shape::With }, result.element())
            }
            Wrapping::Opaque => Ty::Unknown,
        }
    }

    /// What the body of a function gives: awaited for `async def`, an iterator for generators.
    pub(crate) fn result_of(&mut self, function: FunctionRef) -> Ty {
        let program = self.program;
        let entry = program.function(function);
        let result = program.returns(function).clone();
        if entry.kind == FunctionKind::Def
            && entry.is_generator
            && !matches!(result, Ty::Of(Shape::Iter | Shape::AsyncIter, _))
        {
            return Ty::of(if entry.is_async { Shape::AsyncIter } else { Shape::Iter }, result);
        }
        result
    }

    fn super_class(&mut self, call: Option<CallId>) -> Ty {
        let Some(call) = call else { return Ty::Unknown };
        let facts = self.facts;
        let mut here = Some(facts.function_of(facts.call(call).expr));
        while let Some(function) = here {
            let entry = facts.function(function);
            if entry.kind == FunctionKind::Def
                && let Some(class) = entry.class
            {
                return Ty::Super(crate::ids::In::new(self.file, class));
            }
            here = entry.parent;
        }
        Ty::Unknown
    }

    fn cast(&mut self, call: Option<CallId>) -> Ty {
        let target = call.and_then(|call| self.facts.argument(self.facts.call(call), 0, "typ"));
        target.map_or(Ty::Unknown, |target| self.annotation(target))
    }

    /// The type of positional argument `index`.
    fn argument_type(&mut self, call: Option<CallId>, index: usize) -> Ty {
        let Some(call) = call else { return Ty::Unknown };
        let arguments = self.facts.arguments(self.facts.call(call));
        let value = |argument: &crate::facts::Argument| match argument.kind {
            ArgumentKind::Positional | ArgumentKind::Keyword(_) => Some(argument.value),
            _ => None,
        };
        // `arg0` also means the only keyword that stands in its place, as in `create_task(coro=f())`.
        let positional = arguments.iter().take_while(|argument| argument.kind == ArgumentKind::Positional).nth(index);
        let found: Option<ExprId> = match positional {
            Some(argument) => value(argument),
            None if index == 0 && arguments.iter().all(|argument| argument.kind != ArgumentKind::Star) => {
                arguments.first().and_then(value)
            }
            None => None,
        };
        found.map_or(Ty::Unknown, |found| self.expr(found))
    }

    /// A claim's type with `self` and the arguments filled in.
    pub(crate) fn claimed_type(&mut self, text: Option<&TypeText>, receiver: &Ty, call: Option<CallId>) -> Ty {
        let Some(text) = text else { return Ty::Unknown };
        match text {
            TypeText::Unknown => Ty::Unknown,
            TypeText::None => Ty::None,
            TypeText::SelfType => match receiver {
                Ty::Known(item) => {
                    self.program.knowledge().parent(*item).map_or(Ty::Unknown, |_| self.owner_instance(*item))
                }
                other => other.clone(),
            },
            TypeText::Instance(path) => self.instance_of_path(path),
            TypeText::Class(path) => match self.instance_of_path(path) {
                Ty::KnownInstance(item) => Ty::Known(item),
                _ => Ty::Unknown,
            },
            TypeText::Of(shape, inner) => {
                let inner = self.claimed_type(Some(inner), receiver, call);
                Ty::of(*shape, inner)
            }
            TypeText::Tuple(members) => {
                Ty::Tuple(members.iter().map(|member| self.claimed_type(Some(member), receiver, call)).collect())
            }
            TypeText::Argument(index) => self.argument_type(call, *index),
            TypeText::Awaited(inner) => {
                let inner = self.claimed_type(Some(inner), receiver, call);
                self.awaited(&inner)
            }
            TypeText::Called(inner) => {
                let inner = self.claimed_type(Some(inner), receiver, call);
                self.call(&inner, None)
            }
        }
    }

    /// `Class.method(…)` with `returns = "self"`: class methods such as `Path.cwd`.
    fn owner_instance(&self, item: ItemId) -> Ty {
        let knowledge = self.program.knowledge();
        if knowledge.is_class(item) {
            return Ty::KnownInstance(item);
        }
        match knowledge.parent(item) {
            Some(owner) if knowledge.is_class(owner) => Ty::KnownInstance(owner),
            _ => Ty::Unknown,
        }
    }

    /// The instance type a claim names; containers of builtins keep their shape.
    fn instance_of_path(&self, path: &str) -> Ty {
        let knowledge = self.program.knowledge();
        match path {
            "list" => return Ty::of(Shape::List, Ty::Unknown),
            "set" | "frozenset" => return Ty::of(Shape::Set, Ty::Unknown),
            "dict" => return Ty::of(Shape::Dict, Ty::Unknown),
            _ => {}
        }
        let item = knowledge.find(path).or_else(|| knowledge.find(&format!("builtins.{path}")));
        item.map_or(Ty::Unknown, Ty::KnownInstance)
    }

    /// The claimed classes among an own class's ancestors, nearest first.
    pub(crate) fn known_ancestors(&self, class: crate::ids::ClassRef) -> Vec<ItemId> {
        let order = self.program.classes().order(class);
        order
            .iter()
            .filter_map(|ancestor| if let Ancestor::Known(item) = ancestor { Some(*item) } else { None })
            .collect()
    }
}
