//! Recordings made by hand, and what is said of them.

use treadle_events::{Event, Kind, Outcome, Owner, Place, PlaceId, Record, Scale, Wake};

use super::*;
use crate::{Found, Kept, Line, Living, LoopName, Moment, Pause, PauseKind, Totals, WaitPicture};

/// A time in ticks, of which one is a nanosecond.
fn at(micros: u64, kind: Kind, subject: u64) -> Event {
    Event { stamp: micros * 1_000, subject, ..Event::new(kind, 1) }
}

fn born(micros: u64, subject: u64, birth: u32, code: u32) -> Event {
    Event { place: PlaceId(birth), value: u64::from(code), ..at(micros, Kind::TaskBorn, subject) }
}

fn recorded(events: Vec<Event>) -> Recorded {
    let place =
        |line| Place { file: "/srv/app.py".to_owned(), line, function: format!("f{line}"), owner: Owner::Program };
    let environment = vec![("directory".to_owned(), "/srv".to_owned())];
    let chronicle = Chronicle {
        title: "app.py".to_owned(),
        environment,
        totals: Totals { at: 1_000_000, loops: vec![LoopName { number: 1, thread: 77 }], ..Totals::default() },
        ..Chronicle::default()
    };
    Recorded { chronicle, events, is_partial: false, places: (1..10).map(place).collect(), scale: Scale::nanoseconds() }
}

fn line(number: u32) -> Line {
    Line { file: "/srv/app.py".to_owned(), line: number, function: format!("f{number}"), package: None }
}

#[test]
fn steps_know_their_task_and_who_has_woken_it() {
    let mut done = at(60, Kind::TaskDone, 8);
    done.small = Outcome::Raised.number();
    let report = report(
        &recorded(vec![
            at(10, Kind::LoopStarted, 0),
            born(11, 7, 1, 2),
            at(12, Kind::Step, 7),
            born(15, 8, 3, 4),
            at(20, Kind::Call, 99),
            at(25, Kind::Step, 8),
            done,
            at(60, Kind::Poll, 0),
            at(90, Kind::Woke, 0),
            at(91, Kind::Step, 7),
        ]),
        Limits::default(),
    );
    assert_eq!(report.steps.task, [0, -1, 1, 0]);
    assert_eq!(report.steps.start_delta, [12, 8, 5, 66]);
    // The last one had not ended when the recording did.
    assert_eq!(report.steps.took, [8, 5, 35, 909]);
    assert_eq!(report.steps.waker_delta, [0, 0, 2, 0]);
    assert_eq!(report.steps.woken_by, [0, 0, 1, 0]);
    assert_eq!(report.steps.queued, [1, -1, 10, -1]);
    assert_eq!((report.tasks.parent, report.tasks.born), (vec![-1, 0], vec![11, 15]));
    assert_eq!((report.tasks.ended, report.tasks.outcome), (vec![-1, 60], vec![-1, 1]));
    assert_eq!((report.tasks.steps, report.tasks.longest), (vec![2, 1], vec![909, 35]));
    let sites = |column: &[Index]| column.iter().map(|site| report.sites[*site as usize].1).collect::<Vec<u32>>();
    assert_eq!((sites(&report.tasks.birth), sites(&report.tasks.code)), (vec![1, 3], vec![2, 4]));
    assert_eq!((report.polls.start_delta, report.polls.took), (vec![60], vec![30]));
    assert_eq!((report.files, report.kept_from, report.duration), (vec!["app.py".to_owned()], 0, 1_000));
    assert_eq!(report.loops[0].thread, 77);
}

/// A step or a call, with its number and that of what has brought it about.
fn numbered(event: Event, number: u32, wake: Wake) -> Event {
    Event { value: wake.with_number(number), ..event }
}

