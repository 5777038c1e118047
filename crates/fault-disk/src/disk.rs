//! The model: what is durable, what may be, and what a cut leaves.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::{Image, Opened, Random, Record};

/// The size of what the kernel holds for clean or dirty.
const PAGE_BYTES: u64 = 4096;
/// What a drive writes whole: a sector, or a page.
const BLOCK_BYTES: [u64; 2] = [512, PAGE_BYTES];

/// The process did what there is no model of: nothing can be said about a cut after it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not modelled: {0}")]
pub struct Unmodelled(pub String);

/// A disk, and what was written to it and may not be on it yet.
#[derive(Clone, Debug)]
pub struct Disk {
    nodes: Vec<Node>,
    /// The numbers of this process.
    numbers: HashMap<u64, usize>,
    /// How many records there were.
    count: u64,
    /// How many there were when this process began.
    started: u64,
}

#[derive(Clone, Debug)]
enum Node {
    File(File),
    Folder(Folder),
}

#[derive(Clone, Debug, Default)]
struct File {
    durable: Vec<u8>,
    /// In the order in which they happened.
    pending: Vec<Pending<Change>>,
}

#[derive(Clone, Debug, Default)]
struct Folder {
    now: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    pending: Vec<Pending<Naming>>,
}

#[derive(Clone, Debug)]
struct Pending<T> {
    /// The record's number.
    at: u64,
    what: T,
    /// A sync of it failed: the kernel will not write it again.
    forgotten: bool,
}

#[derive(Clone, Debug)]
enum Change {
    Wrote { offset: u64, bytes: Vec<u8> },
    Length(u64),
}

#[derive(Clone, Debug)]
enum Naming {
    Made { name: String, node: usize },
    Renamed { from: String, to: String },
    Removed { name: String },
}

impl Disk {
    /// A disk with `image` on it, durably.
    pub fn new(image: &Image) -> Self {
        let root = Node::Folder(Folder::default());
        let mut disk = Self { nodes: vec![root], numbers: HashMap::new(), count: 0, started: 0 };
        for (path, bytes) in &image.0 {
            let node = disk.nodes.len();
            disk.nodes.push(match bytes {
                Some(bytes) => Node::File(File { durable: bytes.clone(), pending: Vec::new() }),
                None => Node::Folder(Folder::default()),
            });
            // A folder stands before what is in it: paths are sorted.
            if let Some((folder, name)) = disk.parent(path) {
                folder.now.insert(name.clone(), node);
                folder.durable.insert(name, node);
            }
        }
        disk
    }

    /// Goes on by one record.
    ///
    /// # Errors
    /// [`Unmodelled`]; the disk is then of no more use.
    pub fn apply(&mut self, record: &Record) -> Result<(), Unmodelled> {
        let at = self.count;
        self.count += 1;
        let unknown = |what: &str| Unmodelled(format!("{what}, which was not seen before"));
        match record {
            Record::Started => {
                self.numbers.clear();
                self.started = at;
            }
            Record::Opened { file, path, how: Opened::Created } => {
                let node = self.nodes.len();
                self.nodes.push(Node::File(File::default()));
                self.make(at, path, node)?;
                self.numbers.insert(*file, node);
            }
            Record::Opened { file, path, how: Opened::Existing | Opened::Folder } => {
                let node = self.find(path).ok_or_else(|| unknown(path))?;
                self.numbers.insert(*file, node);
            }
            Record::Wrote { file, offset, bytes } => {
                let change = Change::Wrote { offset: *offset, bytes: bytes.clone() };
                self.file(*file)?.change(at, change);
            }
            Record::Length { file, length } => {
                self.file(*file)?.change(at, Change::Length(*length))
            }
            Record::Synced { file, covers, durable } => {
                let before = self.started + covers;
                let node = *self.numbers.get(file).ok_or_else(|| unknown("a file"))?;
                match (&mut self.nodes[node], durable) {
                    (Node::File(file), true) => file.synced(before),
                    (Node::File(file), false) => forget(&mut file.pending, before),
                    (Node::Folder(folder), true) => folder.synced(before),
                    (Node::Folder(_), false) => {} // names stand in the file system's journal
                }
            }
            Record::MadeFolder { path } => {
                let node = self.nodes.len();
                self.nodes.push(Node::Folder(Folder::default()));
                self.make(at, path, node)?;
            }
            Record::Renamed { from, to } => {
                let (parent, name) = from.rsplit_once('/').unwrap_or(("", from));
                let (to_parent, to_name) = to.rsplit_once('/').unwrap_or(("", to));
                if parent != to_parent {
                    return Err(Unmodelled("renaming from folder to folder".to_owned()));
                }
                let naming = Naming::Renamed { from: name.to_owned(), to: to_name.to_owned() };
                let (folder, _) = self.parent(from).ok_or_else(|| unknown(from))?;
                folder.change(at, naming);
            }
            Record::Removed { path } => {
                let (folder, name) = self.parent(path).ok_or_else(|| unknown(path))?;
                folder.change(at, Naming::Removed { name });
            }
            Record::Said { .. } => {}
            Record::Unmodelled { call } => return Err(Unmodelled(call.clone())),
        }
        Ok(())
    }

