//! Variables: which of their bindings a read sees.

use super::{reveals, reveals_in};

const CLASSES: &str = "class A: pass\nclass B: pass\n";

/// Asserts the types in the body of a function with an argument `c`.
fn in_function(body: &[&str], expected: &[&str]) {
    let lines: Vec<String> = body.iter().map(|line| format!("    {line}")).collect();
    reveals(&format!("{CLASSES}def f(c):\n{}", lines.join("\n")), expected);
}

#[test]
fn a_read_sees_the_last_assignment_before_it() {
    in_function(&["x = A()", "reveal(x)", "x = B()", "reveal(x)", "x = c()", "reveal(x)"], &["A", "B", "?"]);
    in_function(&["x = A()", "x = [x]", "reveal(x)"], &["List[A]"]);
}

#[test]
fn after_a_branch_a_variable_is_either() {
    in_function(&["x = A()", "if c: x = B()", "reveal(x)"], &["A | B"]);
    in_function(&["if c: x = A()", "else: x = B()", "reveal(x)"], &["A | B"]);
    in_function(&["x = None", "if c:", "  x = A()", "  reveal(x)", "reveal(x)"], &["A", "None | A"]);
    in_function(&["if c: x = A()", "else: x = c", "reveal(x)"], &["?"]);
    in_function(&["x = A() if c else B()", "reveal(x)"], &["A | B"]);
    in_function(&["x = c or A()", "reveal(x)"], &["?"]);
    in_function(&["match c:", "  case 1: x = A()", "  case _: x = B()", "reveal(x)"], &["A | B"]);
}

#[test]
fn a_handler_may_see_what_stood_before_the_try() {
    in_function(&["x = A()", "try: x = B()", "except E: reveal(x)", "reveal(x)"], &["A | B", "A | B"]);
    in_function(&["try: x = A()", "except E: x = B()", "reveal(x)"], &["A | B"]);
    in_function(&["x = A()", "try: x = B()", "finally: reveal(x)"], &["A | B"]);
}

#[test]
fn a_loop_brings_later_assignments_round() {
    in_function(&["x = A()", "for i in c:", "  reveal(x)", "  x = B()"], &["A | B"]);
    in_function(&["x = A()", "while reveal(x):", "  x = B()"], &["A | B"]);
    in_function(&["for i in c:", "  x = A()", "  reveal(x)", "  x = B()"], &["A"]);
    in_function(&["x = A()", "for i in c: x = B()", "else: reveal(x)", "reveal(x)"], &["A | B", "A | B"]);
}

#[test]
fn a_variable_others_write_is_any_of_its_values() {
    let text = "
class A: pass
class B: pass
client = None
def start():
    global client
    client = A()
def use(): reveal(client)
def outer():
    x = A()
    def inner():
        nonlocal x
        x = B()
    reveal(x)
lost = A()
def lose():
    global lost
    lost = unseen()
def find(): reveal(lost)
";
    reveals(text, &["None | A", "A | B", "?"]);
}

#[test]
fn what_an_augmented_assignment_leaves_is_not_lost_in_a_union() {
    in_function(&["x = c", "x += 1", "y = x if c else A()", "reveal(y)"], &["?"]);
    in_function(&["x = [A()]", "x += [A()]", "reveal(x)"], &["List[A]"]);
}

#[test]
fn a_deleted_variable_is_unknown() {
    in_function(&["x = A()", "del x", "reveal(x if c else A())"], &["?"]);
}

#[test]
fn an_annotated_variable_is_what_its_annotation_says() {
    in_function(&["x: A = c", "reveal(x)", "y: 'Unseen' = A()", "reveal(y)", "z: A", "reveal(z)"], &["A", "A", "A"]);
}

#[test]
fn a_walrus_binds_its_value() {
    in_function(&["if (x := A()): reveal(x)", "reveal(x, (y := B()))"], &["A", "A", "B"]);
}

#[test]
fn a_conditional_definition_is_any_of_them_and_a_redefinition_the_last() {
    let files = [
        (
            "a.py",
            "if unseen:\n  def f(): return 1\nelse:\n  async def f(): return 1\ndef g(): return 1\ndef g(): return ''\n\
             if unseen:\n  class C: pass\nelse:\n  C = None",
        ),
        ("main.py", "from a import f, g, C\nreveal(f, g(), C)"),
    ];
    reveals_in(&files, &["def f | def f", "builtins.str", "type[C] | None"]);
}

#[test]
fn none_is_left_out_where_the_value_is_used() {
    in_function(&["x: 'list[A] | None' = c", "reveal(x, x[0], x.copy())"], &["List[A] | None", "A", "List[A]"]);
}

#[test]
fn operators_give_what_their_methods_give() {
    let text = "
from pathlib import Path
class V:
    def __add__(self, other): return 1
def f(p: Path, x): reveal(p / 'a', 'a' / p, V() + x, x + V(), 'a' + x, [V()] + [1], not x, x == 1)
";
    let path = "pathlib.Path";
    let expected = [path, path, "builtins.int", "?", "builtins.str", "List[?]", "builtins.bool", "builtins.bool"];
    reveals(text, &expected);
}
