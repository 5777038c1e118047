//! The calls, by the names that libc has for them.
//!
//! # Safety
//! Each has libc's contract: whoever calls it promises what libc asks for. `open` and its like have no
//! variable arguments here; on Linux a caller passes the mode in the same place either way.

use std::ffi::{c_char, c_int, c_long, c_uint, c_void};
use std::slice;

use fault_disk::{Failure, Opened, Record};
use libc::{AT_FDCWD, iovec, mode_t, off_t, size_t, ssize_t};

use crate::state::{Allowed, Inode, Kind, Layer, State, layer, status, status_at};

const SAID: c_int = 1;

/// Makes a system call, which sets `errno`.
macro_rules! real {
    ($name:ident $(, $argument:expr)* $(,)?) => {
        // SAFETY: the caller of the call that we stand for promised what the kernel asks for.
        unsafe { libc::syscall(libc::$name $(, $argument)*) }
    };
}

/// Defines calls of C, each in a form that nothing but C sees.
macro_rules! calls {
    ($($(#[$meta:meta])* fn $name:ident($($argument:ident: $kind:ty),* $(,)?) -> $result:ty $body:block)*) => {
        $(
            $(#[$meta])*
            // SAFETY: the name is libc's, and so are arguments, result and what it does.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name($($argument: $kind),*) -> $result $body
        )*
    };
}

calls! {
    fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { open_at(AT_FDCWD, path, flags, mode) }
    }
    fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { open_at(AT_FDCWD, path, flags, mode) }
    }
    fn openat(folder: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { open_at(folder, path, flags, mode) }
    }
    fn openat64(folder: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { open_at(folder, path, flags, mode) }
    }
    fn creat(path: *const c_char, mode: mode_t) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { open_at(AT_FDCWD, path, libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC, mode) }
    }
    fn creat64(path: *const c_char, mode: mode_t) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { open_at(AT_FDCWD, path, libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC, mode) }
    }

    fn write(file: c_int, bytes: *const c_void, length: size_t) -> ssize_t {
        let written = |length: usize| real!(SYS_write, file, bytes, length) as ssize_t;
        // SAFETY: the caller's promise.
        unsafe { write_some(file, bytes, length, None, written) }
    }
    fn pwrite(file: c_int, bytes: *const c_void, length: size_t, offset: off_t) -> ssize_t {
        let written = |length: usize| real!(SYS_pwrite64, file, bytes, length, offset) as ssize_t;
        // SAFETY: the caller's promise.
        unsafe { write_some(file, bytes, length, Some(offset), written) }
    }
    fn pwrite64(file: c_int, bytes: *const c_void, length: size_t, offset: off_t) -> ssize_t {
        // SAFETY: the caller's promise.
        unsafe { pwrite(file, bytes, length, offset) }
    }
    fn writev(file: c_int, parts: *const iovec, count: c_int) -> ssize_t {
        // SAFETY: the caller's promise.
        match unsafe { gathered(file, parts, count) } {
            None => real!(SYS_writev, file, parts, count) as ssize_t,
            // SAFETY: the bytes are ours.
            Some(bytes) => unsafe { write(file, bytes.as_ptr().cast(), bytes.len()) },
        }
    }
    fn pwritev(file: c_int, parts: *const iovec, count: c_int, offset: off_t) -> ssize_t {
        // SAFETY: the caller's promise.
        match unsafe { gathered(file, parts, count) } {
            None => real!(SYS_pwritev, file, parts, count, offset, 0) as ssize_t,
            // SAFETY: the bytes are ours.
            Some(bytes) => unsafe { pwrite(file, bytes.as_ptr().cast(), bytes.len(), offset) },
        }
    }
    fn pwritev64(file: c_int, parts: *const iovec, count: c_int, offset: off_t) -> ssize_t {
        // SAFETY: the caller's promise.
        unsafe { pwritev(file, parts, count, offset) }
    }

    fn ftruncate(file: c_int, length: off_t) -> c_int {
        changed(file, || real!(SYS_ftruncate, file, length), |layer, number, _| {
            layer.note(&Record::Length { file: number, length: length as u64 });
        })
    }
    fn ftruncate64(file: c_int, length: off_t) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { ftruncate(file, length) }
    }
    fn truncate(path: *const c_char, length: off_t) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { unmodelled_at("truncate", AT_FDCWD, path) };
        real!(SYS_truncate, path, length) as c_int
    }
    fn truncate64(path: *const c_char, length: off_t) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { truncate(path, length) }
    }
    fn fallocate(file: c_int, mode: c_int, offset: off_t, length: off_t) -> c_int {
        let is_full = layer().is_some_and(|layer| {
            watched(layer, file).is_some_and(|(mut state, _, inode)| {
                layer.is_full(&mut state, inode)
            })
        });
        if is_full {
            return failed(libc::ENOSPC) as c_int;
        }
        let call = || real!(SYS_fallocate, file, mode, offset, length);
        changed(file, call, |state, number, before| match mode {
            0 => {
                let length = before.max((offset + length) as u64);
                state.note(&Record::Length { file: number, length });
            }
            libc::FALLOC_FL_KEEP_SIZE => {}
            _ => unmodelled(state, "fallocate"),
        })
    }
    fn fallocate64(file: c_int, mode: c_int, offset: off_t, length: off_t) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { fallocate(file, mode, offset, length) }
    }
    fn posix_fallocate(file: c_int, offset: off_t, length: off_t) -> c_int {
        // SAFETY: the caller's promise.
        match unsafe { fallocate(file, 0, offset, length) } {
            0 => 0,
            // SAFETY: this thread's own.
            _ => unsafe { *libc::__errno_location() },
        }
    }
    fn posix_fallocate64(file: c_int, offset: off_t, length: off_t) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { posix_fallocate(file, offset, length) }
    }

    fn statvfs(path: *const c_char, found: *mut libc::statvfs) -> c_int {
        // SAFETY: the caller's promise.
        let is_watched = unsafe { watched_at(AT_FDCWD, path) }.is_some();
        let statfs = |told: *mut libc::statfs| real!(SYS_statfs, path, told);
        // SAFETY: the caller's promise.
        unsafe { room(is_watched, found, statfs) }
    }
    fn statvfs64(path: *const c_char, found: *mut libc::statvfs) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { statvfs(path, found) }
    }
    fn fstatvfs(file: c_int, found: *mut libc::statvfs) -> c_int {
        let is_watched = layer().is_some_and(|layer| watched(layer, file).is_some());
        let statfs = |told: *mut libc::statfs| real!(SYS_fstatfs, file, told);
        // SAFETY: the caller's promise.
        unsafe { room(is_watched, found, statfs) }
    }
    fn fstatvfs64(file: c_int, found: *mut libc::statvfs) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { fstatvfs(file, found) }
    }

    fn fsync(file: c_int) -> c_int {
        synced(file, || real!(SYS_fsync, file))
    }
    fn fdatasync(file: c_int) -> c_int {
        synced(file, || real!(SYS_fdatasync, file))
    }
    fn sync_file_range(file: c_int, offset: off_t, length: off_t, flags: c_uint) -> c_int {
        // Neither metadata nor the drive's cache: nothing is durable by it.
        real!(SYS_sync_file_range, file, offset, length, flags) as c_int
    }

    fn rename(from: *const c_char, to: *const c_char) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { rename_at(AT_FDCWD, from, AT_FDCWD, to, 0) }
    }
    fn renameat(from_in: c_int, from: *const c_char, to_in: c_int, to: *const c_char) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { rename_at(from_in, from, to_in, to, 0) }
    }
    fn renameat2(
        from_in: c_int,
        from: *const c_char,
        to_in: c_int,
        to: *const c_char,
        flags: c_uint,
    ) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { rename_at(from_in, from, to_in, to, flags) }
    }
    fn unlink(path: *const c_char) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { unlinkat(AT_FDCWD, path, 0) }
    }
    fn rmdir(path: *const c_char) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { unlinkat(AT_FDCWD, path, libc::AT_REMOVEDIR) }
    }
    fn unlinkat(folder: c_int, path: *const c_char, flags: c_int) -> c_int {
        let call = || real!(SYS_unlinkat, folder, path, flags);
        // SAFETY: the caller's promise.
        let Some((layer, below)) = (unsafe { watched_at(folder, path) }) else {
            return call() as c_int;
        };
        let mut state = layer.state();
        // SAFETY: the caller's promise.
        let removed = unsafe { status_at(folder, path) };
        let done = call();
        if done == 0 {
            if let Some(removed) = removed {
                state.forget(&removed);
            }
            state.note(&Record::Removed { path: below });
        }
        done as c_int
    }
    fn mkdir(path: *const c_char, mode: mode_t) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { mkdirat(AT_FDCWD, path, mode) }
    }
    fn mkdirat(folder: c_int, path: *const c_char, mode: mode_t) -> c_int {
        let call = || real!(SYS_mkdirat, folder, path, mode);
        // SAFETY: the caller's promise.
        let Some((layer, path)) = (unsafe { watched_at(folder, path) }) else {
            return call() as c_int;
        };
        let mut state = layer.state();
        let done = call();
        if done == 0 {
            state.note(&Record::MadeFolder { path });
        }
        done as c_int
    }

    fn link(from: *const c_char, to: *const c_char) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { linkat(AT_FDCWD, from, AT_FDCWD, to, 0) }
    }
    fn linkat(
        from_in: c_int,
        from: *const c_char,
        to_in: c_int,
        to: *const c_char,
        flags: c_int,
    ) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { unmodelled_at("link", to_in, to) };
        real!(SYS_linkat, from_in, from, to_in, to, flags) as c_int
    }
    fn symlink(from: *const c_char, to: *const c_char) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { symlinkat(from, AT_FDCWD, to) }
    }
    fn symlinkat(from: *const c_char, to_in: c_int, to: *const c_char) -> c_int {
        // SAFETY: the caller's promise.
        unsafe { unmodelled_at("symlink", to_in, to) };
        real!(SYS_symlinkat, from, to_in, to) as c_int
    }
    fn copy_file_range(
        from: c_int,
        from_at: *mut off_t,
        to: c_int,
        to_at: *mut off_t,
        length: size_t,
        flags: c_uint,
    ) -> ssize_t {
        unmodelled_in("copy_file_range", to);
        real!(SYS_copy_file_range, from, from_at, to, to_at, length, flags) as ssize_t
    }
    fn sendfile(to: c_int, from: c_int, offset: *mut off_t, length: size_t) -> ssize_t {
        unmodelled_in("sendfile", to);
        real!(SYS_sendfile, to, from, offset, length) as ssize_t
    }
    fn sendfile64(to: c_int, from: c_int, offset: *mut off_t, length: size_t) -> ssize_t {
        // SAFETY: the caller's promise.
        unsafe { sendfile(to, from, offset, length) }
    }
}