#[test]
fn every_callback_knows_what_has_brought_it_about_and_how_long_it_waited() {
    let other = |event: Event| Event { event_loop: 2, ..event };
    let by = Wake::by;
    let report = report(
        &recorded(vec![
            born(1, 7, 1, 2),
            born(1, 8, 1, 2),
            numbered(at(2, Kind::Step, 7), 1, Wake::UNKNOWN),
            numbered(at(3, Kind::Step, 8), 2, Wake::UNKNOWN),
            at(5, Kind::Poll, 0),
            // The answer of the system, and what comes of it: a callback of a descriptor, one of a timer that wakes a task, a transport.
            Event { subject: 3, ..at(20, Kind::Woke, 0) },
            Event { value: 4, ..at(21, Kind::Ready, 90) },
            numbered(at(23, Kind::Call, 91), 5, by(3)),
            numbered(at(24, Kind::Call, 92), 6, by(3).of_timer()),
            numbered(at(30, Kind::Step, 7), 7, by(6)),
            // A loop in another thread hands something over while this step is executed, which wakes the other task before.
            other(numbered(at(31, Kind::Step, 9), 1, Wake::UNKNOWN)),
            Event { value: 8, small: 2, ..at(35, Kind::Handed, 93) },
            numbered(at(40, Kind::Step, 8), 9, by(7)),
            numbered(at(42, Kind::Call, 93), 10, by(8)),
            Event { value: 11, ..at(44, Kind::Flush, 90) },
            numbered(at(45, Kind::Step, 7), 12, by(11)),
            // The one that woke it came before what is there.
            numbered(at(50, Kind::Step, 8), 13, by(1_000)),
        ]),
        Limits::default(),
    );
    let [step, descriptor, timer, thread, flush] =
        [WokenBy::Step, WokenBy::Descriptor, WokenBy::Timer, WokenBy::Thread, WokenBy::Flush].map(|by| by as u8);
    let rows = report.steps.woken_by.iter().zip(&report.steps.waker_delta).zip(&report.steps.queued);
    let rows: Vec<(u8, i64, i64)> = rows.map(|((by, delta), queued)| (*by, *delta, *queued)).collect();
    assert_eq!(
        rows,
        [
            (0, 0, 1),
            (0, 0, 2),
            (descriptor, 0, -1),
            (descriptor, 0, 3),
            (timer, 0, 4),
            (step, 1, 0),
            (0, 0, -1),
            (step, 2, 0),
            (thread, 2, 7),
            (flush, 0, 1),
            (0, 0, -1)
        ]
    );
}

#[test]
fn step_that_was_ready_long_before_waited_since_the_one_that_woke_it_had_ended() {
    let report = report(
        &recorded(vec![
            born(1, 7, 1, 2),
            born(1, 8, 1, 2),
            numbered(at(2, Kind::Step, 7), 1, Wake::UNKNOWN),
            numbered(at(12, Kind::Step, 8), 2, Wake::UNKNOWN),
            numbered(at(412, Kind::Step, 7), 3, Wake::by(1)),
            at(420, Kind::Poll, 0),
        ]),
        Limits::default(),
    );
    assert_eq!((report.steps.took[0], report.steps.queued[2]), (10, 400));
    assert_eq!(report.steps.waker_task, [-1, -1, -1]);
    // The first two waited since their birth.
    let queue = &report.histograms.queue;
    assert_eq!((queue.counts.iter().sum::<u64>(), queue.max), (3, 401));
    assert_eq!(report.steps.waker_delta, [0, 0, 2]);
}

#[test]
fn step_whose_waker_is_not_shown_knows_the_task_that_has_woken_it() {
    let mut events = vec![born(1, 7, 1, 2), born(2, 8, 1, 2), born(3, 9, 1, 2)];
    events.push(numbered(at(4, Kind::Step, 7), 1, Wake::UNKNOWN));
    // Of these, short and long in turn, there is room for one long one and the newest, which is a callback.
    events.push(numbered(at(5, Kind::Step, 8), 2, Wake::by(1)));
    events.push(numbered(at(50, Kind::Step, 9), 3, Wake::by(2)));
    events.push(numbered(at(500, Kind::Step, 9), 4, Wake::by(1)));
    events.extend([numbered(at(501, Kind::Call, 90), 5, Wake::by(4)), at(502, Kind::Poll, 0)]);
    let report = report(&recorded(events), Limits { steps: 2, ..Limits::default() });
    let names = |column: &[Index]| -> Vec<Option<i64>> {
        column.iter().map(|task| usize::try_from(*task).ok().map(|task| report.tasks.born[task])).collect()
    };
    assert_eq!(
        (names(&report.steps.task), names(&report.steps.waker_task)),
        (vec![Some(3), None], vec![Some(2), Some(3)])
    );
    assert_eq!((report.steps.waker_delta, report.steps.woken_by), (vec![0, 0], vec![1, 1]));
}

#[test]
fn jobs_have_their_times_as_far_as_they_have_come() {
    let submitted =
        |micros, job| Event { place: PlaceId(5), value: 3 << 32 | 6, ..at(micros, Kind::JobSubmitted, job) };
    let report = report(
        &recorded(vec![
            submitted(10, 1),
            submitted(11, 2),
            Event { value: 555, ..at(20, Kind::JobStarted, 1) },
            at(50, Kind::JobEnded, 1),
        ]),
        Limits::default(),
    );
    let jobs = &report.jobs;
    assert_eq!((&jobs.submitted, &jobs.started, &jobs.ended), (&vec![10, 11], &vec![20, -1], &vec![50, -1]));
    assert_eq!((jobs.name[0].as_str(), report.shown(jobs.site[0]).as_str()), ("f6", "app.py:5 in f5"));
    assert_eq!(jobs.thread, [555, 0]);
}

