//! Expressions: in which order they are evaluated, and what becomes of each value.

use super::lowered;
use crate::facts::{ArgumentKind, ExprKind, Usage};

/// The name of a usage, without what it refers to.
fn named(usage: Usage) -> String {
    let words = format!("{usage:?}");
    words.split('(').next().unwrap_or_default().to_owned()
}

/// The texts and usages of all calls, in evaluation order.
fn calls(text: &str) -> Vec<String> {
    let facts = lowered(text);
    let show = |call: &crate::facts::Call| {
        let expr = facts.expr(call.expr);
        format!("{} {}", &text[expr.span.range()], named(expr.usage))
    };
    facts.calls.iter().map(show).collect()
}

/// The usages of the expressions that are spelled `part`.
fn usages(text: &str, part: &str) -> Vec<String> {
    let facts = lowered(text);
    facts.exprs.iter().filter(|expr| &text[expr.span.range()] == part).map(|expr| named(expr.usage)).collect()
}

/// Asserts the usage of `f()` in each text.
fn check_usages(table: &[(&str, &str)]) {
    for (text, usage) in table {
        assert_eq!(usages(text, "f()"), [*usage], "{text}");
    }
}

/// How the value of `x = …` is lowered.
fn value(text: &str) -> ExprKind {
    let whole = format!("x = {text}");
    let facts = lowered(&whole);
    facts.exprs[0].kind
}

#[test]
fn arguments_are_called_before_the_call_they_are_for() {
    assert_eq!(calls("f(g(), x=h())"), ["g() Argument", "h() Argument", "f(g(), x=h()) Discarded"]);
}

#[test]
fn a_callee_is_evaluated_before_the_arguments() {
    assert_eq!(calls("f()(g())"), ["f() Callee", "g() Argument", "f()(g()) Discarded"]);
    assert_eq!(calls("f().m(g())"), ["f() AttributeBase", "g() Argument", "f().m(g()) Discarded"]);
}

#[test]
fn a_value_is_computed_before_the_target_it_goes_to() {
    assert_eq!(calls("a()[b()] = c()"), ["c() Stored", "a() SubscriptBase", "b() Index"]);
    assert_eq!(calls("a().b: t = c()"), ["c() Stored", "a() AttributeBase"]);
}

#[test]
fn the_target_of_an_augmented_assignment_is_computed_before_the_value() {
    assert_eq!(calls("a()[b()] += c()"), ["a() SubscriptBase", "b() Index", "c() Operand"]);
}

#[test]
fn operands_are_evaluated_from_left_to_right() {
    assert_eq!(calls("a() + b() * c()"), ["a() Operand", "b() Operand", "c() Operand"]);
    assert_eq!(calls("a() < b() < c()"), ["a() Compared", "b() Compared", "c() Compared"]);
    assert_eq!(calls("{a(): b(), **c()}"), ["a() Element", "b() Element", "c() Element"]);
}

#[test]
fn a_ternary_decides_before_it_takes_an_arm() {
    assert_eq!(calls("a() if b() else c()"), ["b() Condition", "a() Result", "c() Result"]);
}

#[test]
fn an_f_string_evaluates_what_it_interpolates_and_the_formats_of_that() {
    assert_eq!(calls("f'{a():{b()}}' f'{c()!r}'"), ["a() Formatted", "b() Formatted", "c() Formatted"]);
}

#[test]
fn a_comprehension_evaluates_iterable_then_conditions_then_element() {
    assert_eq!(calls("[a(x) for x in b() if c()]"), ["b() Iterated", "c() Condition", "a(x) Collected"]);
    assert_eq!(calls("{a(x): b(x) for x in c()}"), ["c() Iterated", "a(x) Collected", "b(x) Collected"]);
    assert_eq!(calls("{y for x in a() for y in b(x)}"), ["a() Iterated", "b(x) Iterated"]);
}

#[test]
fn decorators_and_defaults_are_evaluated_where_the_function_stands() {
    let text = "@a()\n@b()\ndef f(x=c(), *, y=d()): e()";
    assert_eq!(calls(text), ["a() Decorator", "b() Decorator", "c() Default", "d() Default", "e() Discarded"]);
    let facts = lowered(text);
    let counts: Vec<usize> = facts.functions.iter().map(|function| function.calls.len()).collect();
    assert_eq!(counts, [4, 1]);
}

#[test]
fn a_statement_says_what_becomes_of_a_value() {
    check_usages(&[
        ("f()", "Discarded"),
        ("x = f()", "Bound"),
        ("x: int = f()", "Bound"),
        ("x.y = f()", "Stored"),
        ("x[0] = f()", "Stored"),
        ("x += f()", "Operand"),
        ("x.y += f()", "Operand"),
        ("raise f()", "Raised"),
        ("raise x from f()", "Raised"),
        ("if f(): pass", "Condition"),
        ("if x: pass\nelif f(): pass", "Condition"),
        ("while f(): pass", "Condition"),
        ("assert f()", "Condition"),
        ("assert x, f()", "Other"),
        ("for x in f(): pass", "Iterated"),
        ("with f(): pass", "Entered"),
        ("with x, f() as y: pass", "Entered"),
        ("match f():\n  case _: pass", "Condition"),
        ("match x:\n  case _ if f(): pass", "Condition"),
        ("try: pass\nexcept f(): pass", "Caught"),
        ("@f()\ndef g(): pass", "Decorator"),
        ("@f()\nclass A: pass", "Decorator"),
        ("def g(x=f()): pass", "Default"),
        ("class A(f()): pass", "Base"),
        ("class A(k=f()): pass", "Base"),
        ("x: f()", "Annotation"),
        ("def g(x: f()): pass", "Annotation"),
        ("def g() -> f(): pass", "Annotation"),
        ("type X = f()", "Annotation"),
        ("del f().x", "AttributeBase"),
        ("def g(): return f()", "Returned"),
        ("def g(): yield f()", "Yielded"),
        ("def g(): yield from f()", "Yielded"),
        ("async def g(): await f()", "Awaited"),
        ("async def g():\n  async with f(): pass", "AsyncEntered"),
        ("async def g():\n  async for x in f(): pass", "AsyncIterated"),
    ]);
}

