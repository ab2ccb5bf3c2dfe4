//! Questions of those who look from outside, and what the system knows of the process for the answers.

use rustix::time::{ClockId, clock_gettime};
use treadle_run::inquiry::{Inquiry, Reply, ThreadPage};

use crate::thread::Thread;

/// The longest answer, in bytes.
const ANSWER: usize = 4 << 20;

/// What somebody wants to know.
///
/// # Errors
/// In words: it is no question.
pub(crate) fn parse(question: &str) -> Result<Inquiry, String> {
    serde_json::from_str(question).map_err(|error| format!("the question is not understood: {error}"))
}

/// An answer as it is sent.
pub(crate) fn write(reply: &Reply) -> String {
    match serde_json::to_string(reply) {
        Ok(text) if text.len() <= ANSWER => text,
        Ok(_) => refuse("the answer is too long; ask for fewer rows"),
        Err(error) => refuse(&error.to_string()),
    }
}

/// An answer that is none.
pub(crate) fn refuse(words: &str) -> String {
    serde_json::json!({ "error": words }).to_string()
}

/// How long the thread that calls this has had a processor, in nanoseconds.
pub(crate) fn own_time() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// Adds what the system knows.
pub(crate) fn complete(reply: &mut Reply) {
    reply.pulse.descriptors = descriptors();
    if let Some(page) = &mut reply.threads {
        look_at_threads(page);
    }
}

fn look_at_threads(page: &mut ThreadPage) {
    page.count = std::fs::read_dir("/proc/self/task").ok().map(|entries| entries.count() as u64);
    for row in page.rows.iter_mut().filter(|row| row.activity != "stopped") {
        let thread = Thread::open(row.thread);
        row.ran = thread.time().map(|time| time.ran);
        row.doing = row.ran.map(|_| thread.doing(|_| false).word().to_owned());
    }
}

/// How many descriptors the process has open, but for the one that is needed to count them.
pub(crate) fn descriptors() -> Option<u64> {
    let directory = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };
    Some((std::fs::read_dir(directory).ok()?.count() as u64).saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_question_is_an_error_that_says_why() {
        for (question, words) in [
            (r#"{"tsks": true}"#, "unknown field `tsks`"),
            (r#"{"tasks": {"sort": "size"}}"#, "unknown variant `size`"),
            ("{", "not understood"),
        ] {
            let error = parse(question).err().unwrap_or_default();
            assert!(error.contains(words), "{error}");
        }
        assert_eq!(parse("{}"), Ok(Inquiry::default()));
    }

    #[test]
    fn an_answer_that_is_too_long_is_none() {
        let mut reply = Reply::default();
        let row = treadle_run::inquiry::FindingRow { message: "x".repeat(1 << 20), ..Default::default() };
        reply.findings = Some(vec![row; 5]);
        assert_eq!(write(&reply), r#"{"error":"the answer is too long; ask for fewer rows"}"#);
    }
}
