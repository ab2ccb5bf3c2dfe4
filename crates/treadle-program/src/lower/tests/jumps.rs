//! Leaving blocks early: exceptions, `return`, `break` and `continue`, through `with`, `except` and `finally`.

use super::flow::Body;
use super::lowered;
use crate::facts::RegionKind;

fn paths(body: &str) -> Vec<String> {
    Body::new(body).paths()
}

fn raised(body: &str, part: &str) -> Vec<String> {
    Body::new(body).paths_raised_by(part)
}

#[test]
fn what_follows_a_return_or_a_raise_is_not_reached() {
    assert_eq!(paths("return f()\ng()"), ["f() > return > exit"]);
    assert_eq!(paths("raise f()\ng()"), ["f() > raise > unwind"]);
}

#[test]
fn what_a_handler_catches_is_computed_on_its_path() {
    let body = "try: f()\nexcept g(): h()";
    assert_eq!(raised(body, "f()"), ["except g(): > g() > h() > exit", "unwind"]);
    assert_eq!(raised(body, "g()"), ["unwind"]);
}

#[test]
fn an_exception_goes_to_the_handlers_in_order_and_then_on() {
    let body = "try: f()\nexcept A: g()\nexcept B as e: h()";
    let expected = ["except A: > g() > exit", "except B as e: > e= > h() > exit", "unwind"];
    assert_eq!(raised(body, "f()"), expected);
    assert_eq!(paths(body), ["f() > exit"]);
}

#[test]
fn a_handler_for_everything_lets_nothing_pass() {
    assert_eq!(raised("try: f()\nexcept: g()", "f()"), ["except: > g() > exit"]);
    assert_eq!(raised("try: f()\nexcept BaseException: g()", "f()"), ["except BaseException: > g() > exit"]);
    assert_eq!(raised("try: f()\nexcept Exception: pass", "f()"), ["except Exception: > exit", "unwind"]);
}

#[test]
fn what_a_star_handler_does_not_take_goes_on() {
    assert_eq!(
        raised("try: f()\nexcept* BaseException: g()", "f()"),
        ["except* BaseException: > g() > exit", "unwind"]
    );
    assert!(lowered("try: f()\nexcept* A: pass").tries[0].is_star);
}

#[test]
fn the_else_of_a_try_runs_outside_its_handlers() {
    let body = "try: f()\nexcept: g()\nelse: h()";
    assert_eq!(paths(body), ["f() > h() > exit"]);
    assert_eq!(raised(body, "h()"), ["unwind"]);
}

#[test]
fn a_handler_is_not_guarded_by_its_own_try() {
    assert_eq!(raised("try: f()\nexcept: g()", "g()"), ["unwind"]);
    assert_eq!(raised("try:\n  try: f()\n  except: g()\nexcept: h()", "g()"), ["except: > h() > exit"]);
}

#[test]
fn raise_in_a_try_goes_to_its_handlers() {
    assert_eq!(paths("try: raise A\nexcept A: f()"), ["raise > except A: > f() > exit", "raise > unwind"]);
    assert_eq!(raised("try: f()\nexcept A: raise", "f()"), ["except A: > raise > unwind", "unwind"]);
}

#[test]
fn a_finally_block_runs_on_each_way_and_keeps_them_apart() {
    let body = "try: f()\nfinally: g()\nh()";
    assert_eq!(paths(body), ["f() > g() > h() > exit"]);
    assert_eq!(raised(body, "f()"), ["g() > unwind"]);
}

#[test]
fn the_expressions_of_a_finally_block_exist_once() {
    let facts = lowered("def f():\n  try:\n    if a: return\n  finally: g()");
    assert_eq!(facts.calls.len(), 1);
    let is_finally = |region: &&crate::facts::Region| matches!(region.kind, RegionKind::Finally(_));
    assert_eq!(facts.regions.iter().filter(is_finally).count(), 1);
}

#[test]
fn a_return_passes_the_finally_block() {
    let body = "try:\n  if a: return f()\nfinally: g()\nh()";
    assert_eq!(paths(body), ["a > f() > return > g() > exit", "not a > g() > h() > exit"]);
    assert_eq!(paths("try: return\nfinally: g()\nh()"), ["return > g() > exit"]);
}

#[test]
fn break_and_continue_pass_the_finally_block() {
    let body = "while a:\n  try:\n    if b: break\n    continue\n  finally: g()\nh()";
    let expected = ["a > b > g() > h() > exit", "a > not b > g() > again", "not a > h() > exit"];
    assert_eq!(paths(body), expected);
}

