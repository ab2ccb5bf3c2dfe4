//! Every claim of the knowledge files is found through a program: import the name, call it in a coroutine, link, ask.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use treadle_program::facts::FunctionId;
use treadle_program::ids::{CallRef, FileId, In};
use treadle_program::knowledge::claim::{Claim, Protocol};
use treadle_program::knowledge::types::TypeText;
use treadle_program::knowledge::{ItemId, Knowledge};
use treadle_program::ty::Ty;
use treadle_program::{Options, Program, SourceFile, lower};

/// The smallest program that uses one claim, and what the claim is about.
struct Case {
    /// What is asked, for the message of a failure.
    about: String,
    item: ItemId,
    text: String,
}

impl Case {
    /// A coroutine that calls the item with these arguments, and nothing else.
    fn calling(knowledge: &Knowledge, item: ItemId, arguments: &str) -> Self {
        Self::using(knowledge, item, |spelled| format!("{spelled}({arguments})"))
    }

    /// A coroutine that reads the item and does not call it.
    fn reading(knowledge: &Knowledge, item: ItemId) -> Self {
        Self::using(knowledge, item, |spelled| format!("print({spelled})"))
    }

    /// A coroutine of one expression about the item: a member of a parameter's class, or of a module.
    fn using(knowledge: &Knowledge, item: ItemId, expression: impl Fn(&str) -> String) -> Self {
        let path = knowledge.path(item);
        let (owner, name) = path.rsplit_once('.').unwrap();
        let parent = knowledge.parent(item).unwrap();
        let (import, parameter, spelled) = if knowledge.is_class(parent) {
            let (import, class) = imported(knowledge.path(knowledge.parent(parent).unwrap()), owner);
            (import, format!("receiver: {class}"), format!("receiver.{name}"))
        } else {
            let (import, spelled) = imported(owner, path);
            (import, String::new(), spelled.to_owned())
        };
        let expression = expression(&spelled);
        let text = format!("{import}async def run({parameter}):\n    {expression}\n");
        Self { about: expression, item, text }
    }
}

/// The `import` line for a module, and how a path within it is then spelled.
fn imported<'a>(module: &str, path: &'a str) -> (String, &'a str) {
    match path.strip_prefix("builtins.") {
        Some(name) => (String::new(), name),
        None => (format!("import {module}\n"), path),
    }
}

/// An argument list under which a condition such as `"timeout=0"`, `"1=0"`, `"1~LOCK_NB"` or `"host"` holds.
fn arguments_for(condition: &str) -> String {
    let flag = condition.split_once('~');
    let (key, value) = flag.or_else(|| condition.split_once('=')).unwrap_or((condition, "None"));
    let is_word = flag.is_none()
        && value.starts_with(|first: char| !first.is_ascii_digit())
        && !matches!(value, "True" | "False" | "None");
    let value = if is_word { format!("'{value}'") } else { value.to_owned() };
    match key.parse() {
        Ok(position) => {
            let mut arguments = vec!["None".to_owned(); position];
            arguments.push(value);
            arguments.join(", ")
        }
        Err(_) => format!("{key}={value}"),
    }
}

/// The arguments a blocking call must have to be one.
fn needed_arguments(claim: &Claim) -> String {
    claim.only_if.first().map(|condition| arguments_for(condition)).unwrap_or_default()
}

/// Links one file for each case.
fn link(cases: &[Case]) -> Program {
    let file = |(number, case): (usize, &Case)| SourceFile {
        path: Path::new(&format!("case{number}.py")).into(),
        names: vec![format!("case{number}")],
        is_package: false,
        installed: false,
        facts: lower::file(&case.text).into(),
    };
    Program::link(cases.iter().enumerate().map(file).collect(), Options::default()).unwrap()
}

fn knowledge() -> Knowledge {
    Knowledge::new(&[]).unwrap()
}

/// The last call of a case's file: of the item, after whatever its arguments call.
fn call_in(program: &Program, number: usize) -> CallRef {
    program.calls(FileId(number as u32)).last().unwrap()
}

fn type_of_call(program: &Program, number: usize) -> Ty {
    program.type_of(program.call_expr(call_in(program, number)))
}

