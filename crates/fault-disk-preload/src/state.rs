//! What is known of the watched files, and the journal.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, OsString, c_char, c_int};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use std::{env, mem};

use fault_disk::{Call, Failure, Opened, Record, Rule, STOP, When, environment};

/// The layer, if this process was told to have one.
pub(crate) fn layer() -> Option<&'static Layer> {
    static LAYER: OnceLock<Option<Layer>> = OnceLock::new();
    LAYER.get_or_init(Layer::from_environment).as_ref()
}

pub(crate) struct Layer {
    folder: PathBuf,
    flags: PathBuf,
    pub(crate) sync_takes: Duration,
    state: Mutex<State>,
}

/// A file or folder, whatever it is called.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Inode(u64, u64);

pub(crate) struct Status {
    pub(crate) inode: Inode,
    pub(crate) kind: Kind,
    pub(crate) links: u64,
    pub(crate) length: u64,
    /// The bytes of the blocks that it has. They are its first ones, as far as this layer knows.
    pub(crate) allocated: u64,
}

#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Kind {
    File,
    Folder,
    Other,
}

pub(crate) struct State {
    journal: c_int,
    numbers: BTreeMap<Inode, Known>,
    next_number: u64,
    records: u64,
    rules: Vec<Counted>,
}

struct Known {
    number: u64,
    path: String,
}

struct Counted {
    rule: Rule,
    calls: u64,
    bytes: u64,
}

/// What a write may do.
pub(crate) enum Allowed {
    All,
    /// Only so many bytes.
    Bytes(usize),
    /// Nothing, for this reason.
    Fails(c_int),
}

impl Layer {
    fn from_environment() -> Option<Self> {
        let folder = PathBuf::from(env::var_os(environment::FOLDER)?);
        let flags = PathBuf::from(env::var_os(environment::FLAGS)?);
        let journal = CString::new(env::var_os(environment::JOURNAL)?.into_vec()).ok()?;
        let micros = env::var(environment::SYNC_MICROS).ok()?.parse().ok()?;
        let rules = Rule::parse_all(&env::var(environment::RULES).ok()?)?;
        let flags_of_open = libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_CLOEXEC;
        // SAFETY: the path is a string with a zero at its end that lives until after the call.
        let journal = unsafe {
            libc::syscall(libc::SYS_openat, libc::AT_FDCWD, journal.as_ptr(), flags_of_open, 0o600)
        };
        let journal = c_int::try_from(journal).ok().filter(|journal| *journal >= 0)?;
        let rules = rules.into_iter().map(|rule| Counted { rule, calls: 0, bytes: 0 }).collect();
        let numbers = BTreeMap::new();
        let mut state = State { journal, numbers, next_number: 1, records: 0, rules };
        state.note(&Record::Started);
        let sync_takes = Duration::from_micros(micros);
        Some(Self { folder, flags, sync_takes, state: Mutex::new(state) })
    }