    /// Cuts the power: one of the states that the disk may then be in.
    pub fn cut(&self, seed: u64) -> Image {
        let mut random = Random::new(seed);
        let block_bytes = BLOCK_BYTES[usize::from(random.percent(50))];
        let mut image = Image::default();
        self.cut_folder(0, "", block_bytes, &mut random, &mut image);
        image
    }

    fn cut_folder(
        &self,
        node: usize,
        prefix: &str,
        block_bytes: u64,
        random: &mut Random,
        image: &mut Image,
    ) {
        let Node::Folder(folder) = &self.nodes[node] else { return };
        let mut names = folder.durable.clone();
        let kept = Luck::new(random).count(folder.pending.len() as u64, random);
        for pending in folder.pending.iter().take(kept as usize) {
            pending.what.apply(&mut names);
        }
        for (name, node) in names {
            let path = format!("{prefix}{name}");
            match &self.nodes[node] {
                Node::File(file) => {
                    image.0.insert(path, Some(file.cut(block_bytes, random)));
                }
                Node::Folder(_) => {
                    let prefix = format!("{path}/");
                    image.0.insert(path, None);
                    self.cut_folder(node, &prefix, block_bytes, random, image);
                }
            }
        }
    }

    fn make(&mut self, at: u64, path: &str, node: usize) -> Result<(), Unmodelled> {
        let (folder, name) =
            self.parent(path).ok_or_else(|| Unmodelled(format!("{path} in no folder")))?;
        folder.change(at, Naming::Made { name, node });
        Ok(())
    }

    fn file(&mut self, number: u64) -> Result<&mut File, Unmodelled> {
        let node = self.numbers.get(&number).map(|&node| &mut self.nodes[node]);
        match node {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Folder(_)) | None => Err(Unmodelled(format!("{number} is no file"))),
        }
    }

    fn find(&self, path: &str) -> Option<usize> {
        let names = path.split('/').filter(|name| !name.is_empty());
        names.into_iter().try_fold(0, |node, name| match &self.nodes[node] {
            Node::Folder(folder) => folder.now.get(name).copied(),
            Node::File(_) => None,
        })
    }

    /// The folder that a path stands in, and its name there.
    fn parent(&mut self, path: &str) -> Option<(&mut Folder, String)> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let node = self.find(parent)?;
        match &mut self.nodes[node] {
            Node::Folder(folder) => Some((folder, name.to_owned())),
            Node::File(_) => None,
        }
    }
}

impl Folder {
    fn change(&mut self, at: u64, what: Naming) {
        what.apply(&mut self.now);
        self.pending.push(Pending { at, what, forgotten: false });
    }

    fn synced(&mut self, before: u64) {
        let covered = self.pending.partition_point(|pending| pending.at < before);
        for pending in self.pending.drain(..covered) {
            pending.what.apply(&mut self.durable);
        }
    }
}

