//! Types of functions, attributes and parameters, in rounds.
//!
//! Each round is computed in parallel from the tables of the round before, so the result depends on nothing but the
//! program. A chain of unannotated helpers deeper than the number of rounds stays unknown.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::tables::{Attributes, Outside, Round};
use super::{Ancestor, Program};
use crate::facts::{
    ArgumentKind, BindingKind, Call, CallId, ExprId, ExprKind, FileFacts, FunctionId, FunctionKind, NodeKind,
    ParamKind, StoreKind, StoreTarget,
};
use crate::ids::{CallRef, ClassRef, FileId, FunctionRef, In};
use crate::infer::Infer;
use crate::knowledge::types::{Shape, TypeText};
use crate::ty::Ty;

/// What one round came to for a file, before what others store in its classes is entered.
pub(super) fn round_of_file(program: &Program, file: FileId) -> Round {
    let mut infer = Infer::new(program, file);
    let functions = 0..program.facts(file).functions.len() as u32;
    let returns: Vec<Ty> = functions.map(|id| returned(program, &mut infer, file, FunctionId(id))).collect();
    let (attributes, outside) = attributes(program, &mut infer, file);
    let before = program.last_round(file);
    Round {
        returns: shared(returns, before.map(|round| &round.returns)),
        attributes: shared(attributes, before.map(|round| &round.attributes)),
        outside,
        ..Round::default()
    }
}

/// The type of what each call of a file calls.
pub(super) fn callees_of_file(program: &Program, file: FileId) -> Vec<Ty> {
    let mut infer = Infer::new(program, file);
    program.facts(file).calls.iter().map(|call| infer.expr(call.callee)).collect()
}

/// A table, in one piece with that of the round before if it is the same.
fn shared<T: PartialEq>(table: Vec<T>, before: Option<&Arc<[T]>>) -> Arc<[T]> {
    match before {
        Some(before) if **before == *table => Arc::clone(before),
        _ => table.into(),
    }
}

/// What the calls of a file pass, and what parameters are when nothing is passed.
pub(super) fn pass_of_file(program: &Program, file: FileId) -> Passed {
    Passed { sent: passed_by_file(program, file), defaults: defaults(program, file) }
}

/// What a file says about parameters.
pub(super) struct Passed {
    /// What its calls pass to which parameters of which files.
    pub(super) sent: Vec<(FileId, u32, Ty)>,
    /// What its own parameters are when nothing is passed.
    pub(super) defaults: Vec<(u32, Ty)>,
}

impl Passed {
    /// The files it passes anything to, sorted.
    pub(super) fn sent_to(&self) -> Vec<FileId> {
        let mut files: Vec<FileId> = self.sent.iter().map(|(file, ..)| *file).collect();
        files.sort_unstable();
        files.dedup();
        files
    }
}

/// The parameters of a file by what it receives, in the order of files, and its defaults.
pub(super) fn params_from(count: usize, received: &[(FileId, u32, Ty)], defaults: &[(u32, Ty)]) -> Arc<[Ty]> {
    let mut params = vec![Ty::Never; count];
    let mut doubted: FxHashSet<u32> = FxHashSet::default();
    let enter = |params: &mut [Ty], param: u32, ty: &Ty| {
        let slot = &mut params[param as usize];
        *slot = std::mem::replace(slot, Ty::Unknown).or(ty.clone());
    };
    for (_, param, ty) in received {
        if ty.is_unknown() {
            doubted.insert(*param);
        } else {
            enter(&mut params, *param, ty);
        }
    }
    // What calls leave out is the default; where one gives what is not understood, that is what the default is there to be replaced by.
    for (param, ty) in defaults {
        if !doubted.contains(param) {
            enter(&mut params, *param, ty);
        }
    }
    params.into_iter().map(|ty| if ty == Ty::Never { Ty::Unknown } else { ty }).collect()
}

impl Program {
    /// An attribute by the nearest class that stores it itself.
    pub(super) fn owned(&self, place: Outside) -> Outside {
        let Outside::Attribute(class, name) = place else { return place };
        let owner = self.classes().order(class).iter().find_map(|ancestor| match ancestor {
            Ancestor::Own(own) => self.attributes(*own)?.contains_key(&name).then_some(*own),
            _ => None,
        });
        Outside::Attribute(owner.unwrap_or(class), name)
    }

