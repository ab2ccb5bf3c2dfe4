//! What treadle says: a [`Finding`] about a place in somebody's program, and the [`Fix`] that would cure it.
//!
//! Plain data, shared by the checker and the doctor and read by every view. Nothing here reads files, knows Python or
//! prints. A finding names its pitfall by a `&'static` [`About`], so a name exists once in the whole product.
#![forbid(unsafe_code)]

mod about;
mod edit;
mod finding;
mod sighting;

pub use about::{About, FixKind, Severity, Tier};
pub use edit::{Applicability, Edit, Fix};
pub use finding::{Finding, Findings, Location, Problem, Span, Step};
pub use sighting::{Sighting, Sightings, Site};
