//! The order in which things happen, as the paths through a function's flow graph.

use super::lowered;
use crate::facts::{BindingKind, FileFacts, FunctionId, NodeId, NodeKind, RegionId, RegionKind};

/// Statements as the body of an `async def`, lowered.
pub(super) struct Body {
    text: String,
    facts: FileFacts,
}

impl Body {
    pub(super) fn new(body: &str) -> Self {
        let text = format!("async def main():\n  {}", body.replace('\n', "\n  "));
        let facts = lowered(&text);
        assert_eq!(facts.syntax_errors, [], "{text}");
        Self { text, facts }
    }

    /// Every path from the start; one that comes back to where it was ends in `again`, one that leads nowhere in `stuck`.
    pub(super) fn paths(&self) -> Vec<String> {
        self.paths_from(self.facts.function(FunctionId(1)).entry)
    }

    /// Every path an exception raised by the call `part` can take, wherever the call can happen.
    pub(super) fn paths_raised_by(&self, part: &str) -> Vec<String> {
        let mut found = Vec::new();
        for node in self.reachable() {
            let node = self.facts.node(node);
            let NodeKind::Call(call) = node.kind else { continue };
            if self.spelled(self.facts.expr(call).span) == part {
                found.extend(node.raises.map(|target| self.paths_from(target)).unwrap_or_default());
            }
        }
        found
    }

    fn reachable(&self) -> Vec<NodeId> {
        let mut found = vec![self.facts.function(FunctionId(1)).entry];
        let mut done = 0;
        while done < found.len() {
            let node = found[done];
            done += 1;
            for next in self.facts.next(node).iter().chain(&self.facts.node(node).raises) {
                if !found.contains(next) {
                    found.push(*next);
                }
            }
        }
        found
    }

    fn paths_from(&self, start: NodeId) -> Vec<String> {
        let mut found = Vec::new();
        self.walk(start, &mut Vec::new(), &mut Vec::new(), &mut found);
        found
    }

    fn walk(&self, node: NodeId, seen: &mut Vec<NodeId>, steps: &mut Vec<String>, found: &mut Vec<String>) {
        let next = self.facts.next(node);
        let end = match self.facts.node(node).kind {
            NodeKind::Exit => "exit",
            NodeKind::Unwind => "unwind",
            _ if seen.contains(&node) => "again",
            _ if next.is_empty() => "stuck",
            _ => "",
        };
        if !end.is_empty() {
            steps.push(end.to_owned());
            let path = steps.join(" > ");
            steps.pop();
            if !found.contains(&path) {
                found.push(path);
            }
            return;
        }
        seen.push(node);
        for (side, next) in next.iter().enumerate() {
            let length = steps.len();
            steps.extend(self.step(node, side));
            self.walk(*next, seen, steps, found);
            steps.truncate(length);
        }
        seen.pop();
    }

    /// What happens at a node, in words; for a condition which side is taken.
    fn step(&self, node: NodeId, side: usize) -> Option<String> {
        let text = |id| self.spelled(self.facts.expr(id).span);
        Some(match self.facts.node(node).kind {
            NodeKind::Call(id) | NodeKind::Suspend(id) | NodeKind::Yield(id) => text(id).to_owned(),
            NodeKind::Bind(id) => {
                let binding = self.facts.binding(id);
                let deleted = if binding.kind == BindingKind::Deleted { "del " } else { "" };
                format!("{deleted}{}=", self.spelled(binding.span))
            }
            NodeKind::Store(id) => format!("{}=", self.spelled(self.facts.store(id).span)),
            NodeKind::Enter(region) => format!("enter {}", self.control(region)),
            NodeKind::Leave(region) => format!("leave {}", self.control(region)),
            NodeKind::LeaveRaising(region) => format!("leave {} raising", self.control(region)),
            NodeKind::Iterate(region) => format!("next {}", self.control(region)),
            NodeKind::Test(id) if self.facts.next(node).len() == 1 => format!("always {}", text(id)),
            NodeKind::Test(id) if side == 0 => text(id).to_owned(),
            NodeKind::Test(id) => format!("not {}", text(id)),
            NodeKind::Handle(id) => self.spelled(self.facts.handler(id).header).to_owned(),
            NodeKind::Return(_) => "return".to_owned(),
            NodeKind::Raise(_) => "raise".to_owned(),
            _ => return None,
        })
    }