#[test]
fn a_jump_passes_every_finally_block_from_the_inside_out() {
    let body = "try:\n  try: return\n  finally: f()\nfinally: g()";
    assert_eq!(paths(body), ["return > f() > g() > exit"]);
    assert_eq!(raised(body, "f()"), ["g() > unwind"]);
}

#[test]
fn a_finally_block_runs_after_the_handlers() {
    let body = "try: f()\nexcept A: g()\nfinally: h()";
    assert_eq!(raised(body, "f()"), ["except A: > g() > h() > exit", "h() > unwind"]);
    assert_eq!(raised(body, "g()"), ["h() > unwind"]);
}

#[test]
fn a_return_in_a_finally_block_swallows_the_exception() {
    let body = "try: f()\nfinally: return";
    assert_eq!(paths(body), ["f() > return > exit"]);
    assert_eq!(raised(body, "f()"), ["return > exit"]);
}

#[test]
fn a_return_in_a_finally_block_passes_the_finally_blocks_around_it_on_each_way() {
    let body = "try:\n  try: f()\n  finally: return\nfinally: g()";
    assert_eq!(paths(body), ["f() > return > g() > exit"]);
    assert_eq!(raised(body, "f()"), ["return > g() > exit"]);
}

#[test]
fn a_break_in_a_finally_block_leaves_the_loop_on_each_way() {
    let body = "while True:\n  try: f()\n  finally: break\ng()";
    assert_eq!(paths(body), ["always True > f() > g() > exit"]);
    assert_eq!(raised(body, "f()"), ["g() > exit"]);
}

#[test]
fn a_break_in_a_finally_block_passes_the_finally_blocks_around_it_on_each_way() {
    let body = "while True:\n  try:\n    try: f()\n    finally: break\n  finally: g()\nh()";
    assert_eq!(raised(body, "f()"), ["g() > h() > exit"]);
}

#[test]
fn a_loop_within_a_finally_block_stays_there_on_each_way() {
    let body = "try: f()\nfinally:\n  while a: break\ng()";
    assert_eq!(paths(body), ["f() > a > g() > exit", "f() > not a > g() > exit"]);
    assert_eq!(raised(body, "f()"), ["a > unwind", "not a > unwind"]);
}

#[test]
fn a_yield_in_a_finally_block_stands_on_each_way() {
    let body = "try: yield f()\nfinally: yield";
    assert_eq!(paths(body), ["f() > yield f() > yield > exit"]);
    assert_eq!(raised(body, "f()"), ["yield > unwind"]);
}

#[test]
fn a_jump_leaves_each_with_it_passes() {
    assert_eq!(paths("with a, b: return f()"), ["enter a > enter b > f() > return > leave b > leave a > exit"]);
    let expected = ["always True > enter a > leave a > f() > exit"];
    assert_eq!(paths("while True:\n  with a: break\nf()"), expected);
}

#[test]
fn a_jump_passes_with_and_finally_in_their_order() {
    let expected = ["enter a > return > leave a > f() > exit"];
    assert_eq!(paths("try:\n  with a: return\nfinally: f()"), expected);
    let expected = ["enter a > return > f() > leave a > exit"];
    assert_eq!(paths("with a:\n  try: return\n  finally: f()"), expected);
}

#[test]
fn the_parts_of_a_try_are_contexts_of_their_own() {
    let text = "try: a()\nexcept A: b()\nelse: c()\nfinally: d()";
    let facts = lowered(text);
    let show = |call: &crate::facts::Call| {
        let kind = facts.region(facts.expr(call.expr).region).kind;
        let words = format!("{kind:?}");
        words.split('(').next().unwrap_or_default().to_owned()
    };
    let shown: Vec<String> = facts.calls.iter().map(show).collect();
    assert_eq!(shown, ["Try", "TryElse", "Handler", "Finally"]);
    let spans = [Some(facts.tries[0].body), facts.tries[0].orelse, facts.tries[0].finally];
    let texts = spans.map(|region| region.map(|region| &text[facts.region(region).span.range()]));
    assert_eq!(texts, [Some("a()"), Some("c()"), Some("d()")]);
}

#[test]
fn finally_within_finally_does_not_double_without_end() {
    let mut body = String::new();
    for depth in 0..40 {
        let indent = " ".repeat(depth);
        body.push_str(&format!("{indent}try: f()\n{indent}finally:\n"));
    }
    body.push_str(&format!("{}g()\n", " ".repeat(40)));
    let nodes = lowered(&body).nodes.len();
    assert!(nodes < 1_000_000, "{nodes} nodes");
}
