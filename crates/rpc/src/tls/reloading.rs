//! What is made of files, and made anew when they have changed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;

/// A file that was changed less long ago is looked at again: it may change once more without looking
/// any different, as clocks of file systems are coarse.
const SETTLED: Duration = Duration::from_secs(2);

/// Something that is made of files. Looked at whenever a connection begins, so that nothing has to
/// run in between, and a new certificate counts from the next connection on.
pub(super) struct Reloading<T> {
    files: Vec<PathBuf>,
    load: Box<dyn Fn() -> anyhow::Result<T> + Send + Sync>,
    current: ArcSwap<T>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    stamps: Vec<Option<Stamp>>,
    /// Whether the files have not changed for long enough that their stamps tell of a change.
    settled: bool,
    /// What was wrong, so that it is told once.
    error: Option<String>,
}

/// What tells that a file has changed; links are followed, as what they lead to is read.
#[derive(Clone, Copy, Eq, PartialEq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    mode: u32,
}

impl<T: Send + Sync + 'static> Reloading<T> {
    /// Loads it for the first time.
    ///
    /// # Errors
    /// If `load` does not succeed.
    pub(super) fn new(
        files: Vec<PathBuf>,
        load: impl Fn() -> anyhow::Result<T> + Send + Sync + 'static,
    ) -> anyhow::Result<Arc<Self>> {
        let (stamps, settled) = look(&files);
        let current = ArcSwap::from_pointee(load()?);
        let seen = Mutex::new(Seen { stamps, settled, error: None });
        Ok(Arc::new(Self { files, load: Box::new(load), current, seen }))
    }

    /// What there is now: made anew if the files have changed and are of use, or else as it was.
    pub(super) async fn current(self: &Arc<Self>) -> Arc<T> {
        let this = Arc::clone(self);
        // Disks may be far away. What there was is good enough if the process ends meanwhile.
        let _ = tokio::task::spawn_blocking(move || this.refresh()).await;
        self.current.load_full()
    }

    /// The same, where files may be waited for.
    pub(super) fn look_again(&self) -> Arc<T> {
        self.refresh();
        self.current.load_full()
    }

    fn refresh(&self) {
        // Held while loading, so that no older state takes the place of a newer one.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // Looked at first: what changes while it is loaded is loaded again.
        let (stamps, settled) = look(&self.files);
        if seen.settled && seen.stamps == stamps {
            return;
        }
        let changed = seen.stamps != stamps;
        let error = match (self.load)() {
            Ok(new) => {
                self.current.store(Arc::new(new));
                if changed || seen.error.is_some() {
                    tracing::info!(files = ?self.files, "TLS files have changed and were read anew");
                }
                None
            }
            Err(error) => {
                let error = format!("{error:#}");
                if seen.error.as_ref() != Some(&error) {
                    tracing::warn!(
                        error,
                        "TLS files have changed and are of no use; what they held before stays in use"
                    );
                }
                Some(error)
            }
        };
        *seen = Seen { stamps, settled, error };
    }
}

fn look(files: &[PathBuf]) -> (Vec<Option<Stamp>>, bool) {
    let stamp = |path: &PathBuf| {
        let file = fs::metadata(path).ok()?;
        Some(Stamp {
            device: file.dev(),
            inode: file.ino(),
            bytes: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
            mode: file.mode(),
        })
    };
    let stamps: Vec<_> = files.iter().map(stamp).collect();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let settled_before = i64::try_from(now.saturating_sub(SETTLED).as_secs()).unwrap_or_default();
    let settled = stamps.iter().flatten().all(|stamp| stamp.changed.0 < settled_before);
    (stamps, settled)
}