/// # Safety
/// As for libc's `openat`.
unsafe fn open_at(folder: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    let call = || real!(SYS_openat, folder, path, flags, mode) as c_int;
    // SAFETY: the caller's promise.
    let Some((layer, below)) = (unsafe { watched_at(folder, path) }) else { return call() };
    let mut state = layer.state();
    // SAFETY: the caller's promise.
    let before = unsafe { status_at(folder, path) };
    let file = call();
    if file < 0 {
        return file;
    }
    if flags & libc::O_TMPFILE == libc::O_TMPFILE {
        unmodelled(&mut state, "O_TMPFILE");
        return file;
    }
    let Some(status) = status(file) else { return file };
    let how = match (status.kind, &before) {
        (Kind::Folder, _) => Opened::Folder,
        (Kind::File, None) => Opened::Created,
        (Kind::File, Some(_)) => Opened::Existing,
        (Kind::Other, _) => return file,
    };
    state.opened(below, status.inode, how);
    let emptied = flags & libc::O_TRUNC != 0 && before.is_some_and(|before| before.length > 0);
    if let (true, Some(file)) = (emptied, state.number(status.inode)) {
        state.note(&Record::Length { file, length: 0 });
    }
    file
}

/// Does a write, or so much of it as the rules allow, and notes it.
///
/// # Safety
/// `bytes` has `length` bytes.
unsafe fn write_some(
    file: c_int,
    bytes: *const c_void,
    length: size_t,
    offset: Option<off_t>,
    write: impl FnOnce(usize) -> ssize_t,
) -> ssize_t {
    let Some(layer) = layer() else { return write(length) };
    if file == SAID {
        let mut state = layer.state();
        let written = write(length);
        if let Ok(written) = usize::try_from(written) {
            // SAFETY: the kernel has read as many.
            let bytes = unsafe { slice::from_raw_parts(bytes.cast(), written) }.to_vec();
            state.note(&Record::Said { bytes });
        }
        return written;
    }
    let Some((mut state, number, _)) = watched(layer, file) else { return write(length) };
    let (Some(at), Some(status)) = (place(file, offset), status(file)) else {
        return write(length);
    };
    let length = match layer.allowed(&mut state, &status, at, length) {
        Allowed::All => length,
        Allowed::Bytes(bytes) => bytes,
        Allowed::Fails(why) => return failed(why) as ssize_t,
    };
    let written = write(length);
    if let Ok(written @ 1..) = usize::try_from(written) {
        // SAFETY: the kernel has read as many.
        let bytes = unsafe { slice::from_raw_parts(bytes.cast(), written) }.to_vec();
        state.note(&Record::Wrote { file: number, offset: at, bytes });
    }
    written
}

