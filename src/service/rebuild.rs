//! After a lost device: another one, the model on it, and everything goes on where it stood.
//!
//! A sequence's tokens depend on itself alone, and its chance on seed and position, so what follows is what would have
//! followed without the loss. What was told is not told again. A device that has less room takes on what fits: a gate for
//! which there is none gives way to the model's own, nobody guesses where there is none for that, and sequences end with the
//! reason. Where no device can be had, all end.

use super::depth::Decides;
use super::draft::Drafting;
use super::lanes::Lanes;
use super::load::Progress;
use super::mailbox::Inbox;
use super::message::{FailureKind, Update};
use super::model::Model;
use super::serve::{Live, Server, Start, lost};
use crate::engine::event::{Event, FinishReason};
use crate::error::{Error, GpuError};
use crate::gpu::Gpu;

/// Devices that may be lost one after the other without a tick between them.
const MOST_LOSSES: u32 = 3;

impl Server<'_> {
    /// Where the device was lost, builds everything anew; `false` where the service is at its end, which is told.
    pub(super) async fn rebuild(
        &mut self,
        error: Error,
        start: &Start,
        open: &mut impl AsyncFnMut() -> Result<Gpu, GpuError>,
        inbox: &mut Inbox,
    ) -> bool {
        let lost_at = (self.clock)();
        let mut error = error;
        while lost(&error) && self.losses < MOST_LOSSES {
            self.losses += 1;
            let why = error.to_string();
            let send = &mut self.send;
            send(Update::Rebuilding { why: why.clone(), progress: Progress::default() });
            let loading = async {
                let gpu = open().await?;
                start.load(gpu, &mut |progress| send(Update::Rebuilding { why: why.clone(), progress })).await
            };
            match inbox.unless_cancelled(loading).await {
                None => {
                    self.cancel_all();
                    (self.send)(Update::LoadingCancelled);
                    return false;
                }
                Some(Err(again)) => error = again,
                Some(Ok(model)) => match self.go_on(model, start).await {
                    Ok(()) => {
                        // The time that passed was nobody's.
                        self.meter.began += (self.clock)() - lost_at;
                        return true;
                    }
                    Err(again) => error = again,
                },
            }
        }
        let kind = if self.losses > 0 || lost(&error) { FailureKind::Lost } else { FailureKind::Gpu };
        self.cancel_all();
        self.failed(kind, None, error.to_string());
        false
    }

    /// Hands all that was under way to another engine; what finds no room there ends. Where that device is lost as well,
    /// everything stays as it was.
    async fn go_on(&mut self, mut model: Model, start: &Start) -> Result<(), Error> {
        let facts = start.facts(&model);
        let unset = match self.decides.on(&mut model.engine).await {
            Err(error) if lost(&error) => return Err(error),
            set => set.err(),
        };
        let unguessed = match self.drafting.apply(&mut model.engine, None).await {
            Err(error) if lost(&error) => return Err(error),
            set => set.err(),
        };
        self.done_before = self.done();
        self.meter.moves(&self.engine.guesses());
        self.engine = model.engine;
        self.lanes = Lanes::new(facts.lanes);
        (self.send)(Update::Rebuilt(Box::new(facts)));
        if let Some(error) = unset {
            self.decides = Decides::default();
            let gate = self.engine.gate().map(|gate| gate.name.to_owned());
            let now = gate.as_deref().unwrap_or("none, so every token runs all rounds");
            let message = format!(
                "what was set to decide on depth cannot be set on the device that took the place of the lost one: {error}; \
                 the gate from now on: {now}"
            );
            self.failed(FailureKind::Refused, None, message);
            (self.send)(Update::Gate { gate });
        }
        if let Some(error) = unguessed {
            self.drafting = Drafting::OFF;
            let message = format!("nobody guesses on the device that took the place of the lost one: {error}");
            self.failed(FailureKind::Refused, None, message);
            self.tell_drafting();
        } else if self.drafting != Drafting::OFF {
            // Who can guess depends on the device.
            self.tell_drafting();
        }
        self.resume_all();
        Ok(())
    }

    /// Goes on with everything that was under way; what finds no room ends.
    fn resume_all(&mut self) {
        let mut live: Vec<_> = std::mem::take(&mut self.under_way).into_iter().collect();
        // In the order in which they came: who was first gets a lane first.
        live.sort_by_key(|(id, _)| *id);
        for (_, Live { name, request, written }) in live {
            match self.engine.resume(request.clone(), &written) {
                Ok(id) => drop(self.under_way.insert(id, Live { name, request, written })),
                Err(error) => {
                    let tokens = written.len() as u32;
                    let message = format!(
                        "the device that took the place of the lost one has no room to go on behind {tokens} tokens: \
                         {error}; the text so far is kept"
                    );
                    self.failed(FailureKind::Refused, Some(name), message);
                    let event = Event::Finished { reason: FinishReason::Cancelled, text: String::new(), tokens };
                    (self.send)(Update::Sequence { sequence: name, contestant: None, event });
                }
            }
        }
    }
}
