//! What `await`, `for` and `with` make of a value, and whether it lets them.

use std::sync::Arc;

use super::Infer;
use crate::ids::ClassRef;
use crate::knowledge::claim::Protocol;
use crate::knowledge::types::Shape;
use crate::knowledge::{ItemId, KnownClaim};
use crate::program::Program;
use crate::ty::Ty;

impl Infer<'_> {
    /// What `await value` gives.
    pub(crate) fn awaited(&mut self, value: &Ty) -> Ty {
        match value {
            Ty::Of(Shape::Coroutine | Shape::Task | Shape::Future, result) => (**result).clone(),
            Ty::KnownInstance(item) => self.claimed(*item, |known| known.awaits.as_ref(), value).unwrap_or(Ty::Unknown),
            Ty::Instance(class) => {
                let result = self.dunder(*class, "__await__");
                if result.is_unknown() {
                    self.claimed_ancestor(*class, |known| known.awaits.as_ref(), value)
                } else {
                    Ty::Unknown
                }
            }
            Ty::Union(members) => {
                let results: Vec<Ty> =
                    members.iter().filter(|member| **member != Ty::None).map(|member| self.awaited(member)).collect();
                Ty::any(results)
            }
            _ => Ty::Unknown,
        }
    }

    /// What `for … in value` yields.
    pub(crate) fn iterated(&mut self, value: &Ty) -> Ty {
        match value {
            Ty::Of(Shape::List | Shape::Set | Shape::Iter, element) => (**element).clone(),
            Ty::Tuple(_) => value.element(),
            Ty::KnownInstance(item) => {
                self.claimed(*item, |known| known.iterates.as_ref(), value).unwrap_or(Ty::Unknown)
            }
            Ty::Instance(class) => {
                let iterator = self.dunder(*class, "__iter__");
                match iterator {
                    Ty::Of(Shape::Iter | Shape::List | Shape::Set, element) => (*element).clone(),
                    Ty::Instance(iterator) => self.dunder(iterator, "__next__"),
                    _ => self.claimed_ancestor(*class, |known| known.iterates.as_ref(), value),
                }
            }
            _ => Ty::Unknown,
        }
    }

    /// What `async for … in value` yields.
    pub(crate) fn async_iterated(&mut self, value: &Ty) -> Ty {
        match value {
            Ty::Of(Shape::AsyncIter, element) => (**element).clone(),
            Ty::KnownInstance(item) => {
                self.claimed(*item, |known| known.iterates.as_ref(), value).unwrap_or(Ty::Unknown)
            }
            Ty::Instance(class) => match self.dunder(*class, "__aiter__") {
                Ty::Of(Shape::AsyncIter, element) => (*element).clone(),
                Ty::Instance(iterator) => {
                    let next = self.dunder(iterator, "__anext__");
                    self.awaited(&next)
                }
                _ => self.claimed_ancestor(*class, |known| known.iterates.as_ref(), value),
            },
            _ => Ty::Unknown,
        }
    }

    /// What `with value as …` binds.
    pub(crate) fn entered(&mut self, value: &Ty, is_async: bool) -> Ty {
        match value {
            Ty::Of(Shape::With, bound) if !is_async => (**bound).clone(),
            Ty::Of(Shape::AsyncWith, bound) if is_async => (**bound).clone(),
            Ty::KnownInstance(item) => {
                self.claimed(*item, |known| known.enters.as_ref(), value).unwrap_or_else(|| value.clone())
            }
            Ty::Instance(class) => {
                let name = if is_async { "__aenter__" } else { "__enter__" };
                if self.program.class_member(*class, name).is_some() {
                    let entered = self.dunder(*class, name);
                    return if is_async { self.awaited(&entered) } else { entered };
                }
                let known = self.known_ancestors(*class);
                let claimed = known.iter().find_map(|item| self.claimed(*item, |known| known.enters.as_ref(), value));
                let inherits = !known.is_empty() && self.program.classes().is_fully_known(*class);
                claimed.unwrap_or(if inherits { value.clone() } else { Ty::Unknown })
            }
            Ty::Union(members) => {
                // What cannot be entered this way is not what the value is.
                let protocol = if is_async { Protocol::AsyncWith } else { Protocol::With };
                let fit = members.iter().filter(|member| self.program.supports(member, protocol) != Some(false));
                let results: Vec<Ty> = fit.map(|member| self.entered(member, is_async)).collect();
                Ty::any(results)
            }
            _ => Ty::Unknown,
        }
    }

    fn dunder(&mut self, class: ClassRef, name: &str) -> Ty {
        match self.program.method(class, name) {
            Some(function) => self.call_function(function, &Ty::Method(function, Arc::new(Ty::Instance(class)))),
            None => Ty::Unknown,
        }
    }

    fn claimed(
        &mut self,
        item: ItemId,
        pick: impl Fn(&KnownClaim) -> Option<&crate::knowledge::types::TypeText>,
        receiver: &Ty,
    ) -> Option<Ty> {
        let knowledge = self.program.knowledge();
        let text = knowledge.ancestors(item).into_iter().find_map(|class| pick(knowledge.claim(class)?));
        text.map(|text| self.claimed_type(Some(text), receiver, None))
    }

    fn claimed_ancestor(
        &mut self,
        class: ClassRef,
        pick: impl Fn(&KnownClaim) -> Option<&crate::knowledge::types::TypeText> + Copy,
        receiver: &Ty,
    ) -> Ty {
        let ancestors = self.known_ancestors(class);
        ancestors.into_iter().find_map(|item| self.claimed(item, pick, receiver)).unwrap_or(Ty::Unknown)
    }
}

