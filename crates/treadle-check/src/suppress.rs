//! Directives in comments: what they silence, and which of them silence nothing.

use rustc_hash::FxHashMap;
use treadle_finding::{About, Edit, Finding, Fix, FixKind, Severity, Span, Tier};
use treadle_pitfalls::CATALOGUE;
use treadle_program::SourceFile;
use treadle_program::facts::DirectiveKind;

/// An ignore comment that ignores nothing.
pub static UNUSED_IGNORE: About = About {
    name: "unused-ignore",
    summary: "ignore comment that ignores nothing",
    severity: Severity::Warning,
    tier: Tier::Certain,
    fix: FixKind::Safe,
    since: "0.1.0",
    remedy: None,
    page: "# unused-ignore\n\nA `# treadle: ignore[…]` comment stands where treadle finds nothing, or names a pitfall that does not exist.\nTake it away: it would hide the next real one. `treadle check --fix` does so.\n",
};

/// Text that is not Python.
pub static SYNTAX_ERROR: About = About {
    name: "syntax-error",
    summary: "text that Python cannot parse",
    severity: Severity::Error,
    tier: Tier::Certain,
    fix: FixKind::Hint,
    since: "0.1.0",
    remedy: None,
    page: "# syntax-error\n\nPython cannot parse the file. treadle checks what it could read around the error; findings in the rest may be missing.\n",
};

/// What the checker itself reports, beside the catalogue.
pub static OWN: [&About; 2] = [&UNUSED_IGNORE, &SYNTAX_ERROR];

/// Findings left after directives, and how many were silenced.
pub struct Kept {
    /// Findings to report, unused directives among them.
    pub findings: Vec<Finding>,
    /// How many findings directives silenced.
    pub ignored: usize,
}

struct Asked<'f> {
    name: &'f str,
    span: Span,
    covers: Option<Span>,
    used: bool,
}

/// Takes away findings that directives silence. `was_asked` tells whether a pitfall took part in this run: a directive for
/// one that did not is not unused.
pub fn suppress(files: &[&SourceFile], findings: Vec<Finding>, was_asked: &dyn Fn(&str) -> bool) -> Kept {
    let mut by_path: FxHashMap<&std::path::Path, Vec<Asked<'_>>> = FxHashMap::default();
    let mut kept = Vec::with_capacity(findings.len());
    for file in files.iter().filter(|file| !file.facts.directives.is_empty()) {
        let asked = collect(file, &mut kept);
        by_path.insert(&file.path, asked);
    }
    let mut ignored = 0;
    for finding in findings {
        let directives = by_path.get_mut(&*finding.primary.path);
        let silenced = directives.is_some_and(|asked| {
            let mut any = false;
            for one in asked.iter_mut().filter(|one| covers(one, &finding)) {
                one.used = true;
                any = true;
            }
            any
        });
        if silenced {
            ignored += 1;
        } else {
            kept.push(finding);
        }
    }
    for file in files {
        let Some(asked) = by_path.get(&*file.path) else { continue };
        for one in asked.iter().filter(|one| !one.used && one.covers.is_some()) {
            kept.extend(unused(file, one, was_asked));
        }
    }
    kept.sort_by(|left, right| left.sort_key().cmp(&right.sort_key()));
    Kept { findings: kept, ignored }
}

fn covers(asked: &Asked<'_>, finding: &Finding) -> bool {
    let named = asked.name.is_empty() || asked.name == finding.about.name;
    let span = finding.primary.span;
    named && asked.covers.is_none_or(|covers| covers.start <= span.start && span.start <= covers.end)
}

/// The names a file's directives silence; malformed directives are findings at once.
fn collect<'f>(file: &'f SourceFile, findings: &mut Vec<Finding>) -> Vec<Asked<'f>> {
    let mut asked = Vec::new();
    for directive in &file.facts.directives {
        let location = treadle_finding::Location { path: file.path.clone(), span: directive.span };
        match &directive.kind {
            DirectiveKind::Ignore { names, covers } if !names.is_empty() => {
                asked.extend(names.iter().map(|(name, span)| Asked {
                    name,
                    span: *span,
                    covers: Some(*covers),
                    used: false,
                }));
            }
            DirectiveKind::Ignore { .. } => findings.push(
                Finding::new(&UNUSED_IGNORE, location, "`ignore` names no pitfall")
                    .help("`# treadle: ignore[name] reason`"),
            ),
            DirectiveKind::IgnoreFile { names } if names.is_empty() => {
                asked.push(Asked { name: "", span: directive.span, covers: None, used: false });
            }
            DirectiveKind::IgnoreFile { names } => {
                asked.extend(names.iter().map(|(name, span)| Asked { name, span: *span, covers: None, used: false }));
            }
            DirectiveKind::Unknown(words) => findings.push(
                Finding::new(&UNUSED_IGNORE, location, format!("`{words}` is no directive of treadle"))
                    .help("`# treadle: ignore[name] reason` or `# treadle: ignore-file`"),
            ),
        }
    }
    asked
}

fn unused(file: &SourceFile, asked: &Asked<'_>, was_asked: &dyn Fn(&str) -> bool) -> Option<Finding> {
    let location = treadle_finding::Location { path: file.path.clone(), span: asked.span };
    if !CATALOGUE.iter().any(|pitfall| pitfall.about.name == asked.name)
        && !OWN.iter().any(|own| own.name == asked.name)
    {
        let mut finding =
            Finding::new(&UNUSED_IGNORE, location, format!("`{}` is no pitfall treadle knows", asked.name));
        if let Some(nearest) =
            crate::configuration::nearest(asked.name, CATALOGUE.iter().map(|pitfall| pitfall.about.name))
        {
            finding = finding.help(format!("`{nearest}`"));
        }
        return Some(finding);
    }
    // What a running program is seen to do, the checker cannot rule out.
    let is_watched = CATALOGUE.iter().any(|pitfall| pitfall.about.name == asked.name && pitfall.detector.is_some());
    if is_watched || !was_asked(asked.name) {
        return None;
    }
    let finding = Finding::new(&UNUSED_IGNORE, location, format!("there is no `{}` here to ignore", asked.name))
        .help("take the comment away");
    let directive = file.facts.directives.iter().find(|directive| directive.span.contains(asked.span))?;
    let DirectiveKind::Ignore { names, .. } = &directive.kind else { return Some(finding) };
    // Only a comment that says nothing else is taken away as a whole.
    Some(if names.len() == 1 {
        finding.fix(Fix::safe("take the comment away", vec![Edit::delete(directive.span)]))
    } else {
        finding
    })
}
