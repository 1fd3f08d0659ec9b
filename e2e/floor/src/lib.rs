//! What the two programs have in common.

/// The bytes of a question, and of its answer: about as many as an ADD has.
pub const MESSAGE: usize = 200;
