//! What somebody waits at until the test lets him pass.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// Shut until it is opened; its clones are the same gate.
#[derive(Clone, Default)]
pub struct Gate {
    shared: Arc<(Mutex<bool>, Condvar)>,
}

impl Gate {
    pub fn shut() -> Gate {
        Gate::default()
    }

    /// Lets everybody pass, from now on.
    pub fn open(&self) {
        *self.is_open() = true;
        self.shared.1.notify_all();
    }

    /// Waits until it is open: without a deadline, since only a test that has failed leaves one shut.
    pub fn pass(&self) {
        let shut = |is_open: &mut bool| !*is_open;
        drop(self.shared.1.wait_while(self.is_open(), shut).unwrap_or_else(|poisoned| poisoned.into_inner()));
    }

    fn is_open(&self) -> MutexGuard<'_, bool> {
        self.shared.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
