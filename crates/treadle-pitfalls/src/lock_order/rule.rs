//! Two locks that are taken in one order here and in the other order there.

use std::collections::{BTreeMap, BTreeSet};

use treadle_finding::{Finding, Findings, Tier};
use treadle_program::Program;
use treadle_program::ids::ExprRef;
use treadle_program::program::{Nesting, Place};

use super::LOCK_ORDER;

pub(super) fn check(program: &Program, nestings: &[&Nesting], findings: &mut Findings) {
    let mut orders: BTreeMap<(&Place, &Place), Vec<&Nesting>> = BTreeMap::new();
    for nesting in nestings {
        if nesting.outer == nesting.inner {
            same_kind(program, nesting, findings);
        } else {
            orders.entry((&nesting.outer, &nesting.inner)).or_default().push(nesting);
        }
    }
    let mut told: BTreeSet<(&Place, &Place)> = BTreeSet::new();
    for ((outer, inner), here) in &orders {
        let Some(there) = orders.get(&(*inner, *outer)) else { continue };
        if told.contains(&(*inner, *outer)) {
            continue;
        }
        let pair = here.iter().flat_map(|one| there.iter().map(move |other| (*one, *other)));
        // Under a common gate lock the two orders cannot meet; without any suspension nobody can come between.
        let meets = |(one, other): &(&Nesting, &Nesting)| {
            one.gates.is_disjoint(&other.gates) && (one.suspends || other.suspends)
        };
        let Some((one, other)) = pair.into_iter().find(meets) else { continue };
        told.insert((*outer, *inner));
        findings.push(opposite(program, one, other));
    }
}

fn opposite(program: &Program, one: &Nesting, other: &Nesting) -> Finding {
    let (outer, inner) = (program.place_name(&one.outer), program.place_name(&one.inner));
    let mut finding = Finding::new(
        &LOCK_ORDER.about,
        program.location_of(one.inner_at),
        format!("`{outer}` and `{inner}` are taken in two orders, which can deadlock"),
    )
    .label(format!("`{inner}` is taken here while `{outer}` is held"))
    .step(program.location_of(one.outer_at), format!("`{outer}` is taken first"))
    .step(program.location_of(other.outer_at), format!("elsewhere `{inner}` is taken first"))
    .step(program.location_of(other.inner_at), format!("and `{outer}` while it is held"))
    .help("take the locks in one order everywhere");
    if let Some(via) = one.via {
        finding = finding.note(format!("through the call at line {}", line(program, via)));
    }
    finding
}

fn line(program: &Program, at: ExprRef) -> usize {
    let facts = program.facts(at.file);
    facts.line_of(facts.expr(at.id).span.start) + 1
}

/// `async with a.lock: async with b.lock:` for two objects of one class: whoever calls with the two swapped waits for ever.
fn same_kind(program: &Program, nesting: &Nesting, findings: &mut Findings) {
    let facts = program.facts(nesting.outer_at.file);
    let spelled = |at: ExprRef| facts.dotted(at.id);
    if nesting.via.is_some() || nesting.outer_at.file != nesting.inner_at.file {
        return;
    }
    let (Some(outer), Some(inner)) = (spelled(nesting.outer_at), spelled(nesting.inner_at)) else { return };
    let function = program.function_of(nesting.outer_at);
    if outer == inner || sorts_first(program, function) {
        return;
    }
    findings.push(
        Finding::new(
            &LOCK_ORDER.about,
            program.location_of(nesting.inner_at),
            format!("`{outer}` and `{inner}` are taken in the order of the arguments, which can deadlock"),
        )
        .at_tier(Tier::Likely)
        .label("a second call with the two swapped waits for this one, and this one for it")
        .step(program.location_of(nesting.outer_at), format!("`{outer}` is taken first"))
        .help("take the locks in an order of their own, such as by `id`, as `treadle.lock_all(…)` does"),
    );
}

/// The function puts the objects in an order before it takes their locks.
fn sorts_first(program: &Program, function: treadle_program::ids::FunctionRef) -> bool {
    use treadle_program::facts::{CompareOp, ExprKind};
    let facts = program.facts(function.file);
    facts.exprs_of(function.id).any(|(_, expr)| match expr.kind {
        ExprKind::Global(name) => matches!(facts.name(name), "sorted" | "id" | "min" | "max"),
        ExprKind::Compare { op, .. } => {
            matches!(op, CompareOp::Less | CompareOp::LessEqual | CompareOp::Greater | CompareOp::GreaterEqual)
        }
        ExprKind::Attribute { name, .. } => facts.name(name) == "sort",
        _ => false,
    })
}
