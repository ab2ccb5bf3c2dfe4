//! Whether the program lets loops run inside running ones.

use super::Program;
use crate::facts::ImportKind;
use crate::ids::FileId;

/// Whether a file calls `nest_asyncio.apply()`, which changes the loop for the whole process. Installed ones do not count.
pub(super) fn is_applied_in(program: &Program, file: FileId) -> bool {
    if program.file(file).installed {
        return false;
    }
    let facts = program.facts(file);
    let imports = facts.imports.iter().any(|import| match import.kind {
        ImportKind::Module { path, .. } => facts.name(path) == "nest_asyncio",
        ImportKind::From { module, .. } => facts.name(module) == "nest_asyncio",
        ImportKind::Star { .. } => false,
    });
    imports && facts.calls.iter().any(|call| facts.last_name(call.callee) == Some("apply"))
}