    /// The state, to itself. Ends the process if it is to end: here no call is done and not noted.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_up(STOP) {
            // SAFETY: ends the process, whatever it is doing.
            unsafe { libc::_exit(98) }
        }
        state
    }

    /// Where a file is below the watched folder; none when it is elsewhere.
    ///
    /// # Safety
    /// `path` is null or a string with a zero at its end.
    pub(crate) unsafe fn below(&self, folder: c_int, path: *const c_char) -> Option<String> {
        if path.is_null() {
            return None;
        }
        // SAFETY: the caller's promise.
        let bytes = unsafe { CStr::from_ptr(path) }.to_bytes();
        let path = Path::new(std::ffi::OsStr::from_bytes(bytes));
        let mut whole = match folder {
            _ if path.is_absolute() => PathBuf::new(),
            libc::AT_FDCWD => env::current_dir().ok()?,
            folder => read_link(&format!("/proc/self/fd/{folder}"))?,
        };
        for component in path.components() {
            match component {
                Component::ParentDir => drop(whole.pop()),
                Component::CurDir => {}
                Component::Prefix(_) | Component::RootDir | Component::Normal(_) => {
                    whole.push(component);
                }
            }
        }
        whole.strip_prefix(&self.folder).ok()?.to_str().map(str::to_owned)
    }

    /// What a sync does instead, by the rules.
    pub(crate) fn sync_failure(&self, state: &mut State, inode: Inode) -> Option<Failure> {
        state
            .failures(Call::Sync, inode, |flag| self.is_up(flag))
            .next()
            .map(|(failure, _)| failure)
    }

    /// Whether there is no room for a file to grow, by the rules.
    pub(crate) fn is_full(&self, state: &mut State, inode: Inode) -> bool {
        let failure = state.failures(Call::Grow, inode, |flag| self.is_up(flag)).next();
        matches!(failure, Some((Failure::NoRoom(_), _)))
    }

    /// Whether the disk says that there is no room, by the rules.
    pub(crate) fn says_full(&self, state: &State) -> bool {
        state.rules.iter().any(|Counted { rule, calls, .. }| {
            let applies = match &rule.when {
                When::At(n) => calls + 1 == *n,
                When::From(n) => calls + 1 >= *n,
                When::While(flag) => self.is_up(flag),
            };
            rule.call == Call::Grow && matches!(rule.failure, Failure::NoRoom(_)) && applies
        })
    }

    /// How much of a write at some place is done, by the rules.
    pub(crate) fn allowed(
        &self,
        state: &mut State,
        status: &Status,
        at: u64,
        bytes: usize,
    ) -> Allowed {
        let inode = status.inode;
        let has_blocks = at.saturating_add(bytes as u64) <= status.allocated;
        if !has_blocks && self.is_full(state, inode) {
            return match usize::try_from(status.allocated.saturating_sub(at)) {
                Ok(0) => Allowed::Fails(libc::ENOSPC),
                fits => Allowed::Bytes(fits.unwrap_or(bytes)),
            };
        }
        let failure = state.failures(Call::Write, inode, |flag| self.is_up(flag)).next();
        match failure {
            None | Some((Failure::Lie, _)) => Allowed::All,
            Some((Failure::Io, _)) => Allowed::Fails(libc::EIO),
            Some((Failure::Short, _)) if bytes < 2 => Allowed::All,
            Some((Failure::Short, _)) => Allowed::Bytes(bytes / 2),
            Some((Failure::NoRoom(room), written)) => {
                let left = room.saturating_sub(*written);
                let fits = usize::try_from(left).unwrap_or(usize::MAX).min(bytes);
                *written += fits as u64;
                match fits {
                    0 if bytes > 0 => Allowed::Fails(libc::ENOSPC),
                    fits => Allowed::Bytes(fits),
                }
            }
        }
    }

    fn is_up(&self, flag: &str) -> bool {
        let Ok(path) = CString::new(self.flags.join(flag).into_os_string().into_vec()) else {
            return false;
        };
        // SAFETY: the path is a string with a zero at its end that lives until after the call.
        unsafe { libc::access(path.as_ptr(), libc::F_OK) == 0 }
    }
}