/// Asks every case and reports all that fail, each with its program.
fn hold(cases: &[Case], holds: impl Fn(&Program, usize) -> Result<(), String>) {
    assert!(!cases.is_empty(), "there are claims to ask about");
    let program = link(cases);
    let failures: Vec<String> = cases
        .iter()
        .enumerate()
        .filter_map(|(number, case)| {
            holds(&program, number).err().map(|found| format!("{}: {found}\n{}", case.about, case.text))
        })
        .collect();
    assert!(failures.is_empty(), "{} of {} fail:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

/// The blocking calls that are found in a case's coroutine, in words.
fn blocking_in(program: &Program, number: usize) -> Vec<String> {
    let file = FileId(number as u32);
    let functions = (0..program.facts(file).functions.len() as u32).map(|id| In::new(file, FunctionId(id)));
    functions
        .flat_map(|function| program.blocking_calls(function))
        .map(|(_, blocking, item)| format!("{} blocks: {blocking:?}", program.knowledge().path(item)))
        .collect()
}

#[test]
fn every_blocking_claim_is_found_by_calling_its_name_in_a_coroutine() {
    let knowledge = knowledge();
    let blocking = knowledge.claimed().filter(|(_, known)| known.claim.blocks.is_some());
    let cases: Vec<Case> =
        blocking.map(|(item, known)| Case::calling(&knowledge, item, &needed_arguments(&known.claim))).collect();
    hold(&cases, |program, number| {
        let item = cases[number].item;
        let claim = &program.knowledge().claim(item).unwrap().claim;
        let wanted = format!("{} blocks: {:?}", program.knowledge().path(item), claim.blocks.unwrap());
        let found = blocking_in(program, number);
        if found == [wanted] { Ok(()) } else { Err(format!("found {found:?}")) }
    });
}

#[test]
fn arguments_that_take_a_blocking_claim_back_do() {
    let knowledge = knowledge();
    let mut cases = Vec::new();
    for (item, known) in knowledge.claimed().filter(|(_, known)| known.claim.blocks.is_some()) {
        for condition in &known.claim.unless {
            cases.push(Case::calling(&knowledge, item, &arguments_for(condition)));
        }
        if !known.claim.only_if.is_empty() {
            cases.push(Case::calling(&knowledge, item, ""));
        }
    }
    hold(&cases, |program, number| {
        let found = blocking_in(program, number);
        if found.is_empty() { Ok(()) } else { Err(format!("found {found:?}")) }
    });
}

#[test]
fn every_coroutine_function_gives_a_coroutine_when_it_is_called() {
    let knowledge = knowledge();
    let coroutines = knowledge.claimed().filter(|(_, known)| known.claim.is_async);
    let cases: Vec<Case> = coroutines.map(|(item, _)| Case::calling(&knowledge, item, "")).collect();
    hold(&cases, |program, number| {
        let ty = type_of_call(program, number);
        let awaitable = program.supports(&ty, Protocol::Await) == Some(true);
        if ty.is_coroutine() && awaitable { Ok(()) } else { Err(format!("gives {ty:?}")) }
    });
}

#[test]
fn every_class_is_called_and_annotated_with() {
    let knowledge = knowledge();
    let classes = knowledge.claimed().filter(|(_, known)| known.claim.class && known.claim.returns.is_none());
    let cases: Vec<Case> = classes.map(|(item, _)| Case::calling(&knowledge, item, "")).collect();
    hold(&cases, |program, number| {
        let ty = type_of_call(program, number);
        let wanted = Ty::KnownInstance(cases[number].item);
        if ty == wanted { Ok(()) } else { Err(format!("gives {ty:?}")) }
    });
}

#[test]
fn every_class_supports_what_it_is_claimed_to() {
    let knowledge = knowledge();
    let classes = knowledge.claimed().filter(|(_, known)| known.claim.class && known.claim.returns.is_none());
    let cases: Vec<Case> = classes.map(|(item, _)| Case::calling(&knowledge, item, "")).collect();
    hold(&cases, |program, number| {
        let ty = type_of_call(program, number);
        let claim = &program.knowledge().claim(cases[number].item).unwrap().claim;
        let refused = claim.protocols.iter().find(|protocol| program.supports(&ty, **protocol) != Some(true));
        refused.map_or(Ok(()), |protocol| Err(format!("does not support {protocol:?}")))
    });
}

#[test]
fn every_call_gives_the_class_it_is_claimed_to_return() {
    let knowledge = knowledge();
    let functions = knowledge.claimed().filter(|(_, known)| {
        let claim = &known.claim;
        !claim.is_async
            && !claim.attribute
            && known.returns.as_ref().is_some_and(|text| instance(&knowledge, text).is_some())
    });
    let cases: Vec<Case> = functions.map(|(item, _)| Case::calling(&knowledge, item, "")).collect();
    hold(&cases, |program, number| gives_what_is_claimed(program, &cases[number], &type_of_call(program, number)));
}

#[test]
fn every_attribute_has_the_class_it_is_claimed_to_have() {
    let knowledge = knowledge();
    let attributes = knowledge.claimed().filter(|(_, known)| {
        known.claim.attribute && known.returns.as_ref().is_some_and(|text| instance(&knowledge, text).is_some())
    });
    let cases: Vec<Case> = attributes.map(|(item, _)| Case::reading(&knowledge, item)).collect();
    hold(&cases, |program, number| {
        let call = call_in(program, number);
        let facts = program.facts(call.file);
        let read = facts.argument(facts.call(call.id), 0, "").unwrap();
        gives_what_is_claimed(program, &cases[number], &program.type_of(call.with(read)))
    });
}

/// The class a type names, unless it is a container that is followed by its shape.
fn instance(knowledge: &Knowledge, text: &TypeText) -> Option<ItemId> {
    let TypeText::Instance(name) = text else { return None };
    let is_followed = matches!(name.as_str(), "list" | "set" | "frozenset" | "dict");
    let find = || knowledge.find(name).or_else(|| knowledge.find(&format!("builtins.{name}")));
    if is_followed { None } else { find() }
}

fn gives_what_is_claimed(program: &Program, case: &Case, found: &Ty) -> Result<(), String> {
    let knowledge = program.knowledge();
    let claimed = knowledge.claim(case.item).and_then(|known| instance(knowledge, known.returns.as_ref()?));
    if *found == Ty::KnownInstance(claimed.unwrap()) { Ok(()) } else { Err(format!("gives {found:?}")) }
}

#[test]
fn every_type_in_a_claim_is_a_claimed_class() {
    let knowledge = knowledge();
    let mut strangers = Vec::new();
    for (item, known) in knowledge.claimed() {
        let texts = [&known.returns, &known.enters, &known.iterates, &known.awaits];
        for text in texts.into_iter().flatten() {
            collect_strangers(&knowledge, text, &mut |name| {
                strangers.push(format!("{}: {name}", knowledge.path(item)));
            });
        }
    }
    assert!(strangers.is_empty(), "{strangers:#?}");
}

fn collect_strangers(knowledge: &Knowledge, text: &TypeText, report: &mut impl FnMut(&str)) {
    match text {
        TypeText::Instance(name) | TypeText::Class(name) => {
            let item = knowledge.find(name).or_else(|| knowledge.find(&format!("builtins.{name}")));
            if !item.is_some_and(|item| knowledge.is_class(item)) {
                report(name);
            }
        }
        TypeText::Of(_, inner) | TypeText::Awaited(inner) | TypeText::Called(inner) => {
            collect_strangers(knowledge, inner, report);
        }
        TypeText::Tuple(members) => members.iter().for_each(|member| collect_strangers(knowledge, member, report)),
        TypeText::Unknown | TypeText::None | TypeText::SelfType | TypeText::Argument(_) => {}
    }
}

#[test]
fn every_base_and_twin_in_a_claim_is_claimed() {
    let knowledge = knowledge();
    let mut strangers = Vec::new();
    for (item, known) in knowledge.claimed() {
        for base in &known.claim.bases {
            if !knowledge.find(base).is_some_and(|base| knowledge.is_class(base)) {
                strangers.push(format!("{}: base {base}", knowledge.path(item)));
            }
        }
        if let Some(twin) = &known.claim.twin
            && knowledge.find(twin).and_then(|twin| knowledge.claim(twin)).is_none()
        {
            strangers.push(format!("{}: twin {twin}", knowledge.path(item)));
        }
    }
    assert!(strangers.is_empty(), "{strangers:#?}");
}