impl Naming {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Made { name, node } => {
                names.insert(name.clone(), *node);
            }
            Self::Renamed { from, to } => {
                if let Some(node) = names.remove(from) {
                    names.insert(to.clone(), node);
                }
            }
            Self::Removed { name } => {
                names.remove(name);
            }
        }
    }
}

impl File {
    fn change(&mut self, at: u64, what: Change) {
        self.pending.push(Pending { at, what, forgotten: false });
    }

    /// What was changed before, and not forgotten, is on the disk.
    fn synced(&mut self, before: u64) {
        let covered = self.pending.partition_point(|pending| pending.at < before);
        let later = self.pending.split_off(covered);
        let covered = std::mem::take(&mut self.pending);
        // A page that was written to since a failed sync is written as a whole.
        let mut dirty = BTreeSet::new();
        for pending in covered.iter().filter(|pending| !pending.forgotten) {
            if let Change::Wrote { offset, bytes } = &pending.what {
                dirty.extend(pieces(*offset, bytes, PAGE_BYTES).map(|(page, ..)| page));
            }
        }
        for Pending { at, what, forgotten } in covered {
            match what {
                Change::Length(length) => resize(&mut self.durable, length),
                Change::Wrote { offset, bytes } if !forgotten => {
                    write(&mut self.durable, offset, &bytes);
                }
                Change::Wrote { offset, bytes } => {
                    for (page, offset, bytes) in pieces(offset, &bytes, PAGE_BYTES) {
                        if dirty.contains(&page) {
                            write(&mut self.durable, offset, bytes);
                        } else {
                            let what = Change::Wrote { offset, bytes: bytes.to_vec() };
                            self.pending.push(Pending { at, what, forgotten });
                        }
                    }
                }
            }
        }
        self.pending.extend(later);
    }

    fn cut(&self, block_bytes: u64, random: &mut Random) -> Vec<u8> {
        let luck = Luck::new(random);
        // Of each block, how many of the states that it went through are behind it.
        let mut states = BTreeMap::<u64, u64>::new();
        let mut lengths = 0;
        for pending in &self.pending {
            match &pending.what {
                Change::Wrote { offset, bytes } => {
                    for (block, ..) in pieces(*offset, bytes, block_bytes) {
                        *states.entry(block).or_default() += 1;
                    }
                }
                Change::Length(_) => lengths += 1,
            }
        }
        for count in states.values_mut() {
            *count = luck.count(*count, random);
        }
        lengths = luck.count(lengths, random);

        let mut bytes = self.durable.clone();
        let mut shortest = bytes.len() as u64;
        let mut longest = shortest;
        for pending in &self.pending {
            match &pending.what {
                Change::Length(length) if lengths > 0 => {
                    lengths -= 1;
                    resize(&mut bytes, *length);
                    (shortest, longest) = (*length, *length);
                }
                Change::Length(length) => longest = longest.max(*length),
                Change::Wrote { offset, bytes: written } => {
                    longest = longest.max(offset + written.len() as u64);
                    for (block, offset, piece) in pieces(*offset, written, block_bytes) {
                        let left = states.get_mut(&block).filter(|left| **left > 0);
                        if let Some(left) = left {
                            *left -= 1;
                            write(&mut bytes, offset, piece);
                        }
                    }
                }
            }
        }
        let longer = luck.amount(longest.saturating_sub(shortest), random);
        resize(&mut bytes, shortest + longer);
        bytes
    }
}

/// How much of what is not durable is there all the same.
#[derive(Clone, Copy)]
enum Luck {
    Nothing,
    Everything,
    /// Each with so many percent.
    Some(u64),
}

impl Luck {
    fn new(random: &mut Random) -> Self {
        match random.up_to(7) {
            0 => Self::Nothing,
            1 => Self::Everything,
            2 => Self::Some(5),
            3 | 4 => Self::Some(95),
            _ => Self::Some(random.up_to(100)),
        }
    }

    /// How many of so many changes, which come one after the other.
    fn count(self, all: u64, random: &mut Random) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Everything => all,
            Self::Some(chance) if random.percent(chance) => random.up_to(all),
            Self::Some(_) => 0,
        }
    }

    /// How much of something that grew.
    fn amount(self, all: u64, random: &mut Random) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Everything => all,
            Self::Some(chance) if random.percent(chance) => all,
            Self::Some(_) => random.up_to(all),
        }
    }
}