impl State {
    /// Adds a record to the journal. Ends the process if that cannot be done: it would be wrong.
    pub(crate) fn note(&mut self, record: &Record) {
        let bytes = record.encode();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            // SAFETY: the bytes are there for the length that is given.
            let written =
                unsafe { libc::syscall(libc::SYS_write, self.journal, rest.as_ptr(), rest.len()) };
            match usize::try_from(written) {
                Ok(written) => rest = &rest[written..],
                // SAFETY: ends the process, whatever it is doing.
                Err(_) => unsafe { libc::_exit(97) },
            }
        }
        self.records += 1;
    }

    /// How many records there are.
    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// The number of a file that is watched.
    pub(crate) fn number(&self, inode: Inode) -> Option<u64> {
        self.numbers.get(&inode).map(|known| known.number)
    }

    /// Notes that a file was opened.
    pub(crate) fn opened(&mut self, path: String, inode: Inode, how: Opened) {
        if how != Opened::Created && self.numbers.contains_key(&inode) {
            return;
        }
        let number = self.next_number;
        self.next_number += 1;
        self.note(&Record::Opened { file: number, path: path.clone(), how });
        self.numbers.insert(inode, Known { number, path });
    }

    /// Notes that a file is called otherwise.
    pub(crate) fn renamed(&mut self, inode: Inode, from: String, to: String) {
        if let Some(known) = self.numbers.get_mut(&inode) {
            known.path.clone_from(&to);
        }
        self.note(&Record::Renamed { from, to });
    }

    /// Forgets a file that has no name any more: another may get its inode.
    pub(crate) fn forget(&mut self, status: &Status) {
        if status.kind == Kind::Folder || status.links <= 1 {
            self.numbers.remove(&status.inode);
        }
    }

    /// Counts a call for each rule that is about it, and gives what those say that apply now, with the
    /// bytes that they let through.
    fn failures(
        &mut self,
        call: Call,
        inode: Inode,
        is_up: impl Fn(&str) -> bool,
    ) -> impl Iterator<Item = (Failure, &mut u64)> {
        let path = self.numbers.get(&inode).map_or("", |known| &known.path);
        let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
        let mut apply = Vec::new();
        for Counted { rule, calls, bytes } in &mut self.rules {
            if rule.call != call || !(rule.file.is_empty() || rule.file == name) {
                continue;
            }
            *calls += 1;
            let applies = match &rule.when {
                When::At(n) => calls == n,
                When::From(n) => *calls >= *n,
                When::While(flag) => is_up(flag),
            };
            if applies {
                apply.push((rule.failure, bytes));
            }
        }
        apply.into_iter()
    }
}

/// What there is to know of a descriptor's file.
pub(crate) fn status(file: c_int) -> Option<Status> {
    // SAFETY: all zero is a value of this plain structure.
    let mut found: libc::stat = unsafe { mem::zeroed() };
    // SAFETY: the structure lives until after the call.
    let done = unsafe { libc::fstat(file, &mut found) };
    (done == 0).then(|| status_of(&found))
}

/// What there is to know of a path's file; none when there is none.
///
/// # Safety
/// `path` is a string with a zero at its end.
pub(crate) unsafe fn status_at(folder: c_int, path: *const c_char) -> Option<Status> {
    // SAFETY: all zero is a value of this plain structure.
    let mut found: libc::stat = unsafe { mem::zeroed() };
    // SAFETY: the caller's promise, and the structure lives until after the call.
    let done = unsafe { libc::fstatat(folder, path, &mut found, libc::AT_SYMLINK_NOFOLLOW) };
    (done == 0).then(|| status_of(&found))
}

fn status_of(found: &libc::stat) -> Status {
    Status {
        inode: Inode(found.st_dev, found.st_ino),
        kind: match found.st_mode & libc::S_IFMT {
            libc::S_IFREG => Kind::File,
            libc::S_IFDIR => Kind::Folder,
            _ => Kind::Other,
        },
        #[allow(clippy::unnecessary_cast)] // narrower on some processors
        links: found.st_nlink as u64,
        length: u64::try_from(found.st_size).unwrap_or(0),
        allocated: u64::try_from(found.st_blocks).unwrap_or(0) * 512,
    }
}

fn read_link(path: &str) -> Option<PathBuf> {
    let path = CString::new(path).ok()?;
    let mut bytes = vec![0_u8; 4096];
    // SAFETY: path and room live until after the call, and the room is as long as it says.
    let length = unsafe { libc::readlink(path.as_ptr(), bytes.as_mut_ptr().cast(), bytes.len()) };
    bytes.truncate(usize::try_from(length).ok()?);
    Some(PathBuf::from(OsString::from_vec(bytes)))
}
