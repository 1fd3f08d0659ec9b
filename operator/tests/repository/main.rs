//! The crate against files that lie elsewhere in the repository: the corpus of the fuzz targets, and the reference.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod corpus;
mod reference;