    fn control(&self, region: RegionId) -> &str {
        match self.facts.region(region).kind {
            RegionKind::With { context: id, .. } | RegionKind::Loop { control: id, .. } => {
                self.spelled(self.facts.expr(id).span)
            }
            other => panic!("{other:?} is neither entered nor iterated"),
        }
    }

    fn spelled(&self, span: treadle_finding::Span) -> &str {
        &self.text[span.range()]
    }
}

fn paths(body: &str) -> Vec<String> {
    Body::new(body).paths()
}

#[test]
fn an_await_happens_after_the_call_it_waits_for() {
    assert_eq!(paths("x = await f(g())"), ["g() > f(g()) > await f(g()) > x= > exit"]);
}

#[test]
fn the_sides_of_an_if_do_not_meet_before_its_end() {
    assert_eq!(paths("if a: f()\nelse: g()\nh()"), ["a > f() > h() > exit", "not a > g() > h() > exit"]);
    assert_eq!(paths("if a: f()\nh()"), ["a > f() > h() > exit", "not a > h() > exit"]);
}

#[test]
fn an_elif_is_decided_when_what_stands_before_it_does_not_hold() {
    let expected = ["a > f() > exit", "not a > b > g() > exit", "not a > not b > h() > exit"];
    assert_eq!(paths("if a: f()\nelif b: g()\nelse: h()"), expected);
}

#[test]
fn a_constant_condition_takes_only_its_side() {
    assert_eq!(paths("if 0: f()\nelse: g()"), ["always 0 > g() > exit"]);
    assert_eq!(paths("if True: f()\nelse: g()"), ["always True > f() > exit"]);
}

#[test]
fn and_and_or_may_leave_out_what_comes_later() {
    assert_eq!(paths("f() and g() and h()"), ["f() > g() > h() > exit", "f() > g() > exit", "f() > exit"]);
    assert_eq!(paths("x = f() or await g()"), ["f() > g() > await g() > x= > exit", "f() > x= > exit"]);
}

#[test]
fn a_ternary_takes_one_arm() {
    assert_eq!(paths("f() if a else g()"), ["a > f() > exit", "not a > g() > exit"]);
    assert_eq!(paths("f() if True else g()"), ["always True > f() > exit"]);
    assert_eq!(paths("x = f() if 0 else g()\nh()"), ["always 0 > g() > x= > h() > exit"]);
}

#[test]
fn a_while_loop_decides_again_after_its_body() {
    assert_eq!(paths("while a: f()\ng()"), ["a > f() > again", "not a > g() > exit"]);
}

#[test]
fn while_true_is_left_by_break_alone() {
    assert_eq!(paths("while True: f()\ng()"), ["always True > f() > again"]);
    let expected = ["always True > a > g() > exit", "always True > not a > again"];
    assert_eq!(paths("while True:\n  if a: break\ng()"), expected);
}

#[test]
fn the_else_of_a_loop_runs_when_the_loop_is_not_broken() {
    let body = "for x in y:\n  if a: break\nelse: f()\ng()";
    let expected = ["next y > x= > a > g() > exit", "next y > x= > not a > again", "next y > f() > g() > exit"];
    assert_eq!(paths(body), expected);
    let expected = ["a > g() > exit", "not a > f() > g() > exit"];
    assert_eq!(paths("while a:\n  break\nelse: f()\ng()"), expected);
}

