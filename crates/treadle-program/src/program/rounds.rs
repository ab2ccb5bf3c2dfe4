//! Types of functions, attributes and parameters, in rounds.
//!
//! Each round is computed in parallel from the tables of the round before, so the result depends on nothing but the
//! program. A chain of unannotated helpers deeper than the number of rounds stays unknown.

use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use super::{Ancestor, Decoration, Program, SourceFile};
use crate::facts::{
    ArgumentKind, BindingKind, Call, CallId, ExprId, ExprKind, FileFacts, FunctionId, FunctionKind, NodeKind,
    ParamKind, StoreKind, StoreTarget,
};
use crate::ids::{CallRef, ClassRef, FileId, FunctionRef, In, LocalRef};
use crate::infer::Infer;
use crate::knowledge::types::{Shape, TypeText};
use crate::ty::Ty;

/// The answers of the last round.
#[derive(Debug)]
pub(crate) struct Tables {
    /// By file and function: what the body gives.
    pub(crate) returns: Vec<Vec<Ty>>,
    /// By file and parameter: what calls pass.
    pub(crate) params: Vec<Vec<Ty>>,
    /// By file and class: what methods store on `self`.
    pub(crate) attributes: Vec<Vec<FxHashMap<Box<str>, Ty>>>,
    /// What other modules, and code outside a class, store in variables of modules and classes.
    pub(crate) patched: FxHashMap<LocalRef, Ty>,
    /// By file and function.
    pub(crate) decorations: Vec<Vec<Decoration>>,
    /// By file and call: the type of what is called.
    pub(crate) callees: Vec<Vec<Ty>>,
}

impl Tables {
    pub(crate) fn empty(files: &[SourceFile]) -> Self {
        let unknown = |count: usize| vec![Ty::Unknown; count];
        Self {
            returns: files.iter().map(|file| unknown(file.facts.functions.len())).collect(),
            params: files.iter().map(|file| unknown(file.facts.params.len())).collect(),
            attributes: files.iter().map(|file| vec![FxHashMap::default(); file.facts.classes.len()]).collect(),
            patched: FxHashMap::default(),
            decorations: files.iter().map(|file| vec![Decoration::default(); file.facts.functions.len()]).collect(),
            callees: files.iter().map(|_| Vec::new()).collect(),
        }
    }
}

impl Program {
    /// Fills the tables.
    pub(super) fn infer_types(&mut self) {
        self.tables.decorations = self.each_file(Self::decorations_of_file);
        self.round();
        self.round();
        // Decorators of the program's own are understood by what they return.
        self.tables.decorations = self.each_file(Self::decorations_of_file);
        self.infer_params();
        self.round();
        self.infer_params();
        self.round();
        self.tables.callees = self.each_file(|program, file| {
            let facts = program.facts(file);
            let mut infer = Infer::new(program, file);
            facts.calls.iter().map(|call| infer.expr(call.callee)).collect()
        });
    }

    fn round(&mut self) {
        let both: Vec<_> = self.each_file(|program, file| {
            let mut infer = Infer::new(program, file);
            let functions = 0..program.facts(file).functions.len() as u32;
            let returns = functions.map(|id| returned(program, &mut infer, file, FunctionId(id))).collect::<Vec<_>>();
            (returns, attributes(program, &mut infer, file))
        });
        let (returns, stored): (_, Vec<_>) = both.into_iter().unzip();
        let (attributes, outside): (_, Vec<_>) = stored.into_iter().unzip();
        self.tables.returns = returns;
        self.tables.attributes = attributes;
        // Whose attributes they are is settled before any of them is entered.
        let outside: Vec<(Outside, Ty)> =
            outside.into_iter().flatten().map(|(place, ty)| (self.owned(place), ty)).collect();
        self.tables.patched = FxHashMap::default();
        for (place, ty) in outside {
            let slot = match place {
                Outside::Variable(local) => self.tables.patched.entry(local).or_insert(Ty::Never),
                Outside::Attribute(class, name) => {
                    let attributes = &mut self.tables.attributes[class.file.index()][class.id.index()];
                    attributes.entry(name).or_insert(Ty::Never)
                }
            };
            *slot = std::mem::replace(slot, Ty::Unknown).or(ty);
        }
    }

