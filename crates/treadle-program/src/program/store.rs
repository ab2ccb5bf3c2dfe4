//! Tables as bytes: types as numbers in a list where each stands once, after those it is made of.

use std::sync::{Arc, LockResult, MutexGuard};

use bitcode::{Decode, Encode};
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::reads::{Parts, Reads};
use super::rename::Renames;
use super::tables::{Attributes, Pass, Received, Round, Tables};
use super::{NamespaceId, Program};
use crate::ids::{ClassRef, FileId, FunctionRef};
use crate::knowledge::ItemId;
use crate::knowledge::types::Shape;
use crate::ty::Ty;

/// A type whose parts are numbers.
#[derive(Clone, Debug, Encode, Decode)]
enum Flat {
    Unknown,
    Never,
    None,
    Module(FileId),
    Namespace(NamespaceId),
    Known(ItemId),
    Class(ClassRef),
    Instance(ClassRef),
    KnownInstance(ItemId),
    Function(FunctionRef),
    Method(FunctionRef, u32),
    KnownMethod(ItemId, u32),
    Of(Shape, u32),
    Tuple(Vec<u32>),
    Partial(u32),
    Super(ClassRef),
    Union(Vec<u32>),
}

#[derive(Encode, Decode)]
struct Stored {
    types: Vec<Flat>,
    tables: Tables<u32>,
}

#[derive(Default)]
struct Packer {
    types: Vec<Flat>,
    known: FxHashMap<Ty, u32>,
}

impl Packer {
    fn number(&mut self, ty: &Ty) -> u32 {
        if let Some(number) = self.known.get(ty) {
            return *number;
        }
        let flat = match ty {
            Ty::Unknown => Flat::Unknown,
            Ty::Never => Flat::Never,
            Ty::None => Flat::None,
            Ty::Module(file) => Flat::Module(*file),
            Ty::Namespace(namespace) => Flat::Namespace(*namespace),
            Ty::Known(item) => Flat::Known(*item),
            Ty::Class(class) => Flat::Class(*class),
            Ty::Instance(class) => Flat::Instance(*class),
            Ty::KnownInstance(item) => Flat::KnownInstance(*item),
            Ty::Function(function) => Flat::Function(*function),
            Ty::Method(function, receiver) => Flat::Method(*function, self.number(receiver)),
            Ty::KnownMethod(item, receiver) => Flat::KnownMethod(*item, self.number(receiver)),
            Ty::Of(shape, element) => Flat::Of(*shape, self.number(element)),
            Ty::Tuple(members) => Flat::Tuple(members.iter().map(|member| self.number(member)).collect()),
            Ty::Partial(inner) => Flat::Partial(self.number(inner)),
            Ty::Super(class) => Flat::Super(*class),
            Ty::Union(members) => Flat::Union(members.iter().map(|member| self.number(member)).collect()),
        };
        let number = self.types.len() as u32;
        self.types.push(flat);
        self.known.insert(ty.clone(), number);
        number
    }
}

/// The types of a list, in its order, with the references renamed; `None` when the list is damaged.
fn unpacked(flat: Vec<Flat>, renames: &Renames) -> Option<Vec<Ty>> {
    let mut types: Vec<Ty> = Vec::with_capacity(flat.len());
    for flat in flat {
        let get = |number: u32| types.get(number as usize).cloned();
        let all = |members: Vec<u32>| members.into_iter().map(get).collect::<Option<Arc<[Ty]>>>();
        let ty = match flat {
            Flat::Unknown => Ty::Unknown,
            Flat::Never => Ty::Never,
            Flat::None => Ty::None,
            Flat::Module(file) => Ty::Module(file),
            Flat::Namespace(namespace) => Ty::Namespace(namespace),
            Flat::Known(item) => Ty::Known(item),
            Flat::Class(class) => Ty::Class(renames.class(class)),
            Flat::Instance(class) => Ty::Instance(renames.class(class)),
            Flat::KnownInstance(item) => Ty::KnownInstance(item),
            Flat::Function(function) => Ty::Function(renames.function(function)),
            Flat::Method(function, receiver) => Ty::Method(renames.function(function), get(receiver)?.into()),
            Flat::KnownMethod(item, receiver) => Ty::KnownMethod(item, get(receiver)?.into()),
            Flat::Of(shape, element) => Ty::of(shape, get(element)?),
            Flat::Tuple(members) => Ty::Tuple(all(members)?),
            Flat::Partial(inner) => Ty::Partial(get(inner)?.into()),
            Flat::Super(class) => Ty::Super(renames.class(class)),
            Flat::Union(members) => Ty::Union(all(members)?),
        };
        types.push(ty);
    }
    Some(types)
}