#[test]
fn continue_goes_back_to_the_head_of_its_loop() {
    let body = "async for x in f():\n  if a: continue\n  g()";
    let head = "f() > next f()";
    let expected =
        [format!("{head} > x= > a > again"), format!("{head} > x= > not a > g() > again"), format!("{head} > exit")];
    assert_eq!(paths(body), expected);
}

#[test]
fn the_iterable_is_computed_once() {
    assert_eq!(paths("for x in f(): g()"), ["f() > next f() > x= > g() > again", "f() > next f() > exit"]);
}

#[test]
fn several_with_items_nest() {
    let expected = ["a() > enter a() > x= > b() > enter b() > f() > leave b() > leave a() > exit"];
    assert_eq!(paths("async with a() as x, b(): f()"), expected);
}

#[test]
fn an_exception_leaves_each_with_it_passes() {
    let body = Body::new("with a, b: f()\ng()");
    assert_eq!(body.paths_raised_by("f()"), ["leave b raising > leave a raising > unwind"]);
    let body = Body::new("with a, b(): f()");
    assert_eq!(body.paths_raised_by("b()"), ["leave a raising > unwind"]);
}

#[test]
fn a_context_manager_known_to_suppress_may_end_an_exception() {
    let body = Body::new("with suppress(A): f()\ng()");
    let expected = ["leave suppress(A) raising > unwind", "leave suppress(A) raising > g() > exit"];
    assert_eq!(body.paths_raised_by("f()"), expected);
}

#[test]
fn a_comprehension_goes_round_and_its_inner_loop_goes_on_with_the_outer_one() {
    let expected = ["next a > x= > b > f(x) > again", "next a > x= > not b > again", "next a > exit"];
    assert_eq!(paths("[f(x) for x in a if b]"), expected);
    let head = "next a > x= > g(x) > next g(x)";
    let expected = [format!("{head} > y= > await y > again"), format!("{head} > again"), "next a > exit".to_owned()];
    assert_eq!(paths("[await y async for x in a for y in g(x)]"), expected);
}

#[test]
fn one_case_of_a_match_runs_at_most() {
    let expected = ["f() > a() > exit", "f() > b() > exit", "f() > exit"];
    assert_eq!(paths("match f():\n  case 1: a()\n  case [2]: b()"), expected);
    let expected = ["x= > a() > exit", "b() > exit"];
    assert_eq!(paths("match v:\n  case [x]: a()\n  case _: b()"), expected);
}

#[test]
fn a_guard_that_does_not_hold_leads_to_the_next_case() {
    let body = "match v:\n  case 1 if g(): a()\n  case _: b()";
    assert_eq!(paths(body), ["g() > g() > a() > exit", "g() > not g() > b() > exit", "b() > exit"]);
    let body = "match v:\n  case x if g(): a()\nh()";
    assert_eq!(paths(body), ["x= > g() > g() > a() > h() > exit", "x= > g() > not g() > h() > exit"]);
}

#[test]
fn the_message_of_an_assertion_is_made_when_it_fails() {
    assert_eq!(paths("assert a, f()\ng()"), ["a > g() > exit", "not a > f() > raise > unwind"]);
}

#[test]
fn a_generator_goes_on_after_each_yield() {
    assert_eq!(paths("x = yield f()\nyield"), ["f() > yield f() > x= > yield > exit"]);
}

#[test]
fn what_stands_in_annotations_lambdas_and_nested_bodies_does_not_happen_here() {
    assert_eq!(paths("x: f() = 1"), ["x= > exit"]);
    assert_eq!(paths("x = lambda: f()"), ["x= > exit"]);
    assert_eq!(paths("def g(a=h()) -> f(): k()"), ["h() > g= > exit"]);
}

#[test]
fn deletion_is_a_step_like_assignment() {
    assert_eq!(paths("x = 1\ndel x, y[f()], z.w"), ["x= > del x= > f() > y[f()]= > z.w= > exit"]);
}