    /// The parameter an argument of a call to `function` goes to.
    pub(crate) fn parameter_of(
        &self,
        function: FunctionRef,
        bound: bool,
        kind: ArgumentKind,
        position: usize,
        file: FileId,
    ) -> Option<u32> {
        let facts = self.surface(function.file);
        let run = facts.function(function.id).params;
        let params = &facts.params[run.range()];
        match kind {
            ArgumentKind::Positional => {
                let wanted = position + usize::from(bound);
                let param = params.get(wanted)?;
                matches!(param.kind, ParamKind::Normal | ParamKind::PositionalOnly).then_some(run.start + wanted as u32)
            }
            ArgumentKind::Keyword(name) => {
                let name = self.facts(file).name(name);
                let at = params.iter().position(|param| {
                    matches!(param.kind, ParamKind::Normal | ParamKind::KeywordOnly)
                        && facts.name(facts.local(param.local).name) == name
                })?;
                Some(run.start + at as u32)
            }
            ArgumentKind::Star | ArgumentKind::DoubleStar => None,
        }
    }

    /// The function whose parameters a call's arguments fill, and whether its first one is already given.
    pub(crate) fn callable(&self, callee: &Ty) -> Option<(FunctionRef, bool)> {
        match callee {
            Ty::Function(function) => Some((*function, false)),
            Ty::Method(function, _) => Some((*function, true)),
            Ty::Class(class) => self.method(*class, "__init__").map(|function| (function, true)),
            _ => None,
        }
    }
}

/// What the body of a function gives.
fn returned(program: &Program, infer: &mut Infer<'_>, file: FileId, id: FunctionId) -> Ty {
    let facts = program.facts(file);
    let function = facts.function(id);
    if !matches!(function.kind, FunctionKind::Def | FunctionKind::Lambda) {
        return Ty::None;
    }
    if let Some(annotation) = function.returns {
        // What the programmer says about the result stands, even where treadle cannot read it.
        return infer.annotation(annotation);
    }
    if function.is_stub && function.kind == FunctionKind::Def {
        return Ty::Unknown;
    }
    if function.is_generator {
        let mut yielded = Ty::Never;
        for (_, expr) in facts.exprs_of(id) {
            match expr.kind {
                ExprKind::Yield(Some(value)) => yielded = yielded.or(infer.expr(value)),
                ExprKind::Yield(None) => yielded = yielded.or(Ty::None),
                ExprKind::YieldFrom(value) => yielded = yielded.or(infer.expr(value).element()),
                _ => {}
            }
        }
        return Ty::of(if function.is_async { Shape::AsyncIter } else { Shape::Iter }, yielded);
    }
    let mut values = Vec::new();
    for node in &facts.nodes[function.nodes.range()] {
        if let NodeKind::Return(value) = node.kind
            && !values.contains(&value)
        {
            values.push(value);
        }
    }
    if values.is_empty() {
        // A body that only ever raises returns nothing that could be looked at.
        return if facts.reachable_nodes(id).contains(&function.exit) { Ty::None } else { Ty::Never };
    }
    Ty::any(values.into_iter().map(|value| value.map_or(Ty::None, |value| infer.expr(value))))
}

/// What methods of a file's classes store on `self`, by class and name, and what the file stores elsewhere.
fn attributes(program: &Program, infer: &mut Infer<'_>, file: FileId) -> (Vec<Attributes>, Vec<(Outside, Ty)>) {
    let facts = program.facts(file);
    let mut found: Vec<Attributes> = vec![Attributes::default(); facts.classes.len()];
    let mut declared: Vec<Attributes> = vec![Attributes::default(); facts.classes.len()];
    let mut outside = Vec::new();
    // The stand-ins of tests say nothing about the program.
    let is_test = is_test(&program.file(file).path);
    for store in &facts.stores {
        let StoreTarget::Attribute { base, name } = store.target else { continue };
        let name = facts.name(name);
        let annotation = match store.kind {
            StoreKind::Value { annotation, .. } => annotation,
            StoreKind::Declared(annotation) => Some(annotation),
            StoreKind::Unpacked { .. } | StoreKind::Opaque | StoreKind::Entered { .. } => None,
            StoreKind::Augmented { .. } | StoreKind::Deleted => continue,
        };
        let Some(class) = receiver_class(program, file, base) else {
            if !is_test {
                let ty = stored(infer, store.kind);
                let base = infer.expr(base);
                let places = base.members().iter().filter_map(|base| outside_place(program, base, name));
                outside.extend(places.map(|place| (place, ty.clone())));
            }
            continue;
        };
        let class = class.id.index();
        if let Some(annotation) = annotation {
            let ty = infer.annotation(annotation);
            if !ty.is_unknown() {
                declared[class].insert(name.into(), ty);
                continue;
            }
        }
        let ty = stored(infer, store.kind);
        match found[class].get_mut(name) {
            Some(slot) => *slot = std::mem::replace(slot, Ty::Unknown).or(ty),
            None => drop(found[class].insert(name.into(), ty)),
        }
    }
    for (found, declared) in found.iter_mut().zip(declared) {
        found.extend(declared);
    }
    (found, outside)
}

