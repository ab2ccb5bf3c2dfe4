//! Which installed modules would say more about a program.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::{Modules, Options, Program, SourceFile, absolute};
use crate::facts::ImportKind;
use crate::knowledge::{Knowledge, KnowledgeError};

impl Program {
    /// Dotted modules that the files from position `from` on import, that none of `files` is, and that claims do not speak
    /// of. Load those that are installed, mark them so, and ask again for them: packages import their own parts.
    ///
    /// # Errors
    ///
    /// A claim in `options` is wrong.
    pub fn wanted(files: &[SourceFile], from: usize, options: &Options) -> Result<BTreeSet<String>, KnowledgeError> {
        let knowledge = Knowledge::new(&options.books)?;
        let modules = Modules::new(files);
        let of_file = |file: &SourceFile| wanted_by(file, &modules, &knowledge, options);
        Ok(files[from..].par_iter().flat_map_iter(of_file).collect())
    }

    /// The modules that a file would want, as [`Program::wanted`] says, if no files but those that `modules` names were there.
    pub fn wanted_by(&self, file: &SourceFile, modules: &Modules) -> BTreeSet<String> {
        wanted_by(file, modules, &self.knowledge, &self.options).into_iter().collect()
    }
}

fn wanted_by(file: &SourceFile, modules: &Modules, knowledge: &Knowledge, options: &Options) -> Vec<String> {
    let mut wanted = Vec::new();
    // Below the surface only what packages re-export matters, unless chains are followed into them.
    if file.installed && !file.is_package && !options.follow_installed {
        return wanted;
    }
    let own_top = file.names.first().and_then(|own| own.split('.').next());
    for import in &file.facts.imports {
        let (level, path, member) = match import.kind {
            ImportKind::Module { path, .. } => (0, path, None),
            ImportKind::From { module, level, name } => (level, module, Some(name)),
            ImportKind::Star { module, level } => (level, module, None),
        };
        let Some(module) = absolute(file, level, file.facts.name(path)) else { continue };
        let top = module.split('.').next().unwrap_or_default();
        let other_package = file.installed && own_top != Some(top);
        if top.is_empty() || other_package || (knowledge.find(top).is_some() && !options.follow_installed) {
            continue;
        }
        let mut want = |name: String| {
            let found = modules.find_from(file, &name);
            if found.is_none_or(|found| matches!(found, super::Module::Namespace(_))) {
                wanted.push(name);
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
    wanted
}
