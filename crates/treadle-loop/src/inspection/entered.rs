//! Which `with` statements a place in some code is inside of, from the code's table of exception handlers.
//!
//! An entry says for a range of code where an exception goes, and how much of the stack stays. Of a `with` stays its exit function, which is the last
//! thing that does; the handler's own line is that of the `with`.

/// A handler that an exception would come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Handler {
    /// Where it is, in bytes of the code.
    pub(super) target: usize,
    /// How many places of the stack stay.
    pub(super) depth: usize,
}

/// The handlers around a place, from the innermost, without those that only tidy up after others.
pub(super) fn handlers(table: &[u8], offset: usize) -> Vec<Handler> {
    let mut found: Vec<Handler> = Vec::new();
    let (mut at, mut least) = (offset, usize::MAX);
    // Each handler may lie in a range itself. A damaged table could go round in circles.
    for _ in 0..64 {
        let Some(next) = handler(table, at) else { break };
        if next.depth <= least {
            least = next.depth;
            found.push(next);
        }
        at = next.target;
    }
    found
}

fn handler(table: &[u8], offset: usize) -> Option<Handler> {
    let mut rest = table.iter().copied();
    loop {
        let [start, length, target, depth] =
            [number(&mut rest)?, number(&mut rest)?, number(&mut rest)?, number(&mut rest)?];
        if (start * 2..(start + length) * 2).contains(&offset) {
            return Some(Handler { target: target * 2, depth: depth >> 1 });
        }
    }
}

/// Six bits in each byte, the highest first; the seventh says that there are more.
fn number(bytes: &mut impl Iterator<Item = u8>) -> Option<usize> {
    let mut value = 0_usize;
    loop {
        let byte = bytes.next()?;
        value = (value << 6) | usize::from(byte & 63);
        if byte & 64 == 0 {
            return Some(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(entries: &[[usize; 4]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for [start, length, target, depth] in entries {
            for value in [*start, *length, *target, depth << 1] {
                if value > 63 {
                    bytes.push((value >> 6) as u8 | 64);
                }
                bytes.push((value & 63) as u8);
            }
        }
        bytes
    }

    #[test]
    fn handlers_around_a_place_are_found_from_the_innermost() {
        // `async with a:` around `async with b:`; each handler has one that tidies up.
        let table = table(&[
            [10, 10, 100, 2],
            [0, 10, 200, 1],
            [20, 80, 200, 1],
            [100, 5, 150, 4],
            [150, 3, 200, 1],
            [200, 5, 250, 3],
        ]);
        let around = |offset| handlers(&table, offset);
        assert_eq!(around(24), [Handler { target: 200, depth: 2 }, Handler { target: 400, depth: 1 }]);
        assert_eq!(around(4), [Handler { target: 400, depth: 1 }]);
        assert_eq!(around(900), []);
    }

    #[test]
    fn damaged_tables_end() {
        assert_eq!(handlers(&[1, 2], 4), []);
        assert_eq!(handlers(&table(&[[0, 50, 0, 1]]), 0).len(), 64);
    }
}