/// What a store gives its target.
fn stored(infer: &mut Infer<'_>, kind: StoreKind) -> Ty {
    match kind {
        StoreKind::Value { value, .. } => infer.expr(value),
        StoreKind::Entered { context, is_async } => {
            let context = infer.expr(context);
            infer.entered(&context, is_async)
        }
        StoreKind::Unpacked { value, index } => {
            let value = infer.expr(value);
            crate::infer::part(&value, index)
        }
        _ => Ty::Unknown,
    }
}

/// Where `base.name = …` puts its value, unless an annotation says what is there. On one instance, methods stay what they are.
fn outside_place(program: &Program, base: &Ty, name: &str) -> Option<Outside> {
    let variable = match base {
        Ty::Module(file) => {
            let local = super::find_by_name(program.surface(*file), &program.scopes(*file).module, name)?;
            In::new(*file, local)
        }
        Ty::Class(class) => {
            let (owner, local) = program.class_member(*class, name)?;
            owner.with(local)
        }
        Ty::Instance(class) => {
            let variable = program.class_member(*class, name).map(|(owner, local)| owner.with(local));
            let is_settled = |local| program.function_bound_to(local).is_some() || program.is_annotated(local);
            let is_settled =
                variable.is_some_and(is_settled)
                    || program.classes().order(*class).iter().any(
                        |ancestor| matches!(ancestor, Ancestor::Own(own) if stores_annotated(program, *own, name)),
                    );
            return (!is_settled).then(|| Outside::Attribute(*class, name.into()));
        }
        _ => return None,
    };
    (!program.is_annotated(variable)).then_some(Outside::Variable(variable))
}

/// Whether a method of the class says what an attribute is: `self.name: annotation`.
fn stores_annotated(program: &Program, class: ClassRef, name: &str) -> bool {
    let facts = program.facts(class.file);
    facts.stores.iter().any(|store| {
        let is_annotated = matches!(store.kind, StoreKind::Declared(_) | StoreKind::Value { annotation: Some(_), .. });
        matches!(store.target, StoreTarget::Attribute { base, name: stored } if is_annotated
            && facts.name(stored) == name
            && receiver_class(program, class.file, base) == Some(class))
    })
}

fn is_test(path: &std::path::Path) -> bool {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    stem == "conftest"
        || stem.starts_with("test_")
        || stem.ends_with("_test")
        || path.parent().is_some_and(|parent| parent.iter().any(|part| part == "tests" || part == "test"))
}

/// The class whose instance a name is because it is the first parameter of a method.
pub(crate) fn receiver_class(program: &Program, file: FileId, base: ExprId) -> Option<ClassRef> {
    let facts = program.facts(file);
    let ExprKind::Local(local) = facts.expr(base).kind else { return None };
    let local = facts.local(local);
    let binding = facts.binding(local.first_binding?);
    let BindingKind::Param(position) = binding.kind else { return None };
    let function = facts.function(local.function);
    let takes_one = matches!(facts.params[position as usize].kind, ParamKind::PositionalOnly | ParamKind::Normal);
    let is_first = position == function.params.start && function.kind == FunctionKind::Def && takes_one;
    let class = function.class.filter(|_| is_first)?;
    let decoration = program.decoration(In::new(file, local.function));
    (!decoration.is_static).then_some(In::new(file, class))
}

/// What the calls of a file pass to parameters without annotations; unknown where it is not understood.
fn passed_by_file(program: &Program, file: FileId) -> Vec<(FileId, u32, Ty)> {
    let facts = program.facts(file);
    let mut infer = Infer::new(program, file);
    let mut passed = Vec::new();
    for number in 0..facts.calls.len() as u32 {
        let call = In::new(file, CallId(number));
        passed_by_call(program, &mut infer, call, &mut passed);
    }
    passed_by_frameworks(program, &mut infer, file, &mut passed);
    passed
}

