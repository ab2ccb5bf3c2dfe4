//! Ids that are good in the whole program: a file's number together with an id of that file.

use bitcode::{Decode, Encode};

use crate::facts::{BindingId, CallId, ClassId, ExprId, FunctionId, LocalId, NodeId, RegionId};

/// A file of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct FileId(pub u32);

impl FileId {
    /// The position in [`crate::Program::files`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Something in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct In<T> {
    /// The file.
    pub file: FileId,
    /// What in it.
    pub id: T,
}

impl<T> In<T> {
    /// `id` in `file`.
    pub fn new(file: FileId, id: T) -> Self {
        Self { file, id }
    }

    /// Something else in the same file.
    pub fn with<U>(&self, id: U) -> In<U> {
        In { file: self.file, id }
    }
}

/// A function of the program.
pub type FunctionRef = In<FunctionId>;
/// A class of the program.
pub type ClassRef = In<ClassId>;
/// An expression of the program.
pub type ExprRef = In<ExprId>;
/// A call of the program.
pub type CallRef = In<CallId>;
/// A variable of the program.
pub type LocalRef = In<LocalId>;
/// A binding of the program.
pub type BindingRef = In<BindingId>;
/// A structural context of the program.
pub type RegionRef = In<RegionId>;
/// A flow node of the program.
pub type NodeRef = In<NodeId>;
