//! What frames have taken by their own `await lock.acquire()` and not given back.
//!
//! Python's half reads the code, once for each place; here a variable of a suspended frame is looked up, which runs nothing.

use std::cell::RefCell;
use std::rc::Rc;

use rustc_hash::FxHashMap;
use treadle_events::PlaceId;

use super::Desk;
use crate::ffi::{FrameLayout, Object, Result, cell_content};
use crate::recorder::Recorder;

/// Codes that are remembered.
const KNOWN: usize = 4_096;

/// What is known of codes, by their addresses.
#[derive(Default)]
pub(super) struct Known(RefCell<FxHashMap<usize, Code>>);

struct Code {
    _kept: Object,
    /// Whether it takes something and gives something back.
    is_of_interest: bool,
    places: FxHashMap<i32, Rc<At>>,
}

/// What is known of one place in some code.
#[derive(Default)]
struct At {
    /// It waits for something that it does not give back on each way out.
    leaks: bool,
    taken: Vec<Taken>,
}

struct Taken {
    kind: i64,
    /// Of the variable.
    index: usize,
    name: Object,
    attributes: Object,
    /// Where it was taken, in bytes of the code.
    offset: i32,
}

/// What a frame has taken, and where; and whether it waits for something that it may not give back.
pub(super) fn taken(
    recorder: &Recorder,
    desk: &Desk,
    layout: &FrameLayout,
    suspended: &Object,
    (code, offset): (&Object, i32),
) -> Result<(Vec<(Object, PlaceId)>, bool)> {
    let Some(at) = desk.explicit.at(desk, code, offset)? else { return Ok((Vec::new(), false)) };
    let mut found = Vec::new();
    for taken in &at.taken {
        let none = Object::none();
        let (root, name) = match taken.kind {
            0 | 1 => (variable(layout, suspended, taken).unwrap_or_else(Object::none), &none),
            _ => (Object::none(), &taken.name),
        };
        let object = desk.knowledge.reach.call([suspended, &root, name, &taken.attributes])?;
        found.push((object, recorder.place(code, taken.offset)));
    }
    Ok((found, at.leaks))
}

/// A variable of a suspended frame.
fn variable(layout: &FrameLayout, suspended: &Object, taken: &Taken) -> Option<Object> {
    let slot = layout.slot(suspended, taken.index);
    let mut found = None;
    suspended.each_referent(|referent| {
        if found.is_none() && referent.address() == slot {
            found = Some(referent.clone());
        }
    });
    let found = found?;
    Some(cell_content(&found).unwrap_or(found))
}

impl Known {
    fn at(&self, desk: &Desk, code: &Object, offset: i32) -> Result<Option<Rc<At>>> {
        if let Some(known) = self.0.borrow().get(&code.address()) {
            if !known.is_of_interest {
                return Ok(None);
            }
            if let Some(at) = known.places.get(&offset) {
                return Ok(Some(Rc::clone(at)));
            }
        }
        self.look(desk, code, offset)
    }

    #[cold]
    fn look(&self, desk: &Desk, code: &Object, offset: i32) -> Result<Option<Rc<At>>> {
        let is_of_interest = takes_and_gives_back(code)? && desk.knowledge.role(code).is_none();
        let at = if is_of_interest { Rc::new(At::of(desk, code, offset)?) } else { Rc::default() };
        let mut known = self.0.borrow_mut();
        if known.len() < KNOWN || known.contains_key(&code.address()) {
            let new = || Code { _kept: code.clone(), is_of_interest, places: FxHashMap::default() };
            known.entry(code.address()).or_insert_with(new).places.insert(offset, Rc::clone(&at));
        }
        Ok(is_of_interest.then_some(at))
    }
}

fn takes_and_gives_back(code: &Object) -> Result<bool> {
    let (mut takes, mut gives_back) = (false, false);
    for name in code.member(c"co_names")?.iterate()? {
        let name = name?.to_text()?;
        takes |= name == "acquire";
        gives_back |= name == "release";
    }
    Ok(takes && gives_back)
}

impl At {
    fn of(desk: &Desk, code: &Object, offset: i32) -> Result<Self> {
        let answer = desk.knowledge.explicit.call([code, &Object::integer(i64::from(offset))?])?;
        let mut taken = Vec::new();
        for one in answer.item(1)?.iterate()? {
            let one = one?;
            taken.push(Taken {
                kind: one.item(0)?.to_integer()?,
                index: usize::try_from(one.item(1)?.to_integer()?).unwrap_or(0),
                name: one.item(2)?,
                attributes: one.item(3)?,
                offset: i32::try_from(one.item(4)?.to_integer()?).unwrap_or(-1),
            });
        }
        Ok(Self { leaks: answer.item(0)?.is_true()?, taken })
    }
}
