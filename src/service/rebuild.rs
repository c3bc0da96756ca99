//! After a lost device: another one, the model on it, and everything goes on where it stood.
//!
//! A sequence's tokens depend on itself alone, and its chance on seed and position, so what follows is what would have
//! followed without the loss. What was told is not told again.

use super::lanes::Lanes;
use super::load::{Inbox, Loaded, Start, load};
use super::message::{FailureKind, Update};
use super::serve::{Live, Server, lost};
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
            let tell = &mut self.tell;
            tell(Update::Rebuilding { why: why.clone(), done: 0, total: 0 });
            let loading = async {
                let gpu = open().await?;
                let mut progress = |done, total| tell(Update::Rebuilding { why: why.clone(), done, total });
                load(start, gpu, &mut progress).await
            };
            match inbox.unless_cancelled(loading).await {
                None => {
                    (self.tell)(Update::LoadingCancelled);
                    return false;
                }
                Some(Err(again)) => error = again,
                Some(Ok(loaded)) => match self.go_on(loaded).await {
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
        self.failed(kind, None, error.to_string());
        false
    }

    /// Hands all that was under way to another engine.
    async fn go_on(&mut self, loaded: Loaded) -> Result<(), Error> {
        let Loaded { engine, facts, .. } = loaded;
        self.done_before = self.done();
        self.engine = engine;
        self.lanes = Lanes::new(facts.lanes);
        self.decides.on(&mut self.engine).await?;
        if let Some(race) = &mut self.race {
            race.undisturbed = false;
        }
        let mut live: Vec<_> = std::mem::take(&mut self.under_way).into_iter().collect();
        // In the order in which they came: who was first gets a lane first.
        live.sort_by_key(|(id, _)| *id);
        for (_, Live { name, request, written }) in live {
            let id = self.engine.resume(request.clone(), &written)?;
            self.under_way.insert(id, Live { name, request, written });
        }
        (self.tell)(Update::Rebuilt(Box::new(facts)));
        Ok(())
    }
}
