//! The tables of a file whose surface is as it was, laid out for what the file says now.

use std::sync::Arc;

use super::decoration::Habits;
use super::rename::Rename;
use super::tables::{Attributes, Pass, Received, Round, Tables};
use super::{Ancestor, Context, Decoration, ParamEffects};
use crate::facts::{ClassId, FileFacts, Run};
use crate::ids::{FileId, In};
use crate::ty::Ty;

/// What of a changed file was not there before: nobody else can have looked at it.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    pub(super) functions: Vec<bool>,
    pub(super) classes: Vec<bool>,
    pub(super) params: Vec<bool>,
}

/// What the entries of a table belong to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unit {
    Functions,
    Classes,
    Params,
}

impl Fresh {
    pub(super) fn of(&self, unit: Unit) -> &[bool] {
        match unit {
            Unit::Functions => &self.functions,
            Unit::Classes => &self.classes,
            Unit::Params => &self.params,
        }
    }
}

/// Where a file's functions, classes and parameters were.
struct Layout {
    functions: Vec<Option<usize>>,
    classes: Vec<Option<usize>>,
    params: Vec<Option<usize>>,
}

impl Layout {
    fn new(old: &FileFacts, new: &FileFacts, rename: &Rename) -> Self {
        let mut functions = vec![None; new.functions.len()];
        let mut params = vec![None; new.params.len()];
        for (was, now) in rename.functions.iter().enumerate() {
            let Some(now) = now else { continue };
            functions[now.index()] = Some(was);
            let run = |facts: &FileFacts, at: usize| -> Run { facts.functions[at].params };
            for (was, now) in run(old, was).range().zip(run(new, now.index()).range()) {
                params[now] = Some(was);
            }
        }
        let mut classes = vec![None; new.classes.len()];
        for (was, now) in rename.classes.iter().enumerate() {
            if let Some(now) = now {
                classes[now.index()] = Some(was);
            }
        }
        Self { functions, classes, params }
    }
}

fn moved<T: Clone>(table: &[T], from: &[Option<usize>], fresh: impl Fn(usize) -> T) -> Vec<T> {
    let entry =
        |(now, was): (usize, &Option<usize>)| was.and_then(|was| table.get(was).cloned()).unwrap_or_else(|| fresh(now));
    from.iter().enumerate().map(entry).collect()
}

impl Tables {
    /// The tables for a file that says `new` now, what is fresh in it being unknown. References are renamed already.
    pub(super) fn moved(mut self, file: FileId, old: &FileFacts, new: &FileFacts, rename: &Rename) -> (Self, Fresh) {
        let layout = Layout::new(old, new, rename);
        let Layout { functions, classes, params } = &layout;
        let own = |class: usize| -> Box<[Ancestor]> { Box::new([Ancestor::Own(In::new(file, ClassId(class as u32)))]) };
        self.habits = moved(&self.habits, functions, |_| Habits::default());
        self.bases = moved(&self.bases, classes, |_| Vec::new());
        self.orders = moved(&self.orders, classes, own);
        self.subclasses = moved(&self.subclasses, classes, |_| Vec::new());
        self.decorations = self.decorations.map(|table| moved(&table, functions, |_| Decoration::default()));
        self.rounds = self.rounds.map(|round| round.moved(&layout, rename));
        self.passes = self.passes.map(|pass| pass.moved(&layout));
        self.effects = self.effects.map(|table| moved(&table, params, |_| ParamEffects::default()).into());
        self.contexts = moved(&self.contexts, functions, |_| Context::default());
        self.incoming.sort_by_key(|edge| (edge.callee.id, edge.caller.file));
        self.primitives.sort_by(|left, right| left.0.cmp(&right.0));
        let is_fresh = |from: &[Option<usize>]| from.iter().map(Option::is_none).collect();
        let fresh = Fresh { functions: is_fresh(functions), classes: is_fresh(classes), params: is_fresh(params) };
        (self, fresh)
    }
}

impl Round {
    fn moved(mut self, layout: &Layout, rename: &Rename) -> Self {
        self.returns = moved(&self.returns, &layout.functions, |_| Ty::Unknown).into();
        self.attributes = moved(&self.attributes, &layout.classes, |_| Attributes::default()).into();
        let local = |(local, ty): (crate::facts::LocalId, Ty)| Some((rename.locals.get(local.index()).copied()??, ty));
        self.patched = self.patched.into_iter().filter_map(local).collect();
        self.patched.sort_unstable_by_key(|(local, _)| *local);
        let class = |one: Received| Some(Received { class: rename.classes.get(one.class.index()).copied()??, ..one });
        self.received = self.received.into_iter().filter_map(class).collect();
        self
    }
}

impl Pass {
    fn moved(mut self, layout: &Layout) -> Self {
        self.params = moved(&self.params, &layout.params, |_| Ty::Unknown).into();
        let at = |param: u32| layout.params.iter().position(|was| *was == Some(param as usize)).map(|now| now as u32);
        self.received =
            self.received.into_iter().filter_map(|(from, param, ty)| Some((from, at(param)?, ty))).collect();
        self.defaults = self.defaults.into_iter().filter_map(|(param, ty)| Some((at(param)?, ty))).collect();
        self
    }
}

/// A table whose entries belong to functions, classes or parameters.
pub(super) trait Table {
    /// Takes over the entries of `answer` that nobody can have looked at before.
    fn align(&mut self, answer: &Self, fresh: &[bool]);
}

impl<T: Clone> Table for Vec<T> {
    fn align(&mut self, answer: &Self, fresh: &[bool]) {
        for ((slot, answer), _) in self.iter_mut().zip(answer).zip(fresh).filter(|(_, fresh)| **fresh) {
            slot.clone_from(answer);
        }
    }
}

impl<T: Clone> Table for Arc<[T]> {
    fn align(&mut self, answer: &Self, fresh: &[bool]) {
        if fresh.contains(&true) {
            let mut all = self.to_vec();
            all.align(&answer.to_vec(), fresh);
            *self = all.into();
        }
    }
}
