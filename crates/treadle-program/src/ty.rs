//! Types, as far as treadle follows them.

use std::sync::Arc;

use crate::ids::{ClassRef, FileId, FunctionRef};
use crate::knowledge::ItemId;
use crate::knowledge::types::Shape;
use crate::program::NamespaceId;

/// What an expression evaluates to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Ty {
    /// Not known; every rule stays silent about it.
    #[default]
    Unknown,
    /// No value at all: a cycle met while inferring, or a function that never returns.
    Never,
    /// `None`.
    None,
    /// A module of the program.
    Module(FileId),
    /// A namespace package.
    Namespace(NamespaceId),
    /// A function, class or module that claims speak of (or the prefix of one).
    Known(ItemId),
    /// A class of the program.
    Class(ClassRef),
    /// An instance of a class of the program.
    Instance(ClassRef),
    /// An instance of a class that claims speak of.
    KnownInstance(ItemId),
    /// A function of the program, as its name reads (decorators included).
    Function(FunctionRef),
    /// A method of the program, bound to a receiver.
    Method(FunctionRef, Arc<Ty>),
    /// A method that claims speak of, bound to a receiver.
    KnownMethod(ItemId, Arc<Ty>),
    /// A container, iterator, awaitable or context manager of something.
    Of(Shape, Arc<Ty>),
    /// A tuple of known length.
    Tuple(Arc<[Ty]>),
    /// `functools.partial` of a callable.
    Partial(Arc<Ty>),
    /// `super()` within a class.
    Super(ClassRef),
    /// One of several, none of them `Unknown`, `Never` or a union.
    Union(Arc<[Ty]>),
}

impl Ty {
    /// Unions of more members than this become unknown.
    const WIDEST_UNION: usize = 6;

    /// `shape` of `element`.
    pub fn of(shape: Shape, element: Self) -> Self {
        Self::Of(shape, Arc::new(element))
    }

    /// A coroutine that gives `result`.
    pub fn coroutine(result: Self) -> Self {
        Self::of(Shape::Coroutine, result)
    }

    /// Either of two.
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Never, only) | (only, Self::Never) => only,
            (left, right) if left == right => left,
            (left, right) => {
                let mut members: Vec<Self> = left.members().to_vec();
                for member in right.members() {
                    if !members.contains(member) {
                        members.push(member.clone());
                    }
                }
                match members.len() {
                    1 => members.swap_remove(0),
                    2..=Self::WIDEST_UNION => Self::Union(members.into()),
                    _ => Self::Unknown,
                }
            }
        }
    }

    /// Any of several; `Never` of none.
    pub fn any(types: impl IntoIterator<Item = Self>) -> Self {
        types.into_iter().fold(Self::Never, Self::or)
    }

    /// The members of a union, or the type itself.
    pub fn members(&self) -> &[Self] {
        match self {
            Self::Union(members) => members,
            only => std::slice::from_ref(only),
        }
    }

    /// The type without `None`, for what is done with the value.
    pub fn without_none(&self) -> Self {
        match self {
            Self::Union(members) => Self::any(members.iter().filter(|member| **member != Self::None).cloned()),
            other => other.clone(),
        }
    }

    /// Whether nothing is known.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown | Self::Never)
    }

    /// Whether the value surely is a coroutine object.
    pub fn is_coroutine(&self) -> bool {
        matches!(self, Self::Of(Shape::Coroutine, _))
    }

    /// Whether the value surely is a task.
    pub fn is_task(&self) -> bool {
        matches!(self, Self::Of(Shape::Task, _))
    }

    /// What the container, awaitable or context manager holds.
    pub fn element(&self) -> Self {
        match self {
            Self::Of(_, element) => (**element).clone(),
            Self::Tuple(members) => Self::any(members.iter().cloned()),
            Self::Union(members) => Self::any(members.iter().map(Self::element)),
            _ => Self::Unknown,
        }
    }

    /// The function of the program behind a callable, bound or not, through `partial`.
    pub fn function(&self) -> Option<FunctionRef> {
        match self {
            Self::Function(function) | Self::Method(function, _) => Some(*function),
            Self::Partial(inner) => inner.function(),
            _ => None,
        }
    }

    /// The claimed item a callable is, bound or not.
    pub fn item(&self) -> Option<ItemId> {
        match self {
            Self::Known(item) | Self::KnownMethod(item, _) => Some(*item),
            _ => None,
        }
    }
}
