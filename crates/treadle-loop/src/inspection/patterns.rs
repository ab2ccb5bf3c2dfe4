//! The patterns' objects, whose statistics Python's half reads: a part in each slice.

use treadle_events::{Figures, Pattern, Picture};

use super::knowledge::Knowledge;
use crate::ffi::{Object, Raised, Result};

/// Where reading has come to.
pub(super) struct Reading {
    /// Gives the next part.
    next: Object,
    /// How many objects there are that nobody reads.
    left_out: u64,
}

impl Reading {
    pub(super) fn begin(knowledge: &Knowledge) -> Option<Self> {
        let next = knowledge.read_patterns.call([]).map_err(Raised::forget).ok()?;
        Some(Self { next, left_out: 0 })
    }

    /// Takes the next part in, and says whether there may be more.
    pub(super) fn go_on(&mut self, picture: &mut Picture) -> bool {
        let is_more = self.part(picture).map_err(Raised::forget).unwrap_or(false);
        if !is_more {
            picture.patterns_left_out = Some(self.left_out);
        }
        is_more
    }

    fn part(&mut self, picture: &mut Picture) -> Result<bool> {
        let part = self.next.call([])?;
        if part.is_none() {
            return Ok(false);
        }
        self.left_out = number(&part.item(1)?)?;
        for row in part.item(0)?.iterate()? {
            picture.patterns.push(pattern(&row?)?);
        }
        Ok(true)
    }
}

fn pattern(row: &Object) -> Result<Pattern> {
    let name = row.item(2)?;
    let mut figures = Figures::default();
    for (figure, told) in figures.iter_mut().zip(row.item(4)?.iterate()?) {
        let told = told?;
        *figure = if told.is_none() { None } else { Some(number(&told)?) };
    }
    Ok(Pattern {
        number: number(&row.item(0)?)?,
        kind: row.item(1)?.to_text()?,
        name: if name.is_none() { None } else { Some(name.to_text()?) },
        state: row.item(3)?.to_text()?,
        figures,
    })
}

fn number(object: &Object) -> Result<u64> {
    Ok(u64::try_from(object.to_integer()?).unwrap_or(0))
}
