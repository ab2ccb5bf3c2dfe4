//! Where functions run: on the event loop's thread, elsewhere, or wherever they are called.

use bitcode::{Decode, Encode};

use super::{Ancestor, EdgeKind, Program};
use crate::facts::{FunctionId, FunctionKind, ImportKind};
use crate::ids::{FileId, FunctionRef, In};
use crate::knowledge::claim::{Decorator, Place};
use crate::program::reads::{Parts, note};

/// Where a function runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Context {
    /// On the loop's thread: coroutine functions, asynchronous generators, callbacks of the loop.
    Loop,
    /// In another thread or process, or before any loop runs.
    Elsewhere,
    /// Wherever its callers run.
    #[default]
    Caller,
}

/// Where the functions of a file run.
pub(super) fn contexts_of_file(program: &Program, file: FileId) -> Vec<Context> {
    let functions = 0..program.facts(file).functions.len() as u32;
    let declared = functions.map(|id| declared(program, In::new(file, FunctionId(id))));
    let mut contexts: Vec<Context> = declared.collect();
    for edge in program.graph().into_file(file) {
        let slot = &mut contexts[edge.callee.id.index()];
        match edge.kind {
            EdgeKind::Offloaded if *slot == Context::Caller => *slot = Context::Elsewhere,
            EdgeKind::LoopCallback if !program.function(edge.callee).is_async => *slot = Context::Loop,
            _ => {}
        }
    }
    contexts
}

impl Program {
    /// Where a function runs.
    pub fn context(&self, function: FunctionRef) -> Context {
        note(function.file, Parts::CONTEXTS);
        self.tables(function.file).contexts[function.id.index()]
    }

    /// Whether a file's coroutines belong to another library's loop (trio, curio): asyncio's pitfalls and cures do not apply.
    pub fn is_foreign(&self, file: FileId) -> bool {
        note(file, Parts::CONTEXTS);
        self.tables(file).is_foreign
    }
}

fn declared(program: &Program, function: FunctionRef) -> Context {
    let entry = program.function(function);
    match entry.kind {
        FunctionKind::Module | FunctionKind::ClassBody => return Context::Elsewhere,
        FunctionKind::Lambda => return Context::Caller,
        FunctionKind::Def => {}
    }
    if entry.is_async {
        return Context::Loop;
    }
    match program.decoration(function).role {
        Some(Decorator::Handler) => return Context::Loop,
        Some(Decorator::Route | Decorator::OffLoop) => return Context::Elsewhere,
        _ => {}
    }
    let Some(class) = entry.class else { return Context::Caller };
    let name = program.facts(function.file).name(entry.name);
    for ancestor in program.classes().order(function.with(class)) {
        let Ancestor::Known(item) = ancestor else { continue };
        for base in program.knowledge().ancestors(*item) {
            let Some(known) = program.knowledge().claim(base) else { continue };
            let place = known.claim.runs.get(name).or_else(|| known.claim.runs.get("*"));
            match place {
                Some(Place::Loop) => return Context::Loop,
                Some(Place::Elsewhere) => return Context::Elsewhere,
                None => {}
            }
        }
    }
    Context::Caller
}

/// Whether a file imports trio or curio and nothing of asyncio.
pub(super) fn is_foreign(program: &Program, file: FileId) -> bool {
    let facts = program.facts(file);
    let mut foreign = false;
    for import in &facts.imports {
        let path = match import.kind {
            ImportKind::Module { path, .. } => path,
            ImportKind::From { module, level: 0, .. } | ImportKind::Star { module, level: 0 } => module,
            _ => continue,
        };
        match facts.name(path).split('.').next() {
            Some("trio" | "curio") => foreign = true,
            Some("asyncio" | "anyio" | "aiohttp" | "fastapi" | "starlette") => return false,
            _ => {}
        }
    }
    foreign
}