#[test]
fn tasks_from_before_the_events_are_known_by_looks_at_them() {
    let mut recorded = recorded(vec![at(500, Kind::LoopStarted, 0), at(510, Kind::Step, 7), at(520, Kind::Step, 9)]);
    recorded.is_partial = true;
    let living =
        Living { task: 7, born: 3_000, event_loop: 1, code: 2, birth: 1, steps: 40, run: 90_000, ..Living::default() };
    let young = Living { task: 9, born: 515_000, code: 5, ..Living::default() };
    recorded.chronicle.living = vec![(600_000, vec![living, young])];
    let report = report(&recorded, Limits::default());
    // Nobody knows whose the other step is: the task of that address that was seen later was not made yet.
    let born: Vec<i64> = report.steps.task.iter().map(|task| report.tasks.born[*task as usize]).collect();
    assert_eq!((born, report.tasks.steps), (vec![3, 0], vec![1, 40]));
    assert_eq!(report.kept_from, 500);
}

#[test]
fn worst_moments_are_there_after_their_events_are_gone() {
    let mut recorded = recorded(vec![at(500, Kind::LoopStarted, 0), at(510, Kind::Call, 1), at(515, Kind::Poll, 0)]);
    recorded.is_partial = true;
    let words = |event: Event| {
        let Record { stamp, head, subject, value } = event.record();
        (stamp, head, subject, value)
    };
    let events = vec![words(at(50, Kind::Step, 7)), words(at(350, Kind::Poll, 0)), words(at(510, Kind::Call, 1))];
    let living = Living { task: 7, born: 3_000, code: 2, ..Living::default() };
    recorded.chronicle.moments = vec![Moment { took: 300_000, events, tasks: vec![living] }];
    let report = report(&recorded, Limits::default());
    assert_eq!((report.steps.start_delta, report.steps.took), (vec![50, 460], vec![300, 5]));
    assert_eq!((report.steps.task, report.kept_from), (vec![0, -1], 500));
}

#[test]
fn too_many_steps_are_thinned_out_and_tasks_with_them() {
    let mut events = vec![at(0, Kind::LoopStarted, 0)];
    for round in 0..1_000 {
        events.push(born(round * 10 + 1, round + 100, 1, 2));
        events.push(at(round * 10 + 2, Kind::Step, round + 100));
        events.push(at(round * 10 + 5, Kind::TaskDone, round + 100));
        events.push(at(round * 10 + 5, Kind::Poll, 0));
        events.push(at(round * 10 + 9, Kind::Woke, 0));
    }
    let limits = Limits { steps: 100, others: 50, ..Limits::default() };
    let report = report(&recorded(events), limits);
    assert_eq!((report.steps.took.len(), report.polls.took.len(), report.tasks.born.len()), (100, 50, 100));
    assert_eq!(report.kept_from, 9_752);
    assert!(report.steps.task.iter().all(|task| (0..100).contains(task)));
}

#[test]
fn findings_come_in_the_order_of_what_they_cost() {
    let mut recorded = recorded(Vec::new());
    let found = |name: &str, severity: &str, is_suspected, worst, count| Found {
        name: name.to_owned(),
        severity: severity.to_owned(),
        is_suspected,
        worst,
        count,
        line: line(3),
        marks: vec![5_000],
        ..Found::default()
    };
    recorded.chronicle.findings = vec![
        found("suspected", "error", true, Some(9_000_000), 9),
        found("warning", "warning", false, Some(9_000_000), 9),
        found("once", "error", false, Some(5_000), 1),
        found("often", "error", false, Some(4_000), 2),
    ];
    let mut report = report(&recorded, Limits::default());
    let names: Vec<&str> = report.findings.iter().map(|found| found.name.as_str()).collect();
    assert_eq!(names, ["often", "once", "warning", "suspected"]);
    assert_eq!((report.findings[0].worst, report.findings[0].marks[0]), (Some(4), 5));
    let text = "1\n2  \n3\n4\n5\n6\n7\n8";
    report.add_excerpts(|path| (path == "/srv/app.py").then(|| text.to_owned()));
    let excerpt: Vec<(u32, &str)> = report.excerpts[&0].iter().map(|(line, text)| (*line, text.as_str())).collect();
    assert_eq!(excerpt, [(1, "1"), (2, "2"), (3, "3"), (4, "4"), (5, "5"), (6, "6")]);
}

