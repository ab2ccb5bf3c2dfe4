//! Whether the program lets loops run inside running ones.

use super::Program;
use crate::facts::ImportKind;
use crate::ids::FileId;

/// Whether a file findings may be reported on calls `nest_asyncio.apply()`, which changes the loop for the whole process.
pub(super) fn is_applied(program: &Program) -> bool {
    program.reported_files().any(|file| is_applied_in(program, file))
}

fn is_applied_in(program: &Program, file: FileId) -> bool {
    let facts = program.facts(file);
    let imports = facts.imports.iter().any(|import| match import.kind {
        ImportKind::Module { path, .. } => facts.name(path) == "nest_asyncio",
        ImportKind::From { module, .. } => facts.name(module) == "nest_asyncio",
        ImportKind::Star { .. } => false,
    });
    imports && facts.calls.iter().any(|call| facts.last_name(call.callee) == Some("apply"))
}
