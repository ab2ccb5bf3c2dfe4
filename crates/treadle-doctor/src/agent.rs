//! A Unix socket in the user's runtime directory, by which other programs of the same user ask the doctor.
//!
//! A question is a word or a JSON object on a line, and the answer a JSON document. Nothing that is sent is executed, and no answer changes anything. The directory
//! is the user's alone, and so is the socket.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::reply::refuse;

/// How long either side waits for the other.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest question, in bytes.
const QUESTION: u64 = 4_096;

/// How long the rest of a question that is too long is waited for.
const DRAIN: Duration = Duration::from_millis(50);

/// Where a process is asked; the socket goes when this does.
pub(crate) struct Agent(PathBuf);

impl Agent {
    /// Answers questions from now on, in a thread: `answer` gets each.
    ///
    /// # Errors
    /// The directory is somebody else's, or the system gives no socket or thread.
    pub(crate) fn start(answer: impl Fn(&str) -> String + Send + 'static) -> io::Result<Self> {
        let directory = own_directory()?;
        let path = socket(&directory, std::process::id());
        // What is left of a process that had this number.
        let _ = fs::remove_file(&path);
        let listener = UnixListener::bind(&path)?;
        let agent = Self(path);
        fs::set_permissions(&agent.0, Permissions::from_mode(0o600))?;
        std::thread::Builder::new().name("treadle-agent".to_owned()).spawn(move || {
            for stream in listener.incoming().flatten() {
                // Who goes away has no need of an answer.
                let _ = reply(&stream, &answer);
            }
        })?;
        Ok(agent)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn reply(mut stream: &UnixStream, answer: impl Fn(&str) -> String) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut question = String::new();
    BufReader::new(stream.take(QUESTION)).read_line(&mut question)?;
    let is_cut = question.len() as u64 == QUESTION && !question.ends_with('\n');
    if !is_cut {
        return stream.write_all(answer(question.trim()).as_bytes());
    }
    // Whatever is not read would take the answer away with it.
    stream.set_read_timeout(Some(DRAIN))?;
    let _ = io::copy(&mut stream.take(1 << 20), &mut io::sink());
    stream.write_all(refuse("the question is too long").as_bytes())
}

/// Asks the doctor of a process.
///
/// # Errors
/// There is no such process, it is not watched, or it is another user's.
pub fn inquire(process: u32, question: &str) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket(&directory(), process))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    writeln!(stream, "{question}")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// The user's processes that can be asked, in the order of their numbers.
pub fn watched() -> Vec<u32> {
    let entries = fs::read_dir(directory()).into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".sock")?.parse().ok());
    let mut processes: Vec<u32> = numbers.filter(|process| is_there(*process)).collect();
    processes.sort_unstable();
    processes
}

/// Whether somebody listens; the socket of a process that was killed is taken away.
fn is_there(process: u32) -> bool {
    let path = socket(&directory(), process);
    let connected = UnixStream::connect(&path);
    if connected.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
        let _ = fs::remove_file(path);
    }
    connected.is_ok()
}

fn socket(directory: &Path, process: u32) -> PathBuf {
    directory.join(format!("{process}.sock"))
}

/// The user's runtime directory has one of ours; without it there is one for each user among the temporary files.
fn directory() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|directory| directory.is_dir()) {
        Some(directory) => directory.join("treadle"),
        None => std::env::temp_dir().join(format!("treadle-{}", rustix::process::geteuid().as_raw())),
    }
}

/// Makes the directory, and sees to it that nobody else can put anything there.
fn own_directory() -> io::Result<PathBuf> {
    let directory = directory();
    DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
    let found = fs::symlink_metadata(&directory)?;
    if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() || found.mode() & 0o077 != 0 {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the runtime directory is not the user's alone"));
    }
    Ok(directory)
}
