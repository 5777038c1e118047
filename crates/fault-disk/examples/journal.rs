//! Prints a journal, a line for each record: `cargo run -p fault-disk --example journal -- <file>`.

use std::path::Path;

use fault_disk::Record;

fn main() -> std::io::Result<()> {
    let path = std::env::args_os().nth(1).ok_or(std::io::ErrorKind::InvalidInput)?;
    for (number, record) in fault_disk::read(Path::new(&path))?.iter().enumerate() {
        if let Record::Wrote { file, offset, bytes } = record {
            println!("{number} wrote {} bytes to {file} at {offset}", bytes.len());
        } else if let Record::Said { bytes } = record {
            println!("{number} said {}", String::from_utf8_lossy(bytes).trim());
        } else {
            println!("{number} {record:?}");
        }
    }
    Ok(())
}
