//! What treadle knows about libraries, as data.
//!
//! The files in `data/` hold [`claim::Claim`]s; this module makes one tree of dotted names of them. A name in the tree is an
//! [`ItemId`]; following `alias` entries, every spelling of an object leads to the same item. Nothing here knows the
//! program being checked.

pub mod claim;
pub mod types;

use bitcode::{Decode, Encode};
use rustc_hash::FxHashMap;

use claim::{Book, Claim};
use types::TypeText;

/// A dotted name some claim (or the prefix of one) mentions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct ItemId(pub u32);

/// Everything known, ready to be asked.
#[derive(Debug)]
pub struct Knowledge {
    items: Vec<Item>,
    claims: Vec<KnownClaim>,
    complete: Vec<String>,
}

#[derive(Debug)]
struct Item {
    path: Box<str>,
    parent: Option<ItemId>,
    children: FxHashMap<Box<str>, ItemId>,
    claim: Option<u32>,
    bases: Vec<ItemId>,
}

/// A claim with its types parsed.
#[derive(Debug)]
pub struct KnownClaim {
    /// The claim as written.
    pub claim: Claim,
    /// `returns`, parsed.
    pub returns: Option<TypeText>,
    /// `enters`, parsed.
    pub enters: Option<TypeText>,
    /// `iterates`, parsed.
    pub iterates: Option<TypeText>,
    /// `awaits`, parsed.
    pub awaits: Option<TypeText>,
    /// `passes`, parsed.
    pub passes: Vec<(String, Vec<TypeText>)>,
}

/// What is wrong with a user's own claim.
#[derive(Debug, PartialEq, Eq)]
pub struct KnowledgeError(String);

impl std::fmt::Display for KnowledgeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for KnowledgeError {}

impl Knowledge {
    /// The root of all dotted names.
    pub const ROOT: ItemId = ItemId(0);

    /// The books that come with treadle, and `extra` ones whose claims go before them.
    pub fn new(extra: &[Book]) -> Result<Self, KnowledgeError> {
        let mut books = Self::built_in();
        books.extend_from_slice(extra);
        Self::from_books(books)
    }

    /// The books that come with treadle.
    ///
    /// # Panics
    ///
    /// Never: the bytes were written by this crate's build, with these types.
    #[expect(clippy::expect_used, reason = "build.rs wrote these bytes with the same types")]
    pub fn built_in() -> Vec<Book> {
        bitcode::decode(include_bytes!(concat!(env!("OUT_DIR"), "/knowledge.bin"))).expect("written by build.rs")
    }

    /// These books and nothing else. A later claim about a name replaces an earlier one.
    pub fn from_books(books: Vec<Book>) -> Result<Self, KnowledgeError> {
        let root =
            Item { path: "".into(), parent: None, children: FxHashMap::default(), claim: None, bases: Vec::new() };
        let mut knowledge = Self { items: vec![root], claims: Vec::new(), complete: Vec::new() };
        for book in &books {
            knowledge.complete.extend(book.complete.iter().cloned());
            for (from, to) in &book.alias {
                let target = knowledge.insert(to);
                knowledge.alias(from, target);
            }
        }
        let mut bases = Vec::new();
        for claim in books.into_iter().flat_map(|book| book.claim) {
            let number = knowledge.claims.len() as u32;
            for name in &claim.names {
                let item = knowledge.insert(name);
                knowledge.items[item.0 as usize].claim = Some(number);
                if !claim.bases.is_empty() {
                    bases.push((item, claim.bases.clone()));
                }
            }
            let parse = |text: &Option<String>| {
                text.as_deref()
                    .map(TypeText::parse)
                    .transpose()
                    .map_err(|error| KnowledgeError(format!("claim about `{}`: {error}", claim.names.join("`, `"))))
            };
            let (returns, enters) = (parse(&claim.returns)?, parse(&claim.enters)?);
            let (iterates, awaits) = (parse(&claim.iterates)?, parse(&claim.awaits)?);
            let passed = |(to, types): (&String, &Vec<String>)| {
                let types = types.iter().map(|text| TypeText::parse(text));
                let types: Result<Vec<TypeText>, String> = types.collect();
                let fail = |error| KnowledgeError(format!("claim about `{}`: {error}", claim.names.join("`, `")));
                types.map(|types| (to.clone(), types)).map_err(fail)
            };
            let passes = claim.passes.iter().map(passed).collect::<Result<_, _>>()?;
            knowledge.claims.push(KnownClaim { claim, returns, enters, iterates, awaits, passes });
        }
        for (item, names) in bases {
            let ids = names.iter().map(|name| knowledge.insert(name)).filter(|base| *base != item).collect();
            knowledge.items[item.0 as usize].bases = ids;
        }
        Ok(knowledge)
    }