/// Where a write begins.
fn place(file: c_int, offset: Option<off_t>) -> Option<u64> {
    // SAFETY: takes a descriptor and gives a number.
    let flags = unsafe { libc::fcntl(file, libc::F_GETFL) };
    if flags & libc::O_APPEND != 0 {
        return status(file).map(|status| status.length); // for `pwrite` too, on Linux
    }
    // SAFETY: moves nothing.
    let here = offset.unwrap_or_else(|| unsafe { libc::lseek(file, 0, libc::SEEK_CUR) });
    u64::try_from(here).ok()
}

/// The parts of a write as one, if it is to be noted.
///
/// # Safety
/// As for libc's `writev`.
unsafe fn gathered(file: c_int, parts: *const iovec, count: c_int) -> Option<Vec<u8>> {
    let layer = layer()?;
    if file != SAID {
        drop(watched(layer, file)?);
    }
    // SAFETY: the caller's promise.
    let parts = unsafe { slice::from_raw_parts(parts, usize::try_from(count).ok()?) };
    let bytes = parts.iter().filter(|part| part.iov_len > 0).flat_map(|part| {
        // SAFETY: the caller's promise.
        unsafe { slice::from_raw_parts(part.iov_base.cast::<u8>(), part.iov_len) }
    });
    Some(bytes.copied().collect())
}