/// A write, cut where blocks end: the block's number, the place in the file, the bytes.
fn pieces(
    offset: u64,
    bytes: &[u8],
    block_bytes: u64,
) -> impl Iterator<Item = (u64, u64, &[u8])> + use<'_> {
    let (mut offset, mut rest) = (offset, bytes);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let length = (block_bytes - offset % block_bytes).min(rest.len() as u64);
        let (piece, after) = rest.split_at(length as usize);
        let found = (offset / block_bytes, offset, piece);
        (offset, rest) = (offset + length, after);
        Some(found)
    })
}

fn write(file: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let start = offset as usize;
    let end = start + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[start..end].copy_from_slice(bytes);
}

fn resize(file: &mut Vec<u8>, length: u64) {
    file.resize(length as usize, 0);
}

fn forget(pending: &mut [Pending<Change>], before: u64) {
    for pending in pending.iter_mut().take_while(|pending| pending.at < before) {
        pending.forgotten = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEDS: u64 = 400;

    fn opened(file: u64, path: &str, how: Opened) -> Record {
        Record::Opened { file, path: path.to_owned(), how }
    }

    fn wrote(file: u64, offset: u64, bytes: &[u8]) -> Record {
        Record::Wrote { file, offset, bytes: bytes.to_vec() }
    }

    fn synced(file: u64, covers: u64) -> Record {
        Record::Synced { file, covers, durable: true }
    }

    fn renamed(from: &str, to: &str) -> Record {
        Record::Renamed { from: from.to_owned(), to: to.to_owned() }
    }

    /// All the states that cuts leave, over many seeds.
    fn cuts(image: &Image, records: &[Record]) -> BTreeSet<Image> {
        let mut disk = Disk::new(image);
        for record in records {
            disk.apply(record).expect("modelled");
        }
        (0..SEEDS).map(|seed| disk.cut(seed)).collect()
    }

    fn image(files: &[(&str, &[u8])]) -> Image {
        Image(files.iter().map(|(path, bytes)| (path.to_string(), Some(bytes.to_vec()))).collect())
    }

    fn existing(bytes: &[u8], then: &[Record]) -> BTreeSet<Vec<u8>> {
        let mut records = vec![Record::Started, opened(1, "a", Opened::Existing)];
        records.extend_from_slice(then);
        let cuts = cuts(&image(&[("a", bytes)]), &records);
        cuts.into_iter().filter_map(|image| image.0.get("a").cloned().flatten()).collect()
    }

    #[test]
    fn what_was_synced_is_there_and_what_was_not_may_be() {
        let left = existing(b"old", &[wrote(1, 0, b"new"), synced(1, 3)]);
        assert_eq!(left, [b"new".to_vec()].into());
        let left = existing(b"old", &[wrote(1, 0, b"new")]);
        assert_eq!(left, [b"new".to_vec(), b"old".to_vec()].into());
        // Written after the sync began, and before it ended.
        let left = existing(b"old", &[wrote(1, 0, b"new"), synced(1, 2)]);
        assert_eq!(left.len(), 2);
    }

    #[test]
    fn blocks_go_through_their_states_each_for_itself() {
        let (one, two) = (vec![1; 1024], vec![2; 1024]);
        let left = existing(&[0; 1024], &[wrote(1, 0, &one), wrote(1, 0, &two)]);
        let blocks = |first, second| [[first; 512], [second; 512]].concat();
        for first in 0..3 {
            for second in 0..3 {
                assert!(left.contains(&blocks(first, second)), "{first} {second}");
            }
        }
        assert_eq!(left.len(), 9, "a sector is never torn");
        // Two writes to one block: the second is not there without the first.
        let left = existing(b"..", &[wrote(1, 0, b"1"), wrote(1, 1, b"2")]);
        assert_eq!(left, [b"..".to_vec(), b"1.".to_vec(), b"12".to_vec()].into());
    }

    #[test]
    fn a_file_is_as_long_as_was_synced_or_longer() {
        let left = existing(b"", &[wrote(1, 0, &[7; 600]), synced(1, 3), wrote(1, 600, &[8; 9])]);
        assert!(left.iter().all(|bytes| bytes[..600] == [7; 600] && bytes.len() <= 609));
        assert!(left.iter().any(|bytes| bytes.len() == 600));
        assert!(left.iter().any(|bytes| bytes[600..] == [8; 9]));
        assert!(left.iter().any(|bytes| bytes[600..] == [0; 9]), "long, and not written");
        let left = existing(b"long", &[Record::Length { file: 1, length: 1 }]);
        assert_eq!(left, [b"l".to_vec(), b"long".to_vec()].into());
    }

    #[test]
    fn a_name_is_there_once_its_folder_was_synced() {
        let made =
            [Record::Started, opened(1, "a", Opened::Created), wrote(1, 0, b"x"), synced(1, 3)];
        let of = |more: &[Record]| cuts(&Image::default(), &[&made, more].concat());
        assert_eq!(of(&[]), [image(&[]), image(&[("a", b"x")])].into());
        let folder = opened(2, "", Opened::Folder);
        let left = of(&[folder.clone(), synced(2, 5), renamed("a", "b")]);
        assert_eq!(left, [image(&[("a", b"x")]), image(&[("b", b"x")])].into());
        let removed = Record::Removed { path: "b".to_owned() };
        let left = of(&[folder, synced(2, 5), renamed("a", "b"), removed]);
        let expected = [image(&[]), image(&[("a", b"x")]), image(&[("b", b"x")])];
        assert_eq!(left, expected.into(), "in order");
    }

    #[test]
    fn what_is_in_a_folder_without_a_name_is_gone() {
        let made = [
            Record::Started,
            Record::MadeFolder { path: "f".to_owned() },
            opened(1, "f/a", Opened::Created),
            opened(2, "f", Opened::Folder),
            synced(2, 4),
        ];
        let left = cuts(&Image::default(), &made);
        let whole = Image([("f".to_owned(), None), ("f/a".to_owned(), Some(Vec::new()))].into());
        assert_eq!(left, [Image::default(), whole].into());
    }

    #[test]
    fn a_sync_after_one_that_failed_covers_what_was_written_since() {
        let failed = Record::Synced { file: 1, covers: 4, durable: false };
        let (one, two) = (wrote(1, 0, b"1"), wrote(1, 2 * PAGE_BYTES, b"2"));
        let old = vec![b'.'; 2 * PAGE_BYTES as usize + 1];
        let left = existing(&old, &[one.clone(), two.clone(), failed.clone(), synced(1, 5)]);
        assert_eq!(left.len(), 4, "the pages are held for clean");
        let again = wrote(1, 5, b"again");
        let left = existing(&old, &[one, two, failed, again, synced(1, 6)]);
        assert_eq!(left.len(), 2);
        assert!(left.iter().all(|bytes| bytes.starts_with(b"1....again")));
    }

    #[test]
    fn numbers_begin_anew_with_a_process_and_nothing_becomes_durable_by_its_end() {
        let second = [Record::Started, opened(1, "b", Opened::Existing), wrote(1, 0, b"2")];
        let mut records =
            vec![Record::Started, opened(1, "a", Opened::Existing), wrote(1, 0, b"1")];
        records.extend(second);
        records.push(synced(1, 3));
        let left = cuts(&image(&[("a", b"."), ("b", b".")]), &records);
        assert_eq!(
            left,
            [image(&[("a", b"."), ("b", b"2")]), image(&[("a", b"1"), ("b", b"2")])].into()
        );
    }

    #[test]
    fn what_is_not_modelled_is_refused() {
        let mut disk = Disk::new(&Image::default());
        let call = Record::Unmodelled { call: "link".to_owned() };
        assert_eq!(disk.apply(&call), Err(Unmodelled("link".to_owned())));
        assert!(disk.apply(&renamed("a", "f/a")).is_err());
        assert!(disk.apply(&wrote(1, 0, b"x")).is_err());
    }
}