#[test]
fn flames_have_the_time_of_all_that_was_called() {
    let mut recorded = recorded(Vec::new());
    recorded.chronicle.lines = vec![line(1), line(2), line(3)];
    let nodes = vec![(0, 0), (1, 1), (1, 2), (0, 2)];
    recorded.chronicle.profile = crate::Tree { nodes, times: vec![1_000, 5_000, 7_000, 2_000], rest: 4_000 };
    let shown = |report: &Report, flame: &Flame| -> Vec<(String, i64)> {
        flame.children.iter().map(|child| (report.shown(child.site), child.value)).collect()
    };
    let report = report(&recorded, Limits::default());
    let all = &report.flame.all;
    assert_eq!(all.value, 19);
    let other = (String::new(), 4);
    assert_eq!(shown(&report, all), [("app.py:1 in f1".to_owned(), 13), other, ("app.py:3 in f3".to_owned(), 2)]);
    assert_eq!(all.children[1].label.as_deref(), Some("(other)"));
    assert_eq!(shown(&report, &all.children[0])[0], ("app.py:3 in f3".to_owned(), 7));
    let few = super::report(&recorded, Limits { calls: 2, ..Limits::default() });
    let few = &few.flame.all.children;
    assert_eq!((few.len(), few[0].value, few[1].value), (2, 13, 6));
}

#[test]
fn waits_and_pauses_name_tasks_and_lines() {
    let mut recorded = recorded(vec![at(1, Kind::LoopStarted, 0), born(2, 7, 1, 2)]);
    recorded.chronicle.lines = vec![line(4)];
    let kept = |task, born| Kept {
        living: Living { task, born, code: 3, ..Living::default() },
        name: format!("task {task}"),
        chain: vec![0],
        waits_for: "lock Lock".to_owned(),
    };
    let tasks = vec![kept(7, 2_000), kept(8, 1_500)];
    let edges = vec![(0, 1, "Lock".to_owned())];
    recorded.chronicle.waits = Some(WaitPicture { at: 9_000, is_deadlock: true, count: 1, tasks, edges });
    recorded.chronicle.pauses = vec![Pause {
        kind: PauseKind::Blocked,
        event_loop: 1,
        start: 30_000,
        took: 5_000,
        cause: Some("sleeping".to_owned()),
        line: Some(0),
        stack: vec![0],
    }];
    let report = report(&recorded, Limits::default());
    // The one that nothing else is known of was made first.
    assert_eq!(
        (&report.waits.tasks, &report.tasks.name),
        (&vec![1, 0], &vec!["task 8".to_owned(), "task 7".to_owned()])
    );
    assert_eq!((&report.waits.edges, report.waits.t), (&vec![(1, 0, "Lock".to_owned())], 9));
    assert_eq!(report.waits.waits_for[&1], "lock Lock");
    assert_eq!((&report.pauses.start, report.pauses.kind[0]), (&vec![30], "blocked"));
    assert_eq!(report.shown(report.pauses.stack[0][0]), "app.py:4 in f4");
}

#[test]
fn difference_says_what_became_of_findings_and_time() {
    let make = |count, time: u64, number: u32, function: &str| {
        let mut recorded = recorded(Vec::new());
        let place = Line { function: function.to_owned(), ..line(number) };
        let found = |name: &str, count| Found { name: name.to_owned(), count, line: place.clone(), ..Found::default() };
        recorded.chronicle.findings = vec![found("stays", 2), found("changes", count), found(function, 1)];
        recorded.chronicle.lines = vec![place.clone(), line(9)];
        recorded.chronicle.profile = crate::Tree { nodes: vec![(0, 1), (1, 0)], times: vec![0, time * 1_000], rest: 0 };
        report(&recorded, Limits::default())
    };
    let (before, mut after) = (make(5, 100, 3, "f"), make(1, 40, 4, "f"));
    let found = difference(&before, &mut after);
    let changes: Vec<_> =
        found.findings.iter().map(|one| (one.name.as_str(), one.change, one.before, one.after)).collect();
    // Another line of the same function is the same.
    assert_eq!(changes, [("f", "same", 1, 1), ("stays", "same", 2, 2), ("changes", "fewer", 5, 1)]);
    let call = &found.flame.children[0].children[0];
    assert_eq!((found.flame.value, found.flame.before, call.value, call.before), (40, Some(100), 40, Some(100)));
    let mut renamed = make(5, 40, 3, "g");
    let found = difference(&before, &mut renamed);
    let changed: Vec<_> = found.findings.iter().map(|one| one.change).collect();
    assert_eq!(changed, ["new", "new", "new", "gone", "gone", "gone"]);
    let calls = found.flame.children[0].children.iter();
    let calls: Vec<_> = calls.map(|call| (renamed.shown(call.site), call.value, call.before)).collect();
    assert_eq!(calls, [("app.py:3 in g".to_owned(), 40, Some(0)), ("app.py:3 in f".to_owned(), 0, Some(100))]);
}