/// Tells how much room there is, in the words of libc, which the kernel has others for.
///
/// # Safety
/// `found` has room for what is found.
unsafe fn room(
    is_watched: bool,
    found: *mut libc::statvfs,
    statfs: impl FnOnce(*mut libc::statfs) -> c_long,
) -> c_int {
    // SAFETY: all zero is a value of this plain structure.
    let mut told: libc::statfs = unsafe { std::mem::zeroed() };
    if statfs(&mut told) != 0 {
        return -1;
    }
    if layer().is_some_and(|layer| is_watched && layer.says_full(&layer.state())) {
        (told.f_bfree, told.f_bavail) = (0, 0);
    }
    // SAFETY: as above.
    let mut room: libc::statvfs = unsafe { std::mem::zeroed() };
    room.f_bsize = told.f_bsize as _;
    room.f_frsize = if told.f_frsize == 0 { told.f_bsize } else { told.f_frsize } as _;
    room.f_blocks = told.f_blocks;
    room.f_bfree = told.f_bfree;
    room.f_bavail = told.f_bavail;
    room.f_files = told.f_files;
    room.f_ffree = told.f_ffree;
    room.f_favail = told.f_ffree;
    room.f_namemax = told.f_namelen as _;
    // SAFETY: the caller's promise.
    unsafe { found.write(room) };
    0
}