/// What parameters are when nothing is passed: `def menu(options, chooser=ask)`.
fn defaults(program: &Program, file: FileId) -> Vec<(u32, Ty)> {
    let facts = program.facts(file);
    let mut infer = Infer::new(program, file);
    let mut found = Vec::new();
    for (position, param) in facts.params.iter().enumerate() {
        let Some(default) = param.default else { continue };
        let ty = infer.expr(default);
        if matches!(ty, Ty::Function(_) | Ty::Class(_) | Ty::Instance(_) | Ty::KnownInstance(_) | Ty::Known(_)) {
            found.push((position as u32, ty));
        }
    }
    found
}

/// What a framework calls a handler with, by claims about how it is decorated.
fn passed_by_frameworks(program: &Program, infer: &mut Infer<'_>, file: FileId, passed: &mut Vec<(FileId, u32, Ty)>) {
    let facts = program.facts(file);
    for (number, function) in facts.functions.iter().enumerate() {
        for decorator in facts.operands(function.decorators) {
            let named = facts.as_call(*decorator).map_or(*decorator, |call| call.callee);
            let Some(item) = infer.expr(named).item() else { continue };
            let Some(known) = program.knowledge().claim(item) else { continue };
            let Some((_, types)) = known.passes.iter().find(|(to, _)| to == "decorated") else { continue };
            let function = In::new(file, FunctionId(number as u32));
            let callback = match facts.function(function.id).class {
                Some(class) => Ty::Method(function, Ty::Instance(In::new(file, class)).into()),
                None => Ty::Function(function),
            };
            pass(program, infer, &callback, types, passed);
        }
    }
}

/// The argument that a key such as `"0|handler"` names.
fn callback_of(facts: &FileFacts, call: &Call, key: &str) -> Option<ExprId> {
    key.split('|').find_map(|part| match part.parse::<usize>() {
        Ok(index) => facts.argument(call, index, "\0"),
        Err(_) => facts.keyword(call, part),
    })
}

fn pass(
    program: &Program,
    infer: &mut Infer<'_>,
    callback: &Ty,
    types: &[TypeText],
    passed: &mut Vec<(FileId, u32, Ty)>,
) {
    let Some((function, bound)) = program.callable(callback) else { return };
    for (position, text) in types.iter().enumerate() {
        let param = program.parameter_of(function, bound, ArgumentKind::Positional, position, function.file);
        if let Some(param) = param {
            passed.push((function.file, param, infer.claimed_type(Some(text), &Ty::Unknown, None)));
        }
    }
}

fn passed_by_call(program: &Program, infer: &mut Infer<'_>, call: CallRef, passed: &mut Vec<(FileId, u32, Ty)>) {
    let facts = program.facts(call.file);
    let entry = facts.call(call.id);
    if entry.arguments.is_empty() {
        return;
    }
    let callee = infer.expr(entry.callee);
    let known = callee.item().and_then(|item| program.knowledge().claim(item));
    for (to, types) in known.iter().flat_map(|known| &known.passes) {
        let Some(value) = callback_of(facts, entry, to) else { continue };
        let callback = infer.expr(value);
        pass(program, infer, &callback, types, passed);
    }
    let (callee, skip) = match &callee {
        // `create_task(worker(queue))` passes through the inner call; `to_thread(f, x)` and `partial(f, x)` hand `x` to `f`.
        Ty::Known(item) | Ty::KnownMethod(item, _) => {
            let path = program.knowledge().path(*item);
            let skip = match path {
                "asyncio.to_thread" | "functools.partial" => 1,
                "treadle.to_thread" | "treadle.to_process" | "treadle.to_interpreter" => 1,
                "treadle.to_executor" => 2,
                _ if path.ends_with(".run_in_executor") => 2,
                _ => return,
            };
            let Some(argument) = facts.arguments(entry).get(skip - 1) else { return };
            (infer.expr(argument.value), skip)
        }
        _ => (callee, 0),
    };
    let Some((function, bound)) = program.callable(&callee) else { return };
    let target = program.surface(function.file);
    let mut starred = false;
    for (position, argument) in facts.arguments(entry).iter().enumerate().skip(skip) {
        let behind_star = starred && argument.kind == ArgumentKind::Positional;
        starred |= argument.kind == ArgumentKind::Star;
        let param = program.parameter_of(function, bound, argument.kind, position - skip, call.file);
        let Some(param) = param.filter(|_| !behind_star) else { continue };
        if target.params[param as usize].annotation.is_some() {
            continue;
        }
        let ty = infer.expr(argument.value);
        if ty != Ty::None {
            passed.push((function.file, param, ty));
        }
    }
}
