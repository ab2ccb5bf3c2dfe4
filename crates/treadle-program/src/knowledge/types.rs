//! The little language in which claims write types.
//!
//! | text | meaning |
//! |---|---|
//! | `requests.Response`, `str`, `None` | an instance of that class (builtins need no prefix) |
//! | `self` | the receiver's own type |
//! | `type[X]` | the class itself |
//! | `list[T]`, `set[T]`, `iter[T]` | something that `for` yields `T` from |
//! | `dict[T]` | a mapping with values `T` |
//! | `tuple[A, B]` | a tuple of exactly these |
//! | `async-iter[T]` | something that `async for` yields `T` from |
//! | `coroutine[T]` | must be awaited, gives `T` |
//! | `task[T]`, `future[T]` | already running, may be awaited, gives `T` |
//! | `with[T]`, `async-with[T]` | a context manager that binds `T` |
//! | `arg0` | the type of the first argument |
//! | `await(arg0)` | what awaiting the first argument gives |
//! | `call(arg0)` | what calling the first argument gives |
//! | `?` | not known |

use bitcode::{Decode, Encode};

/// A parsed type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypeText {
    /// `?`
    Unknown,
    /// `None`
    None,
    /// An instance of the dotted class.
    Instance(String),
    /// `self`
    SelfType,
    /// `type[X]`
    Class(String),
    /// `list[T]` and the other containers; the name is as written (`list`, `set`, `dict`, `iter`, `async-iter`, `with`, …).
    Of(Shape, Box<TypeText>),
    /// `tuple[A, B]`
    Tuple(Vec<TypeText>),
    /// `argN`
    Argument(usize),
    /// `await(…)`
    Awaited(Box<TypeText>),
    /// `call(…)`
    Called(Box<TypeText>),
}

/// What a one-parameter type is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[expect(missing_docs, reason = "the table above is the documentation")]
pub enum Shape {
    List,
    Set,
    Dict,
    Iter,
    AsyncIter,
    Coroutine,
    Task,
    Future,
    With,
    AsyncWith,
}

impl TypeText {
    /// Reads a type.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text.trim();
        let parsed = Self::read(&mut rest).ok_or_else(|| format!("`{text}` is not a type treadle can read"))?;
        if rest.trim().is_empty() { Ok(parsed) } else { Err(format!("`{rest}` is left over in the type `{text}`")) }
    }

    fn read(rest: &mut &str) -> Option<Self> {
        *rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix('?') {
            *rest = after;
            return Some(Self::Unknown);
        }
        let end = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '-'))).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            return None;
        }
        *rest = after;
        match rest.chars().next() {
            Some('[') => Self::read_parameters(word, rest, ']'),
            Some('(') => Self::read_parameters(word, rest, ')'),
            _ => Some(match word {
                "None" => Self::None,
                "self" => Self::SelfType,
                _ => match word.strip_prefix("arg").and_then(|number| number.parse().ok()) {
                    Some(number) => Self::Argument(number),
                    None => Self::Instance(word.to_owned()),
                },
            }),
        }
    }

    fn read_parameters(word: &str, rest: &mut &str, close: char) -> Option<Self> {
        *rest = &rest[1..];
        let mut parameters = Vec::new();
        loop {
            parameters.push(Self::read(rest)?);
            *rest = rest.trim_start();
            if let Some(after) = rest.strip_prefix(',') {
                *rest = after;
            } else {
                *rest = rest.strip_prefix(close)?;
                break;
            }
        }
        if word == "tuple" {
            return Some(Self::Tuple(parameters));
        }
        let only = match <[Self; 1]>::try_from(parameters) {
            Ok([only]) => Box::new(only),
            // `dict[K, V]` reads as `dict[V]`.
            Err(mut several) if word == "dict" && several.len() == 2 => Box::new(several.pop()?),
            Err(_) => return None,
        };
        Some(match (word, close) {
            ("type", ']') => match *only {
                Self::Instance(name) => Self::Class(name),
                _ => return None,
            },
            ("list", ']') => Self::Of(Shape::List, only),
            ("set", ']') => Self::Of(Shape::Set, only),
            ("dict", ']') => Self::Of(Shape::Dict, only),
            ("iter", ']') => Self::Of(Shape::Iter, only),
            ("async-iter", ']') => Self::Of(Shape::AsyncIter, only),
            ("coroutine", ']') => Self::Of(Shape::Coroutine, only),
            ("task", ']') => Self::Of(Shape::Task, only),
            ("future", ']') => Self::Of(Shape::Future, only),
            ("with", ']') => Self::Of(Shape::With, only),
            ("async-with", ']') => Self::Of(Shape::AsyncWith, only),
            ("await", ')') => Self::Awaited(only),
            ("call", ')') => Self::Called(only),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Shape, TypeText};

    #[test]
    fn every_form_of_type_is_read() {
        let instance = |name: &str| TypeText::Instance(name.to_owned());
        assert_eq!(TypeText::parse("requests.Response").unwrap(), instance("requests.Response"));
        assert_eq!(
            TypeText::parse("tuple[a.B, None]").unwrap(),
            TypeText::Tuple(vec![instance("a.B"), TypeText::None])
        );
        assert_eq!(
            TypeText::parse("task[await(arg0)]").unwrap(),
            TypeText::Of(Shape::Task, Box::new(TypeText::Awaited(Box::new(TypeText::Argument(0)))))
        );
        assert_eq!(TypeText::parse("dict[str, a.B]").unwrap(), TypeText::Of(Shape::Dict, Box::new(instance("a.B"))));
    }

    #[test]
    fn a_wrong_type_is_an_error_that_names_it() {
        assert_eq!(TypeText::parse("list[").unwrap_err(), "`list[` is not a type treadle can read");
        assert_eq!(TypeText::parse("str]").unwrap_err(), "`]` is left over in the type `str]`");
    }
}
