//! What waits for the writer.

use tokio::sync::oneshot;

use super::batch::{Batch, Failure, Setback, View};
use super::caller::Caller;
use crate::refusal::Refusal;

/// Something that waits for the writer.
pub(super) enum Job {
    /// A change.
    Write(Box<dyn Write>),
    /// A question about what is committed; it answers itself.
    Read(Box<dyn FnOnce(&View<'_>) + Send>),
    /// Nothing more is wanted.
    Stop,
}

/// A change that waits.
pub(super) trait Write: Send {
    /// Applies it to the batch, unless nobody waits for it any more, and keeps what is to be answered. It can be applied
    /// again, to another batch, if this one comes to nothing. An error is the batch's.
    fn apply(&mut self, batch: &mut Batch<'_>) -> Result<(), Setback>;

    /// Answers what [`Write::apply`] kept: the batch is on stable storage.
    fn answer(self: Box<Self>);

    /// Answers `refusal` instead: the batch came to nothing.
    fn refuse(self: Box<Self>, refusal: Refusal);
}

/// Work for somebody who waits at the other end of `reply`.
pub(super) struct Request<T, W> {
    caller: Caller,
    work: W,
    outcome: Result<T, Refusal>,
    reply: oneshot::Sender<Result<T, Refusal>>,
}

impl<T, W> Request<T, W> {
    pub(super) fn new(caller: Caller, work: W, reply: oneshot::Sender<Result<T, Refusal>>) -> Self {
        Self {
            caller,
            work,
            outcome: Err(Refusal::Stopping),
            reply,
        }
    }
}

impl<T, W> Write for Request<T, W>
where
    T: Send,
    W: FnMut(&mut Batch<'_>) -> Result<T, Failure> + Send,
{
    fn apply(&mut self, batch: &mut Batch<'_>) -> Result<(), Setback> {
        // The batch's stamp was taken before: stamp <= this check <= whatever its caller's successor does.
        let gone = self
            .caller
            .gone()
            .or_else(|| self.reply.is_closed().then_some(Refusal::Canceled));
        self.outcome = match gone.map_or_else(|| (self.work)(batch), |refusal| Err(refusal.into())) {
            Err(Failure::Refused(refusal)) => Err(refusal),
            Err(Failure::Batch(setback)) => return Err(setback),
            Ok(answer) => Ok(answer),
        };
        Ok(())
    }

    fn answer(self: Box<Self>) {
        // Who gave up in between gets no answer; his next call finds what this one did.
        let _ = self.reply.send(self.outcome);
    }

    fn refuse(self: Box<Self>, refusal: Refusal) {
        let _ = self.reply.send(Err(refusal));
    }
}