impl<T> Tables<T> {
    /// The same tables with other words for types.
    fn map<U>(&self, ty: &mut impl FnMut(&T) -> U) -> Tables<U> {
        Tables {
            habits: self.habits.clone(),
            bases: self.bases.clone(),
            orders: self.orders.clone(),
            subclasses: self.subclasses.clone(),
            decorations: self.decorations.clone(),
            rounds: self.rounds.each_ref().map(|round| round.map(ty)),
            passes: self.passes.each_ref().map(|pass| pass.map(ty)),
            callees: self.callees.iter().map(&mut *ty).collect(),
            effects: self.effects.clone(),
            properties: self.properties.clone(),
            protocols: self.protocols.clone(),
            methods: self.methods.clone(),
            edges: self.edges.clone(),
            incoming: self.incoming.clone(),
            contexts: self.contexts.clone(),
            is_foreign: self.is_foreign,
            created: self.created.clone(),
            uses: self.uses.clone(),
            primitives: self.primitives.clone(),
            held: self.held.clone(),
            applies_nest_asyncio: self.applies_nest_asyncio,
        }
    }
}

impl<T> Round<T> {
    fn map<U>(&self, ty: &mut impl FnMut(&T) -> U) -> Round<U> {
        let attributes = |of: &Attributes<T>, ty: &mut dyn FnMut(&T) -> U| {
            of.iter().map(|(name, is)| (name.clone(), ty(is))).collect()
        };
        Round {
            returns: self.returns.iter().map(&mut *ty).collect(),
            attributes: self.attributes.iter().map(|of| attributes(of, ty)).collect(),
            patched: self.patched.iter().map(|(local, is)| (*local, ty(is))).collect(),
            outside: self.outside.iter().map(|(place, is)| (place.clone(), ty(is))).collect(),
            received: (self.received.iter())
                .map(|one| Received { class: one.class, name: one.name.clone(), is_own: one.is_own, ty: ty(&one.ty) })
                .collect(),
        }
    }
}

impl<T> Pass<T> {
    fn map<U>(&self, ty: &mut impl FnMut(&T) -> U) -> Pass<U> {
        Pass {
            params: self.params.iter().map(&mut *ty).collect(),
            received: self.received.iter().map(|(file, param, is)| (*file, *param, ty(is))).collect(),
            sent_to: self.sent_to.clone(),
            defaults: self.defaults.iter().map(|(param, is)| (*param, ty(is))).collect(),
        }
    }
}

/// What a later link needs to go on from this one.
#[derive(Debug)]
pub struct Memory {
    /// What is true of the program as a whole, and who read what.
    pub whole: Vec<u8>,
    /// The tables of each file.
    pub tables: Vec<Vec<u8>>,
}

impl Program {
    /// What a later link needs to go on from this one, which must have been made by [`Program::link_noting`].
    pub fn memory(&self) -> Memory {
        let reads: Vec<Reads> = self.link.reads.par_iter().map(|reads| sorted(&reads.lock())).collect();
        let files: Vec<FileId> = self.all_files().collect();
        Memory {
            whole: bitcode::encode(&(self.whole.clone(), reads)),
            tables: files.into_par_iter().map(|file| self.tables(file).encoded()).collect(),
        }
    }
}

fn sorted(reads: &LockResult<MutexGuard<'_, FxHashMap<FileId, Parts>>>) -> Reads {
    let mut reads: Reads = reads.iter().flat_map(|reads| reads.iter()).map(|(file, parts)| (*file, *parts)).collect();
    reads.sort_unstable_by_key(|(file, _)| *file);
    reads
}

impl Tables {
    /// The tables as bytes.
    pub(super) fn encoded(&self) -> Vec<u8> {
        let mut packer = Packer::default();
        let tables = self.map(&mut |ty| packer.number(ty));
        bitcode::encode(&Stored { types: packer.types, tables })
    }

    /// Tables from bytes, with the references renamed; `None` when they are no tables.
    pub(super) fn decoded(bytes: &[u8], renames: &Renames) -> Option<Self> {
        let stored: Stored = bitcode::decode(bytes).ok()?;
        let types = unpacked(stored.types, renames)?;
        let mut tables = stored.tables.map(&mut |number| types.get(*number as usize).cloned().unwrap_or_default());
        tables.rename(renames);
        Some(tables)
    }
}
