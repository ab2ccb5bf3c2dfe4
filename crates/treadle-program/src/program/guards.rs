//! Whether a call, by the constants it passes and leaves out, keeps its callee away from a place in the callee's body.
//!
//! `def start(wait=False): if wait: thread.join()` does not join when called as `start()`. Only literal arguments and
//! defaults count, and only parameters that the callee does not rebind.

use super::{Edge, Program};
use crate::facts::{ArgumentKind, BindingKind, CompareOp, ExprId, ExprKind, LocalId, NodeKind, RegionId, RegionKind};
use crate::ids::{ExprRef, FileId, FunctionRef, In};

/// A value as far as a condition sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Constant {
    None,
    Bool(bool),
    /// Some other literal, by its truth.
    Other(bool),
}

impl Constant {
    fn is_true(self) -> bool {
        match self {
            Self::None => false,
            Self::Bool(value) | Self::Other(value) => value,
        }
    }
}

impl Program {
    /// Whether none of `sites`, expressions in the body of the edge's callee, is reached through the edge.
    pub fn is_kept_away(&self, edge: &Edge, sites: &[ExprId]) -> bool {
        !sites.is_empty() && sites.iter().all(|site| self.is_ruled_out(edge, edge.callee.with(*site)))
    }

    fn is_ruled_out(&self, edge: &Edge, site: ExprRef) -> bool {
        let facts = self.facts(site.file);
        if self.is_taken_back(edge, site) {
            return true;
        }
        if self.returns_before(edge, site) {
            return true;
        }
        facts.regions_around(facts.expr(site.id).region).any(|(_, region)| match region.kind {
            RegionKind::Branch { test, when } if region.function == edge.callee.id => {
                self.condition(edge, test).is_some_and(|holds| holds != when)
            }
            _ => false,
        })
    }

    /// `if locked: return` above the site, in a block the site stands in.
    fn returns_before(&self, edge: &Edge, site: ExprRef) -> bool {
        let facts = self.facts(site.file);
        let at = facts.expr(site.id);
        let run = facts.function(edge.callee.id).regions;
        (run.start..run.end).map(RegionId).any(|id| {
            let region = facts.region(id);
            let RegionKind::Branch { test, when: true } = region.kind else { return false };
            let is_above = region.span.end <= at.span.start
                && region.parent.is_some_and(|parent| facts.region_within(at.region, parent));
            is_above && self.condition(edge, test) == Some(true) && self.leaves(edge.callee, id)
        })
    }

    /// Whether a block itself, not a block within it, returns or raises.
    fn leaves(&self, function: FunctionRef, region: RegionId) -> bool {
        let facts = self.facts(function.file);
        let nodes = facts.function(function.id).nodes;
        facts.nodes[nodes.range()]
            .iter()
            .any(|node| node.region == region && matches!(node.kind, NodeKind::Return(_) | NodeKind::Raise(_)))
    }

    /// `def close(pool, wait): pool.shutdown(wait=wait)`, called with `wait=False`: the argument with which the call at
    /// `site` does not block comes through a parameter.
    fn is_taken_back(&self, edge: &Edge, site: ExprRef) -> bool {
        let facts = self.facts(site.file);
        let Some(call) = self.call_of(site) else { return false };
        let Some((_, known)) = self.claim(call) else { return false };
        known.claim.unless.iter().any(|condition| {
            let Some((key, wanted)) = condition.split_once('=') else { return false };
            let entry = facts.call(call.id);
            let value = match key.parse::<usize>() {
                Ok(index) => facts.argument(entry, index, "\0"),
                Err(_) => facts.keyword(entry, key),
            };
            let Some(ExprKind::Local(local)) = value.map(|value| facts.expr(value).kind) else { return false };
            match self.argument(edge, local) {
                Some(Constant::Bool(value)) => wanted == if value { "True" } else { "False" },
                Some(Constant::None) => wanted == "None",
                _ => false,
            }
        })
    }

