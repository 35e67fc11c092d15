
/// The parameters that no gradient has reached yet.
#[derive(Debug, Default)]
pub struct Guard {
    /// None before the first step.
    waiting: Option<Vec<String>>,
}

impl Guard {
    /// Takes in the gradients of a step; `may_wait` tells whether a parameter may be without one in a batch.
    ///
    /// # Errors
    ///
    /// The parameters that may not, in the first step.
    pub fn step<B: AutodiffBackend, M: Module<B>>(
        &mut self,
        module: &M,
        gradients: &GradientsParams,
        may_wait: impl Fn(&str) -> bool,
    ) -> Result<(), Vec<String>> {
        match &mut self.waiting {
            None => {
                let (waiting, never) = unreached(module, gradients)
                    .into_iter()
                    .partition::<Vec<_>, _>(|path| may_wait(path));
                if !never.is_empty() {
                    return Err(never);
                }
                self.waiting = Some(waiting);
            }
            Some(waiting) if !waiting.is_empty() => {
                let still = unreached(module, gradients);
                waiting.retain(|path| still.contains(path));
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Those that no step has reached so far.
    pub fn waiting(&self) -> &[String] {
        self.waiting.as_deref().unwrap_or_default()
    }
}