    fn insert(&mut self, path: &str) -> ItemId {
        let mut here = Self::ROOT;
        for part in path.split('.') {
            here = self.child_or_insert(here, part);
        }
        here
    }

    fn child_or_insert(&mut self, parent: ItemId, name: &str) -> ItemId {
        if let Some(child) = self.items[parent.0 as usize].children.get(name) {
            return *child;
        }
        let id = ItemId(self.items.len() as u32);
        let prefix = &self.items[parent.0 as usize].path;
        let path = if prefix.is_empty() { name.into() } else { format!("{prefix}.{name}").into() };
        self.items.push(Item {
            path,
            parent: Some(parent),
            children: FxHashMap::default(),
            claim: None,
            bases: Vec::new(),
        });
        self.items[parent.0 as usize].children.insert(name.into(), id);
        id
    }

    fn alias(&mut self, from: &str, target: ItemId) {
        let (parent, name) = from.rsplit_once('.').unwrap_or(("", from));
        let parent = if parent.is_empty() { Self::ROOT } else { self.insert(parent) };
        self.items[parent.0 as usize].children.insert(name.into(), target);
    }

    /// The item a dotted path leads to, aliases followed.
    pub fn find(&self, path: &str) -> Option<ItemId> {
        path.split('.').try_fold(Self::ROOT, |here, part| self.child(here, part))
    }

    /// The member `name` of an item, inherited ones not considered.
    pub fn child(&self, parent: ItemId, name: &str) -> Option<ItemId> {
        self.items[parent.0 as usize].children.get(name).copied()
    }

    /// The member `name` of a class, its bases searched depth first.
    pub fn member(&self, class: ItemId, name: &str) -> Option<ItemId> {
        self.member_within(class, name, 8)
    }

    fn member_within(&self, class: ItemId, name: &str, depth: u32) -> Option<ItemId> {
        let depth = depth.checked_sub(1)?;
        let own = self.child(class, name);
        own.or_else(|| {
            self.items[class.0 as usize].bases.iter().find_map(|base| self.member_within(*base, name, depth))
        })
    }

    /// The dotted name of an item.
    pub fn path(&self, item: ItemId) -> &str {
        &self.items[item.0 as usize].path
    }

    /// What the item is a member of.
    pub fn parent(&self, item: ItemId) -> Option<ItemId> {
        self.items[item.0 as usize].parent
    }

    /// The claim about an item.
    pub fn claim(&self, item: ItemId) -> Option<&KnownClaim> {
        self.items[item.0 as usize].claim.map(|number| &self.claims[number as usize])
    }

    /// Whether an item is claimed to be a class.
    pub fn is_class(&self, item: ItemId) -> bool {
        self.claim(item).is_some_and(|known| known.claim.class)
    }

    /// The class and its bases, nearest first.
    pub fn ancestors(&self, class: ItemId) -> Vec<ItemId> {
        let mut found = vec![class];
        let mut next = 0;
        while let Some(here) = found.get(next).copied() {
            next += 1;
            for base in &self.items[here.0 as usize].bases {
                if !found.contains(base) {
                    found.push(*base);
                }
            }
        }
        found
    }

    /// Whether every coroutine function of a top-level module is claimed.
    pub fn is_complete(&self, module: &str) -> bool {
        self.complete.iter().any(|known| known == module)
    }

    /// Every item that has a claim.
    pub fn claimed(&self) -> impl Iterator<Item = (ItemId, &KnownClaim)> {
        (0..self.items.len() as u32).map(ItemId).filter_map(|item| self.claim(item).map(|claim| (item, claim)))
    }
}
