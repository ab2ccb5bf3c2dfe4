//! Effects per parameter: what a function does with what it is given.
//!
//! A project's own offload helper (`async def in_thread(f, *a): return await loop.run_in_executor(None, f, *a)`) is
//! understood from its body: a few rounds carry the effects of what it calls to its own parameters.

use std::sync::Arc;

use bitcode::{Decode, Encode};

use super::Program;
use crate::facts::{ArgumentKind, Call, ExprId, ExprKind, Usage};
use crate::ids::{CallRef, FileId, In};
use crate::knowledge::claim::{Claim, Effect};
use crate::ty::Ty;

/// What becomes of a parameter's value, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct ParamEffects(u16);

impl ParamEffects {
    /// Called before the function returns (or, by a coroutine function, before it is done), on its thread.
    pub const CALLED: Self = Self(1);
    /// Called in another thread or process.
    pub const OFFLOADED: Self = Self(1 << 1);
    /// Called later by the loop.
    pub const LOOP_CALLBACK: Self = Self(1 << 2);
    /// Awaited.
    pub const AWAITED: Self = Self(1 << 3);
    /// Scheduled as a task.
    pub const SCHEDULED: Self = Self(1 << 4);
    /// Stored in an attribute, a container or a variable of an outer scope.
    pub const KEPT: Self = Self(1 << 5);
    /// Returned or yielded.
    pub const RETURNED: Self = Self(1 << 6);
    /// Entered with `with` or `async with`.
    pub const ENTERED: Self = Self(1 << 7);
    /// Given to code treadle cannot see.
    pub const ESCAPES: Self = Self(1 << 8);
    /// A loop is run for it.
    pub const RUN: Self = Self(1 << 9);
    /// A method is called on it, or an attribute read.
    pub const USED: Self = Self(1 << 10);

    /// Whether all of `other` is in the set.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the value is only looked at while the function runs: nothing keeps, returns, schedules or awaits it.
    pub fn is_borrowed(self) -> bool {
        let outlives = Self::KEPT.0 | Self::RETURNED.0 | Self::ESCAPES.0 | Self::SCHEDULED.0 | Self::LOOP_CALLBACK.0;
        self.0 & (outlives | Self::AWAITED.0 | Self::OFFLOADED.0 | Self::RUN.0 | Self::ENTERED.0) == 0
    }

    /// Both sets.
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl From<Effect> for ParamEffects {
    fn from(effect: Effect) -> Self {
        match effect {
            Effect::Calls => Self::CALLED,
            Effect::Thread | Effect::Process => Self::OFFLOADED,
            Effect::Loop => Self::LOOP_CALLBACK,
            Effect::Task => Self::SCHEDULED,
            Effect::Awaits => Self::AWAITED,
            Effect::Runs => Self::RUN,
            Effect::Keeps => Self::KEPT,
            Effect::Uses => Self::USED,
        }
    }
}

/// One round of the effects of a file's parameters, by what the round before came to.
pub(super) fn effects_of_file(program: &Program, file: FileId) -> Arc<[ParamEffects]> {
    let facts = program.facts(file);
    let mut found = vec![ParamEffects::default(); facts.params.len()];
    let mut by_local = rustc_hash::FxHashMap::default();
    for (position, param) in facts.params.iter().enumerate() {
        by_local.insert(param.local, position);
    }
    for (position, expr) in facts.exprs.iter().enumerate() {
        let ExprKind::Local(local) = expr.kind else { continue };
        let Some(param) = by_local.get(&local) else { continue };
        let id = ExprId(position as u32);
        let owner = facts.local(local).function;
        let here = facts.function_of(id);
        let effect = program.effect_of_use(In::new(file, id));
        // Within a nested function the use happens whenever that one is called: known only for what outlives it anyway.
        let effect =
            if here == owner || effect == ParamEffects::USED { effect } else { effect.and(ParamEffects::ESCAPES) };
        found[*param] = found[*param].and(effect);
    }
    found.into()
}

impl Program {
    /// What becomes of the value of an expression, judged by its use.
    pub fn effect_of_use(&self, expr: crate::ids::ExprRef) -> ParamEffects {
        let facts = self.facts(expr.file);
        let entry = facts.expr(expr.id);
        match entry.usage {
            Usage::Callee => ParamEffects::CALLED,
            Usage::Awaited => ParamEffects::AWAITED,
            Usage::Returned | Usage::Yielded | Usage::Raised => ParamEffects::RETURNED,
            Usage::Entered | Usage::AsyncEntered => ParamEffects::ENTERED,
            Usage::Stored(_) => ParamEffects::KEPT,
            Usage::Bound(_) => ParamEffects::ESCAPES,
            Usage::AttributeBase
            | Usage::SubscriptBase
            | Usage::Condition
            | Usage::Compared
            | Usage::Formatted
            | Usage::Operand
            | Usage::Index
            | Usage::Iterated
            | Usage::AsyncIterated
            | Usage::Discarded => ParamEffects::USED,
            Usage::Argument => match entry.parent.and_then(|parent| self.call_of(expr.with(parent))) {
                Some(call) => self.argument_effect(call, expr.id),
                None => ParamEffects::ESCAPES,
            },
            Usage::Element | Usage::Junction | Usage::Result | Usage::Collected => match entry.parent {
                Some(parent) if matches!(facts.expr(parent).kind, ExprKind::Starred(_)) => ParamEffects::USED,
                Some(parent) => self.effect_of_use(expr.with(parent)),
                None => ParamEffects::ESCAPES,
            },
            Usage::Annotation | Usage::Caught => ParamEffects::default(),
            Usage::Decorator | Usage::Default | Usage::Base | Usage::Other => ParamEffects::ESCAPES,
        }
    }

