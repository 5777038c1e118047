//! The library that `fault-disk` loads into a child process before libc (`LD_PRELOAD`): it takes the
//! calls that change files below one folder, makes them, and notes them in the journal.
//!
//! **Never name this crate in code.** Whoever links it has its `write` in place of libc's. A package
//! has it among its `dev-dependencies` only so that cargo builds the library beside its tests.
//!
//! A call is made by the system call itself, so that nothing here needs what it stands before. One
//! lock orders all changes, so that the journal has them in the order in which they happened. Files
//! are known by device and inode, whatever descriptor they are written through.
#![cfg(target_os = "linux")]

mod calls;
mod state;
