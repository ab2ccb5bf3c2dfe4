//! What frames look like.
