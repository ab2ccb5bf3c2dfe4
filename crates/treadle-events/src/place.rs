//! A place in a program's code, as it was when the program ran.

/// The number of a place, in the order in which places were first met; 0 stands for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlaceId(pub u32);

impl PlaceId {
    /// No place is known.
    pub const UNKNOWN: Self = Self(0);
}

/// Whose code a file is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Owner {
    /// The program's.
    Program,
    /// Of an installed package, by its name.
    Package(String),
    /// Python's own.
    Python,
}

/// A line of a function.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The file, as Python names it; empty for what is no Python code.
    pub file: String,
    /// The line, from 1; 0 if there is none.
    pub line: u32,
    /// The function, qualified: `Worker.run`.
    pub function: String,
    /// Whose code it is.
    pub owner: Owner,
}

impl Place {
    /// As bytes, for the table in the tape: the line, the lengths of the texts, the texts.
    pub fn encode(&self) -> Vec<u8> {
        let (number, package) = match &self.owner {
            Owner::Program => (0_u8, ""),
            Owner::Package(name) => (1, name.as_str()),
            Owner::Python => (2, ""),
        };
        let texts = [self.file.as_str(), self.function.as_str(), package].map(clip);
        let mut bytes = Vec::with_capacity(11 + texts.iter().map(|text| text.len()).sum::<usize>());
        bytes.push(number);
        bytes.extend(self.line.to_le_bytes());
        bytes.extend(texts.iter().flat_map(|text| (text.len() as u16).to_le_bytes()));
        bytes.extend(texts.iter().flat_map(|text| text.bytes()));
        bytes
    }

    /// The place at the beginning of some bytes, and how many bytes it took.
    pub fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let (head, rest) = bytes.split_at_checked(11)?;
        let line = u32::from_le_bytes(head.get(1..5)?.try_into().ok()?);
        let length = |at: usize| Some(usize::from(u16::from_le_bytes(head.get(at..at + 2)?.try_into().ok()?)));
        let (file, rest) = rest.split_at_checked(length(5)?)?;
        let (function, rest) = rest.split_at_checked(length(7)?)?;
        let (package, rest) = rest.split_at_checked(length(9)?)?;
        let [file, function, package] =
            [file, function, package].map(|text| String::from_utf8_lossy(text).into_owned());
        let owner = match head.first()? {
            0 => Owner::Program,
            1 => Owner::Package(package),
            _ => Owner::Python,
        };
        Some((Self { file, line, function, owner }, bytes.len() - rest.len()))
    }

    /// Whether it is the program's own code.
    pub fn is_program(&self) -> bool {
        self.owner == Owner::Program
    }
}

/// As much of a text as its length can be told of.
fn clip(text: &str) -> &str {
    let mut end = text.len().min(4_000);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_out_of_their_bytes_as_they_went_in() {
        let owners = [Owner::Program, Owner::Package("aiohttp".to_owned()), Owner::Python];
        for owner in owners {
            let place =
                Place { file: "/srv/äpp.py".to_owned(), line: 70_000, function: "A.<locals>.f".to_owned(), owner };
            let mut bytes = place.encode();
            let length = bytes.len();
            bytes.extend([1, 2, 3]);
            assert_eq!(Place::decode(&bytes), Some((place, length)));
            assert!((0..length).all(|cut| Place::decode(&bytes[..cut]).is_none()));
        }
    }

    #[test]
    fn endless_names_are_cut_at_a_letter() {
        let place = Place { file: "ä".repeat(4_000), line: 1, function: String::new(), owner: Owner::Program };
        let (short, _) = Place::decode(&place.encode()).unwrap_or_else(|| panic!("it is whole"));
        assert_eq!(short.file.len(), 4_000);
    }
}