    /// An attribute by the nearest class that stores it itself.
    fn owned(&self, place: Outside) -> Outside {
        let Outside::Attribute(class, name) = place else { return place };
        let owner = self.classes().order(class).iter().find_map(|ancestor| match ancestor {
            Ancestor::Own(own) => {
                self.tables.attributes[own.file.index()][own.id.index()].contains_key(&name).then_some(*own)
            }
            _ => None,
        });
        Outside::Attribute(owner.unwrap_or(class), name)
    }

    fn infer_params(&mut self) {
        let passed: Vec<Vec<(FileId, u32, Ty)>> = self.each_file(passed_by_file);
        let mut params: Vec<Vec<Ty>> = self.files.iter().map(|file| vec![Ty::Never; file.facts.params.len()]).collect();
        let mut doubted: FxHashSet<(FileId, u32)> = FxHashSet::default();
        let mut enter = |file: FileId, param: u32, ty: Ty| {
            let slot = &mut params[file.index()][param as usize];
            *slot = std::mem::replace(slot, Ty::Unknown).or(ty);
        };
        for (file, param, ty) in passed.into_iter().flatten() {
            if ty.is_unknown() {
                doubted.insert((file, param));
            } else {
                enter(file, param, ty);
            }
        }
        // What calls leave out is the default; where one gives what is not understood, that is what the default is there to be replaced by.
        for (file, param, ty) in self.each_file(defaults).into_iter().flatten() {
            if !doubted.contains(&(file, param)) {
                enter(file, param, ty);
            }
        }
        params.par_iter_mut().flatten().for_each(|slot| {
            if *slot == Ty::Never {
                *slot = Ty::Unknown;
            }
        });
        self.tables.params = params;
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
        let facts = self.facts(function.file);
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

/// A place that something is stored in from outside.
enum Outside {
    Variable(LocalRef),
    Attribute(ClassRef, Box<str>),
}

type Attributes = Vec<FxHashMap<Box<str>, Ty>>;

/// What methods of a file's classes store on `self`, by class and name, and what the file stores elsewhere.
fn attributes(program: &Program, infer: &mut Infer<'_>, file: FileId) -> (Attributes, Vec<(Outside, Ty)>) {
    let facts = program.facts(file);
    let mut found: Vec<FxHashMap<Box<str>, Ty>> = vec![FxHashMap::default(); facts.classes.len()];
    let mut declared: Attributes = vec![FxHashMap::default(); facts.classes.len()];
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
            let local = super::find_by_name(program.facts(*file), &program.scopes[file.index()].module, name)?;
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
    let decoration = &program.tables.decorations[file.index()][local.function.index()];
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
fn defaults(program: &Program, file: FileId) -> Vec<(FileId, u32, Ty)> {
    let facts = program.facts(file);
    let mut infer = Infer::new(program, file);
    let mut found = Vec::new();
    for (position, param) in facts.params.iter().enumerate() {
        let Some(default) = param.default else { continue };
        let ty = infer.expr(default);
        if matches!(ty, Ty::Function(_) | Ty::Class(_) | Ty::Instance(_) | Ty::KnownInstance(_) | Ty::Known(_)) {
            found.push((file, position as u32, ty));
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
                _ if path.ends_with(".run_in_executor") => 2,
                _ => return,
            };
            let Some(argument) = facts.arguments(entry).get(skip - 1) else { return };
            (infer.expr(argument.value), skip)
        }
        _ => (callee, 0),
    };
    let Some((function, bound)) = program.callable(&callee) else { return };
    let target = program.facts(function.file);
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