impl Program {
    /// Whether a value can be awaited, iterated or entered; `None` when treadle cannot tell.
    pub fn supports(&self, ty: &Ty, protocol: Protocol) -> Option<bool> {
        use Protocol::{AsyncIter, AsyncWith, Await, Iter, With};
        match ty {
            Ty::None => Some(false),
            Ty::Tuple(_) => Some(protocol == Iter),
            Ty::Of(shape, _) => Some(match shape {
                Shape::List | Shape::Set | Shape::Dict => protocol == Iter,
                // Generators and file-like iterators may be context managers too.
                Shape::Iter if protocol == With => return None,
                Shape::Iter => protocol == Iter,
                Shape::AsyncIter if protocol == AsyncWith => return None,
                Shape::AsyncIter => protocol == AsyncIter,
                Shape::Coroutine | Shape::Task | Shape::Future => protocol == Await,
                Shape::With => protocol == With,
                Shape::AsyncWith if protocol == Await => return None,
                Shape::AsyncWith => protocol == AsyncWith,
            }),
            Ty::KnownInstance(item) => self.claims_support(*item, protocol),
            Ty::Instance(class) => self.instance_supports(*class, protocol),
            Ty::Class(_) if matches!(protocol, With | AsyncWith | Await | AsyncIter) && !self.has_metaclass(ty) => {
                Some(false)
            }
            Ty::Function(_) | Ty::Method(..) => Some(false),
            Ty::Union(members) => {
                let answers: Vec<Option<bool>> = members.iter().map(|member| self.supports(member, protocol)).collect();
                match answers.first() {
                    Some(first) if answers.iter().all(|answer| answer == first) => *first,
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn has_metaclass(&self, ty: &Ty) -> bool {
        let Ty::Class(class) = ty else { return true };
        !self.classes().is_fully_known(*class)
            || self.classes().order(*class).iter().any(|ancestor| match ancestor {
                crate::program::Ancestor::Own(own) => {
                    let facts = self.surface(own.file);
                    facts.arguments[facts.class(own.id).bases.range()]
                        .iter()
                        .any(|argument| !matches!(argument.kind, crate::facts::ArgumentKind::Positional))
                }
                _ => true,
            })
    }

    fn claims_support(&self, item: ItemId, protocol: Protocol) -> Option<bool> {
        let mut told = false;
        for class in self.knowledge().ancestors(item) {
            let Some(known) = self.knowledge().claim(class) else { continue };
            told |= !known.claim.protocols.is_empty();
            if known.claim.protocols.contains(&protocol) {
                return Some(true);
            }
        }
        let path = self.knowledge().path(item);
        let plain =
            matches!(path, "builtins.str" | "builtins.bytes" | "builtins.int" | "builtins.float" | "builtins.bool");
        if plain && protocol != Protocol::Iter {
            return Some(false);
        }
        told.then_some(false)
    }

    fn instance_supports(&self, class: ClassRef, protocol: Protocol) -> Option<bool> {
        let dunders: &[&str] = match protocol {
            Protocol::With => &["__enter__"],
            Protocol::AsyncWith => &["__aenter__"],
            Protocol::Iter => &["__iter__", "__getitem__"],
            Protocol::AsyncIter => &["__aiter__"],
            Protocol::Await => &["__await__"],
        };
        if dunders.iter().any(|dunder| self.class_member(class, dunder).is_some()) {
            return Some(true);
        }
        for ancestor in self.classes().order(class) {
            match ancestor {
                crate::program::Ancestor::Known(item) => match self.claims_support(*item, protocol) {
                    Some(true) => return Some(true),
                    // An ancestor that says nothing about protocols may have any.
                    None => return None,
                    Some(false) => {}
                },
                crate::program::Ancestor::Unknown => return None,
                crate::program::Ancestor::Own(_) => {}
            }
        }
        // `__getattr__` does not provide special methods, but a decorator or metaclass may.
        let facts = self.surface(class.file);
        let header = facts.class(class.id);
        // What conforms to a protocol may have more than it asks for.
        (header.decorators.is_empty() && !self.is_protocol(class) && !self.has_metaclass(&Ty::Class(class)))
            .then_some(false)
    }
}
