//! Where an instruction stands in the source: the table that a code object of Python 3.11 or later has.
//!
//! The table is bytes that may be anything; what makes no sense has no position.

use treadle_events::Span;

/// The position of the instruction at an offset in bytes of the code.
pub(crate) fn position(table: &[u8], first_line: i32, offset: i32) -> Option<Span> {
    let wanted = u32::try_from(offset).ok()? / 2;
    let (mut bytes, mut line, mut at) = (table.iter().copied(), first_line, 0);
    loop {
        let head = bytes.next()?;
        let length = u32::from(head & 7) + 1;
        let (delta, rest) = entry(head >> 3 & 15, &mut bytes)?;
        line = line.checked_add(delta)?;
        at += length;
        if wanted < at {
            let (lines, columns) = rest?;
            let begin = u32::try_from(line).ok()?;
            return Some(Span { line: begin, end_line: begin.checked_add(lines)?, columns });
        }
    }
}

/// How many lines further an entry's last line is, and its columns.
type Extent = (u32, Option<(u32, u32)>);

/// How many lines further an entry begins than the one before, and what it covers; nothing if it stands for no line.
fn entry(code: u8, bytes: &mut impl Iterator<Item = u8>) -> Option<(i32, Option<Extent>)> {
    Some(match code {
        0..=9 => {
            let second = bytes.next()?;
            let column = u32::from(code) << 3 | u32::from(second >> 4);
            (0, Some((0, Some((column, column + u32::from(second & 15))))))
        }
        10..=12 => {
            let (column, end) = (bytes.next()?, bytes.next()?);
            (i32::from(code) - 10, Some((0, Some((u32::from(column), u32::from(end))))))
        }
        13 => (signed(bytes)?, Some((0, None))),
        14 => {
            let (line, lines, column, end) = (signed(bytes)?, number(bytes)?, number(bytes)?, number(bytes)?);
            (line, Some((lines, column.checked_sub(1).zip(end.checked_sub(1)))))
        }
        _ => (0, None),
    })
}

fn number(bytes: &mut impl Iterator<Item = u8>) -> Option<u32> {
    let (mut value, mut shift) = (0_u32, 0);
    loop {
        let byte = bytes.next()?;
        value |= u32::from(byte & 63).checked_shl(shift)?;
        if byte & 64 == 0 {
            return Some(value);
        }
        shift += 6;
    }
}

fn signed(bytes: &mut impl Iterator<Item = u8>) -> Option<i32> {
    let value = number(bytes)?;
    let half = i32::try_from(value >> 1).ok()?;
    Some(if value & 1 == 1 { -half } else { half })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_those_that_python_gives() {
        // One line, then a long form over two lines, then no place at all.
        let table = [0x80 | 10 << 3 | 1, 4, 9, 0x80 | 14 << 3, 4, 1, 5, 3, 0x80 | 15 << 3 | 7];
        let span = |line, end_line, columns| Some(Span { line, end_line, columns: Some(columns) });
        assert_eq!(position(&table, 10, 0), span(10, 10, (4, 9)));
        assert_eq!(position(&table, 10, 2), span(10, 10, (4, 9)));
        assert_eq!(position(&table, 10, 4), span(12, 13, (4, 2)));
        assert_eq!(position(&table, 10, 6), None);
        assert_eq!(position(&table, 10, 400), None);
        assert_eq!(position(&table, 10, -1), None);
    }

    #[test]
    fn nonsense_has_no_position() {
        let mut seed = 7_u32;
        for _ in 0..2_000 {
            let table: Vec<u8> = (0..40)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (seed >> 24) as u8
                })
                .collect();
            for offset in [0, 30, 500] {
                let _ = position(&table, i32::MAX - 3, offset);
            }
        }
    }
}