    /// What a condition in the callee's body gives for the edge's call.
    fn condition(&self, edge: &Edge, test: ExprId) -> Option<bool> {
        let facts = self.facts(edge.callee.file);
        match facts.expr(test).kind {
            ExprKind::Not(operand) => self.condition(edge, operand).map(|holds| !holds),
            ExprKind::Bool2 { and, operands } => {
                let parts = facts.operands(operands).iter().map(|operand| self.condition(edge, *operand));
                let parts: Vec<Option<bool>> = parts.collect();
                if parts.contains(&Some(!and)) {
                    return Some(!and);
                }
                parts.iter().all(|part| *part == Some(and)).then_some(and)
            }
            ExprKind::Compare { op: op @ (CompareOp::Is | CompareOp::IsNot), left, right } => {
                let (left, right) = (self.constant(edge, left)?, literal(self, edge.callee.file, right)?);
                // Of two other literals only the truth is known.
                let told = !matches!((left, right), (Constant::Other(_), Constant::Other(_)));
                told.then_some((left == right) == (op == CompareOp::Is))
            }
            _ => self.constant(edge, test).map(Constant::is_true),
        }
    }

    fn constant(&self, edge: &Edge, expr: ExprId) -> Option<Constant> {
        let facts = self.facts(edge.callee.file);
        match facts.expr(expr).kind {
            ExprKind::Local(local) => self.argument(edge, local),
            _ => literal(self, edge.callee.file, expr),
        }
    }

    /// The literal that a parameter of the callee has for the edge's call.
    fn argument(&self, edge: &Edge, local: LocalId) -> Option<Constant> {
        let callee = edge.callee;
        let facts = self.facts(callee.file);
        let mut bindings = facts.bindings_of(local);
        let (Some((_, binding)), None) = (bindings.next(), bindings.next()) else { return None };
        if !matches!(binding.kind, BindingKind::Param(_)) || facts.local(local).function != callee.id {
            return None;
        }
        let run = facts.function(callee.id).params;
        let position = facts.params[run.range()].iter().position(|param| param.local == local)?;
        match self.given(edge, callee, run.start + position as u32) {
            Given::Argument(value) => literal(self, edge.caller.file, value),
            Given::Default => literal(self, callee.file, facts.params[run.start as usize + position].default?),
            Given::Unknown => None,
        }
    }

    /// What a call gives for a parameter.
    fn given(&self, edge: &Edge, callee: FunctionRef, param: u32) -> Given {
        let file: FileId = edge.caller.file;
        let facts = self.facts(file);
        let Some(call) = self.call_of(In::new(file, edge.at)) else { return Given::Unknown };
        let Some((function, bound)) = self.callable(self.callee(call)) else { return Given::Unknown };
        let arguments = facts.arguments(facts.call(call.id));
        let is_spread = |kind| matches!(kind, ArgumentKind::Star | ArgumentKind::DoubleStar);
        if function != callee || arguments.iter().any(|argument| is_spread(argument.kind)) {
            return Given::Unknown;
        }
        let given = arguments.iter().enumerate().find(|(position, argument)| {
            self.parameter_of(function, bound, argument.kind, *position, file) == Some(param)
        });
        given.map_or(Given::Default, |(_, argument)| Given::Argument(argument.value))
    }
}

/// Where a parameter's value comes from.
enum Given {
    Argument(ExprId),
    Default,
    /// Through `*` or `**`, or from no call at all.
    Unknown,
}

fn literal(program: &Program, file: FileId, expr: ExprId) -> Option<Constant> {
    match program.facts(file).expr(expr).kind {
        ExprKind::None => Some(Constant::None),
        ExprKind::Bool(value) => Some(Constant::Bool(value)),
        ExprKind::Int(value) => Some(Constant::Other(value != 0)),
        ExprKind::String(text) => Some(Constant::Other(!program.facts(file).name(text).is_empty())),
        _ => None,
    }
}