    /// What a call does with the argument whose value is `value`.
    pub fn argument_effect(&self, call: CallRef, value: ExprId) -> ParamEffects {
        let facts = self.facts(call.file);
        let entry = facts.call(call.id);
        let arguments = facts.arguments(entry);
        let Some(position) = arguments.iter().position(|argument| argument.value == value) else {
            return ParamEffects::ESCAPES;
        };
        let kind = arguments[position].kind;
        let callee = self.callee(call);
        if let Some(item) = callee.item() {
            let Some(known) = self.knowledge().claim(item) else { return ParamEffects::ESCAPES };
            return claimed_effect(&known.claim, facts, entry, position, kind);
        }
        let Some((function, bound)) = self.callable(callee) else { return ParamEffects::ESCAPES };
        let param = self.parameter_of(function, bound, kind, position, call.file);
        match param {
            Some(param) => self.effects_in(function.file).get(param as usize).copied().unwrap_or_default(),
            None => ParamEffects::ESCAPES,
        }
    }

    /// The functions handed to a call as arguments, with what the call does with each.
    pub fn callbacks(&self, call: CallRef) -> Vec<(Ty, ExprId, ParamEffects)> {
        let facts = self.facts(call.file);
        let mut infer = None;
        let mut found = Vec::new();
        for argument in facts.arguments(facts.call(call.id)) {
            let may_be_function = matches!(
                facts.expr(argument.value).kind,
                ExprKind::Local(_) | ExprKind::Attribute { .. } | ExprKind::Lambda(_) | ExprKind::Call(_)
            );
            if !may_be_function {
                continue;
            }
            let infer = infer.get_or_insert_with(|| crate::infer::Infer::new(self, call.file));
            let ty = infer.expr(argument.value);
            if ty.function().is_some() {
                found.push((ty, argument.value, self.argument_effect(call, argument.value)));
            }
        }
        found
    }
}

fn claimed_effect(
    claim: &Claim,
    facts: &crate::facts::FileFacts,
    call: &Call,
    position: usize,
    kind: ArgumentKind,
) -> ParamEffects {
    let positions = facts.arguments(call)[..position].iter().all(|argument| argument.kind == ArgumentKind::Positional);
    let matches = |key: &str| match kind {
        ArgumentKind::Positional => key == "*" || (positions && key.parse() == Ok(position)),
        ArgumentKind::Star => key == "*",
        ArgumentKind::Keyword(name) => key == facts.name(name),
        ArgumentKind::DoubleStar => false,
    };
    let mut found = ParamEffects::default();
    for (keys, effect) in &claim.effects {
        if keys.split('|').any(matches) {
            found = found.and((*effect).into());
        }
    }
    // A claimed function that says nothing about an argument may do anything with it but call or schedule it unseen.
    if found == ParamEffects::default() { ParamEffects::ESCAPES } else { found }
}
