//! Which installed modules would say more about a program.

use std::collections::BTreeSet;

use super::{Modules, Options, Program, SourceFile, absolute};
use crate::facts::ImportKind;
use crate::knowledge::{Knowledge, KnowledgeError};

impl Program {
    /// Dotted modules that `files` import, that none of them is, and that claims do not speak of. Load those that are
    /// installed, mark them so, and ask again: packages import their own parts.
    ///
    /// # Errors
    ///
    /// A claim in `options` is wrong.
    pub fn wanted(files: &[SourceFile], options: &Options) -> Result<BTreeSet<String>, KnowledgeError> {
        let knowledge = Knowledge::new(&options.books)?;
        let modules = Modules::new(files);
        let mut wanted = BTreeSet::new();
        for file in files {
            // Below the surface only what packages re-export matters, unless chains are followed into them.
            if file.installed && !file.is_package && !options.follow_installed {
                continue;
            }
            for import in &file.facts.imports {
                let (level, path, member) = match import.kind {
                    ImportKind::Module { path, .. } => (0, path, None),
                    ImportKind::From { module, level, name } => (level, module, Some(name)),
                    ImportKind::Star { module, level } => (level, module, None),
                };
                let Some(module) = absolute(file, level, file.facts.name(path)) else { continue };
                let top = module.split('.').next().unwrap_or_default();
                let other_package =
                    file.installed && file.names.first().is_none_or(|own| own.split('.').next() != Some(top));
                if top.is_empty() || other_package || (knowledge.find(top).is_some() && !options.follow_installed) {
                    continue;
                }
                let mut want = |name: String| {
                    if modules.find_from(file, &name).is_none_or(|found| matches!(found, super::Module::Namespace(_))) {
                        wanted.insert(name);
                    }
                };
                for (at, _) in module.match_indices('.') {
                    want(module[..at].to_owned());
                }
                if let Some(member) = member {
                    want(format!("{module}.{}", file.facts.name(member)));
                }
                want(module);
            }
        }
        Ok(wanted)
    }
}
