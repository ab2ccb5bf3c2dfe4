//! What lowering makes of small texts.

/// The usages and texts of all calls, in evaluation order.
fn calls(text: &str) -> Vec<String> {
    let facts = super::file(text);
    assert_eq!(super::validate(&facts), Ok(()));
    let show = |call: &crate::facts::Call| {
        let expr = facts.expr(call.expr);
        format!("{} {:?}", &text[expr.span.range()], expr.usage)
    };
    facts.calls.iter().map(show).collect()
}

#[test]
fn arguments_are_called_before_the_call_they_are_for() {
    assert_eq!(calls("f(g(), x=h())"), ["g() Argument", "h() Argument", "f(g(), x=h()) Discarded"]);
}