#[test]
fn an_expression_says_what_becomes_of_its_parts() {
    check_usages(&[
        ("g(f())", "Argument"),
        ("g(k=f())", "Argument"),
        ("f()()", "Callee"),
        ("f().x", "AttributeBase"),
        ("f()[0]", "SubscriptBase"),
        ("x[f()]", "Index"),
        ("x[f():]", "Index"),
        ("not f()", "Condition"),
        ("f() and x", "Junction"),
        ("x or f() or y", "Junction"),
        ("x or f()", "Result"),
        ("f() if x else y", "Result"),
        ("x if y else f()", "Result"),
        ("x if f() else y", "Condition"),
        ("[f()]", "Element"),
        ("(f(),)", "Element"),
        ("[*f()]", "Element"),
        ("g(*f())", "Argument"),
        ("g(**f())", "Argument"),
        ("[f() for x in y]", "Collected"),
        ("(x for x in f())", "Iterated"),
        ("[x for x in y if f()]", "Condition"),
        ("async def g(): return [x async for x in f()]", "AsyncIterated"),
        ("lambda: f()", "Returned"),
        ("lambda x=f(): x", "Default"),
        ("f'{f()}'", "Formatted"),
        ("-f()", "Operand"),
        ("f() < x", "Compared"),
    ]);
}

#[test]
fn a_walrus_binds_its_value_and_hands_it_on() {
    assert_eq!(usages("f(y := g())", "g()"), ["Bound"]);
    assert_eq!(usages("f(y := g())", "y := g()"), ["Argument"]);
}

#[test]
fn the_first_of_several_targets_names_the_usage() {
    check_usages(&[("a = b.c = f()", "Bound"), ("b.c = a = f()", "Stored")]);
}

#[test]
fn the_first_part_of_an_unpacking_names_the_usage() {
    check_usages(&[
        ("a, b = f()", "Bound"),
        ("*a, b = f()", "Bound"),
        ("(a, b), c = f()", "Bound"),
        ("self.a, b = f()", "Stored"),
        ("[a[0], b] = f()", "Stored"),
    ]);
}

#[test]
fn arguments_say_how_they_are_passed() {
    let text = "f(a, *b, c=d, **e)";
    let facts = lowered(text);
    let show = |argument: &crate::facts::Argument| {
        let kind = match argument.kind {
            ArgumentKind::Keyword(name) => format!("Keyword {}", facts.name(name)),
            other => format!("{other:?}"),
        };
        format!("{kind}: {} in {}", &text[facts.expr(argument.value).span.range()], &text[argument.span.range()])
    };
    let shown: Vec<String> = facts.arguments(&facts.calls[0]).iter().map(show).collect();
    assert_eq!(shown, ["Positional: a in a", "Star: b in *b", "Keyword c: d in c=d", "DoubleStar: e in **e"]);
}

#[test]
fn a_call_in_an_annotation_has_no_node() {
    let nodes = |text| lowered(text).calls.iter().map(|call| call.node.is_some()).collect::<Vec<_>>();
    assert_eq!(nodes("x: f(g())"), [false, false]);
    assert_eq!(nodes("x: f() = g()"), [false, true]);
}

#[test]
fn a_call_among_the_types_of_a_handler_has_a_node() {
    let facts = lowered("try: pass\nexcept f(): pass");
    assert!(facts.calls[0].node.is_some());
}

#[test]
fn a_display_of_constants_is_one_constant() {
    assert_eq!(lowered("x = [1, 'a', (2, -3)]").exprs.len(), 1);
    assert_eq!(value("[1, 'a', (2, -3)]"), ExprKind::Constant);
    assert_eq!(value("{'a': 1, 'b': [None]}"), ExprKind::Constant);
    assert!(matches!(value("[1, y]"), ExprKind::List(run) if run.len() == 2));
}

#[test]
fn a_mapping_unpacked_in_a_dict_stands_without_a_key() {
    let ExprKind::Dict(run) = value("{a: b, **c}") else { panic!("not a dict") };
    assert_eq!(run.len(), 3);
    let facts = lowered("x = {a: b, **c}");
    let last = facts.operands(run)[2];
    assert!(matches!(facts.expr(last).kind, ExprKind::Starred(_)));
}

#[test]
fn constants_keep_their_values_where_they_fit() {
    assert_eq!(value("-7"), ExprKind::Int(-7));
    assert_eq!(value("0x10"), ExprKind::Int(16));
    assert_eq!(value("-2.5"), ExprKind::Float(-2.5));
    assert_eq!(value("True"), ExprKind::Bool(true));
    assert_eq!(value("None"), ExprKind::None);
    for constant in ["99999999999999999999", "1j", "b'a'", "..."] {
        assert_eq!(value(constant), ExprKind::Constant, "{constant}");
    }
}

#[test]
fn a_string_is_kept_up_to_the_longest_length() {
    assert!(matches!(value(&format!("'{}'", "a".repeat(200))), ExprKind::String(_)));
    assert_eq!(value(&format!("'{}'", "a".repeat(201))), ExprKind::LongString);
}
