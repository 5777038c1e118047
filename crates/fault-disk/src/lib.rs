//! A disk that loses power and fails, for tests: what a process wrote, and what is left of it.
//!
//! A killed process leaves its writes to the kernel, so that killing one proves nothing about a loss
//! of power. Here a child process runs under [`Layer`]: a library that is loaded before libc (crate
//! `fault-disk-preload`, Linux only) lets its calls through, and notes each of them in a journal. The
//! test reads the [`Record`]s, plays them to a [`Disk`] up to any of them, cuts the power there, and
//! looks at the [`Image`] that is left. One run of the child gives as many cuts as one likes.
//!
//! # What a cut leaves
//!
//! * Of a file: what was written before the start of an `fsync` or `fdatasync` of it that succeeded.
//!   Of what was written later, each block, of 512 or of 4096 bytes, is in any one of the states that
//!   it has had since, whatever became of its neighbours: writes are torn, and out of order.
//! * Its length: what was synced, or any longer up to what it was; zeros where nothing was written. A
//!   file that was made shorter may be as long as before.
//! * Names (made, renamed, removed): those before the start of an `fsync` of their folder. Of the
//!   later ones any number, in the order in which they were changed in that folder; folders do not
//!   wait for each other. To sync a file does not make its name durable.
//! * After a sync that failed, a later one that succeeds covers only blocks written to since: the
//!   kernel holds the others for clean (Linux, ext4 and XFS; "fsyncgate", 2018).
//! * `sync_file_range` makes nothing durable.
//!
//! All that is left to chance comes from a seed. Reads, and whoever looks at the folder, see what the
//! process wrote. No disk is asked to sync: the layer waits for [`Layer::sync_micros`] instead, so that
//! tests take as long on any machine.
//!
//! # What it does not know
//!
//! A sector that is torn below 512 bytes, that goes bad later, or that a drive calls durable and loses;
//! times and modes. Writing through `mmap`, io_uring or a C stream is not seen. Links, renaming from
//! folder to folder and copying within the kernel are seen and not modelled: [`Disk::apply`] refuses.
//! What makes its system calls by itself, as `rustix` does unless it is built with `use-libc`, is not
//! seen either.

mod disk;
mod image;
mod journal;
mod layer;
mod random;
mod rule;

pub use disk::{Disk, Unmodelled};
pub use image::{Image, sync_all};
pub use journal::{Opened, Record, read, said};
pub use layer::{Layer, STOP, environment, lower, raise};
pub use random::Random;
pub use rule::{Call, Failure, Rule, When};