/// Makes a call, and notes what it has changed; `note` is told how long the file was.
fn changed(
    file: c_int,
    call: impl FnOnce() -> c_long,
    note: impl FnOnce(&mut State, u64, u64),
) -> c_int {
    let Some((mut state, number, _)) = layer().and_then(|layer| watched(layer, file)) else {
        return call() as c_int;
    };
    let before = status(file).map_or(0, |status| status.length);
    let done = call();
    if done == 0 {
        note(&mut state, number, before);
    }
    done as c_int
}

/// Notes a sync, which takes its time, and reaches no disk.
fn synced(file: c_int, call: impl FnOnce() -> c_long) -> c_int {
    let Some(layer) = layer() else { return call() as c_int };
    let Some((mut state, number, inode)) = watched(layer, file) else { return call() as c_int };
    let covers = state.records();
    let failure = layer.sync_failure(&mut state, inode);
    if failure == Some(Failure::Io) {
        state.note(&Record::Synced { file: number, covers, durable: false });
        return failed(libc::EIO) as c_int;
    }
    drop(state);
    std::thread::sleep(layer.sync_takes);
    if failure != Some(Failure::Lie) {
        layer.state().note(&Record::Synced { file: number, covers, durable: true });
    }
    0
}

/// # Safety
/// As for libc's `renameat2`.
unsafe fn rename_at(
    from_in: c_int,
    from: *const c_char,
    to_in: c_int,
    to: *const c_char,
    flags: c_uint,
) -> c_int {
    let call = || real!(SYS_renameat2, from_in, from, to_in, to, flags) as c_int;
    // SAFETY: the caller's promise.
    let (source, target) = unsafe { (watched_at(from_in, from), watched_at(to_in, to)) };
    let Some(layer) = layer().filter(|_| source.is_some() || target.is_some()) else {
        return call();
    };
    let mut state = layer.state();
    // SAFETY: the caller's promise.
    let (moved, replaced) = unsafe { (status_at(from_in, from), status_at(to_in, to)) };
    let done = call();
    if done == 0 {
        match (source, target, moved) {
            (Some((_, from)), Some((_, to)), Some(moved))
                if flags == 0 && moved.kind == Kind::File =>
            {
                if let Some(replaced) = replaced {
                    state.forget(&replaced);
                }
                state.renamed(moved.inode, from, to);
            }
            _ => unmodelled(&mut state, "renaming a folder, in or out, or by exchange"),
        }
    }
    done
}

/// The layer, and where below its folder a path is.
///
/// # Safety
/// `path` is null or a string with a zero at its end.
unsafe fn watched_at(folder: c_int, path: *const c_char) -> Option<(&'static Layer, String)> {
    let layer = layer()?;
    // SAFETY: the caller's promise.
    Some((layer, unsafe { layer.below(folder, path) }?))
}

/// The state, and the number and inode of a descriptor's file, if it is watched.
fn watched(layer: &Layer, file: c_int) -> Option<(std::sync::MutexGuard<'_, State>, u64, Inode)> {
    let inode = status(file)?.inode;
    let state = layer.state();
    let number = state.number(inode)?;
    Some((state, number, inode))
}

fn unmodelled(state: &mut State, call: &str) {
    state.note(&Record::Unmodelled { call: call.to_owned() });
}

/// # Safety
/// `path` is null or a string with a zero at its end.
unsafe fn unmodelled_at(call: &str, folder: c_int, path: *const c_char) {
    // SAFETY: the caller's promise.
    if let Some((layer, _)) = unsafe { watched_at(folder, path) } {
        unmodelled(&mut layer.state(), call);
    }
}

fn unmodelled_in(call: &str, file: c_int) {
    if let Some((mut state, ..)) = layer().and_then(|layer| watched(layer, file)) {
        unmodelled(&mut state, call);
    }
}

/// Fails a call, as libc does.
fn failed(why: c_int) -> c_long {
    // SAFETY: this thread's own.
    unsafe { *libc::__errno_location() = why };
    -1
}
