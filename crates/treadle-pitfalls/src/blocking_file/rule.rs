//! File-system calls on the loop's thread; one finding where one function works on a file it opens.

use treadle_finding::{Finding, Findings, Tier};
use treadle_program::Program;
use treadle_program::ids::FileId;
use treadle_program::knowledge::claim::Blocking;

use super::BLOCKING_FILE;
use crate::{cure, lookup};

pub(super) fn check(program: &Program, file: FileId, findings: &mut Findings) {
    for function in lookup::loop_functions(program, file) {
        let calls: Vec<_> = program
            .blocking_calls(function)
            .into_iter()
            .filter(|(_, blocking, _)| *blocking == Blocking::File)
            .collect();
        let opens =
            calls.iter().any(|(_, _, item)| program.knowledge().claim(*item).is_some_and(|known| known.claim.opens));
        for (call, _, item) in calls {
            let path = program.knowledge().path(item);
            if opens && path.starts_with("io.") {
                continue;
            }
            let at = program.call_expr(call);
            let shown = path.trim_start_matches("builtins.");
            let mut finding = Finding::new(
                &BLOCKING_FILE.about,
                program.location_of(at),
                format!("`{shown}` waits for the file system on the event loop"),
            );
            if lookup::is_command_line(program, call.file) {
                finding = finding.at_tier(Tier::Advisory);
            }
            // A file opened in a thread would still be read and written on the loop.
            let opens = program.knowledge().claim(item).is_some_and(|known| known.claim.opens);
            finding = if opens {
                finding.help(
                    "move all the work on the file to a function, and call that with `await asyncio.to_thread(…)`, or use `treadle.files`",
                )
            } else {
                finding.help(cure::thread_words(program, call))
            };
            if let Some(fix) = cure::in_thread(program, call).filter(|_| !opens) {
                finding = finding.fix(fix);
            }
            findings.push(finding);
        }
    }
}
