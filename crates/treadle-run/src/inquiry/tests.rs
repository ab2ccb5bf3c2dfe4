//! Questions to a process that is made up.

use treadle_events::{
    Event, Hold, Kind, Manner, Owner, Pattern, Picture, Place, PlaceId, Scale, Thing, Wait, Waiting, Wake,
};

use super::*;
use crate::Thresholds;

/// Places 1 to 9 are lines of a program.
fn run() -> Run {
    let mut run = Run::new(Scale::nanoseconds(), Thresholds::default());
    let place = |line| Place {
        file: "/srv/app.py".to_owned(),
        line,
        function: if line < 5 { "serve" } else { "Worker.run" }.to_owned(),
        owner: Owner::Program,
    };
    run.learn_places(|places| places.extend((1..=9).map(place)));
    run.apply(&Event::new(Kind::LoopStarted, 1));
    run
}

/// A task that is made while another one runs, or none, at a line, runs for a time and then waits.
fn task(run: &mut Run, stamp: u64, task: u64, parent: u64, (birth, code): (u32, u32), took: u64) {
    if parent > 0 {
        run.apply(&Event { stamp, subject: parent, ..Event::new(Kind::Step, 1) });
    }
    let (place, value) = (PlaceId(birth), u64::from(code));
    run.apply(&Event { stamp, subject: task, place, value, ..Event::new(Kind::TaskBorn, 1) });
    run.apply(&Event { stamp, subject: task, ..Event::new(Kind::Step, 1) });
    run.apply(&Event { stamp: stamp + took, ..Event::new(Kind::Poll, 1) });
}

fn waiting(task: u64, name: &str, line: u32, wait: Wait) -> Waiting {
    Waiting { task, stamp: 1_000, name: name.to_owned(), chain: vec![PlaceId(line)], wait, ..Waiting::default() }
}

fn page(run: &Run, wanted: TasksWanted) -> TaskPage {
    let inquiry = Inquiry { tasks: Some(TasksWanted { count: 10, ..wanted }), ..Inquiry::default() };
    run.reply(&inquiry, &[]).tasks.unwrap_or_default()
}

fn tasks(run: &Run, wanted: TasksWanted) -> Vec<u64> {
    page(run, wanted).rows.iter().map(|row| row.task).collect()
}

/// Task 1 has made 2 and 3, and 2 has made 4; 5 stands alone.
fn family() -> Run {
    let mut run = run();
    task(&mut run, 10, 1, 0, (1, 5), 30);
    task(&mut run, 100, 2, 1, (2, 6), 5);
    task(&mut run, 200, 3, 1, (2, 6), 50);
    task(&mut run, 300, 4, 2, (3, 7), 1);
    task(&mut run, 400, 5, 0, (1, 5), 2);
    run.see(Picture {
        event_loop: 1,
        tasks: vec![
            waiting(3, "first", 8, Wait::Sleep),
            waiting(4, "Zoe", 9, Wait::Thing(Manner::Event, 70)),
            waiting(5, "äther", 9, Wait::Thing(Manner::Event, 70)),
        ],
        things: vec![Thing {
            address: 70,
            class: "Event".to_owned(),
            references: 9,
            is_taken: true,
            ..Thing::default()
        }],
        ..Picture::default()
    });
    run.tick(1_000, Scale::nanoseconds());
    run
}

#[test]
fn tasks_come_in_the_order_that_is_wanted() {
    let run = family();
    let by = |sort, is_reversed| tasks(&run, TasksWanted { sort, is_reversed, ..TasksWanted::default() });
    assert_eq!(by(Sort::Age, false), [1, 2, 3, 4, 5]);
    assert_eq!(by(Sort::Age, true), [5, 4, 3, 2, 1]);
    assert_eq!(by(Sort::Longest, false)[..2], [3, 1]);
    assert_eq!(by(Sort::Steps, false)[..2], [1, 2]);
    // Who has no name yet comes first.
    assert_eq!(by(Sort::Name, false), [1, 2, 4, 3, 5]);
    assert_eq!(by(Sort::Birth, false), [1, 5, 2, 3, 4]);
}

#[test]
fn a_page_is_a_part_of_the_whole_order() {
    let run = family();
    for sort in Sort::ALL {
        let whole = tasks(&run, TasksWanted { sort, ..TasksWanted::default() });
        for offset in 0..6 {
            let wanted = TasksWanted { sort, offset, count: 2, ..TasksWanted::default() };
            let inquiry = Inquiry { tasks: Some(wanted), ..Inquiry::default() };
            let page = run.reply(&inquiry, &[]).tasks.unwrap_or_default();
            let part: Vec<u64> = page.rows.iter().map(|row| row.task).collect();
            let expected: Vec<u64> = whole.iter().skip(offset).take(2).copied().collect();
            assert_eq!((page.total, part), (5, expected), "{sort:?} from {offset}");
        }
    }
}

#[test]
fn nobody_gets_more_rows_than_fit_into_an_answer() {
    let mut run = run();
    (1..=1_000).for_each(|address| task(&mut run, address * 10, address, 0, (1, 5), 1));
    let wanted = TasksWanted { count: usize::MAX / 2, ..TasksWanted::default() };
    let page = run.reply(&Inquiry { tasks: Some(wanted), ..Inquiry::default() }, &[]).tasks.unwrap_or_default();
    assert_eq!((page.total, page.rows.len()), (1_000, 500));
}

#[test]
fn a_filter_looks_into_names_places_classes_and_states() {
    let run = family();
    let with = |filter: &str| tasks(&run, TasksWanted { filter: filter.to_owned(), ..TasksWanted::default() });
    assert_eq!(with("FIRST"), [3]);
    assert_eq!(with("zo"), [4]);
    assert_eq!(with("Äther"), [5]);
    assert_eq!(with("app.py:2"), [2, 3]);
    assert_eq!(with("app.py:9"), [4, 5], "where they wait");
    assert_eq!(with("event"), [4, 5]);
    assert_eq!(with("nowhere"), [] as [u64; 0]);
    assert_eq!(tasks(&run, TasksWanted { birth: Some(1), ..TasksWanted::default() }), [1, 5]);
}

#[test]
fn groups_count_who_was_made_where() {
    let run = family();
    let page =
        page(&run, TasksWanted { arrangement: Arrangement::Groups, sort: Sort::Birth, ..TasksWanted::default() });
    let groups: Vec<_> = page.groups.iter().map(|group| (group.birth.line, group.alive, group.longest)).collect();
    assert_eq!(groups, [(1, 2, 30), (2, 2, 50), (3, 1, 1)]);
    assert_eq!((page.total, page.rows.len()), (3, 0));
}

#[test]
fn tasks_stand_below_those_that_made_them() {
    let run = family();
    let tree = |wanted| {
        let page = page(&run, TasksWanted { arrangement: Arrangement::Tree, ..wanted });
        page.rows.iter().map(|row| (row.task, row.depth)).collect::<Vec<_>>()
    };
    assert_eq!(tree(TasksWanted::default()), [(1, 0), (2, 1), (4, 2), (3, 1), (5, 0)]);
    assert_eq!(tree(TasksWanted { offset: 2, ..TasksWanted::default() }), [(4, 2), (3, 1), (5, 0)]);
    let filter = "zoe".to_owned();
    assert_eq!(tree(TasksWanted { filter, ..TasksWanted::default() }), [(1, 0), (2, 1), (4, 2)], "with those above");
}

#[test]
fn who_has_the_address_of_a_parent_that_is_gone_is_no_parent() {
    let mut run = run();
    task(&mut run, 10, 1, 0, (1, 5), 1);
    task(&mut run, 20, 2, 1, (1, 5), 1);
    run.apply(&Event { stamp: 30, subject: 1, ..Event::new(Kind::TaskDone, 1) });
    // Made by the child of the one that had this address.
    task(&mut run, 40, 1, 2, (1, 5), 1);
    let page = page(&run, TasksWanted { arrangement: Arrangement::Tree, ..TasksWanted::default() });
    assert_eq!(page.rows.iter().map(|row| (row.task, row.depth)).collect::<Vec<_>>(), [(2, 0), (1, 1)]);
}

/// Tasks 1 and 2 each have a lock and wait for the other one's; 3 waits for the first lock too.
fn ring() -> Run {
    let mut run = run();
    (1..=3).for_each(|address| task(&mut run, address * 10, address, 0, (1, 5), 1));
    let picture = |stamp| {
        let holding = |task: u64, name: &str, thing, wanted| Waiting {
            stamp,
            holds: vec![Hold { thing, place: PlaceId(6) }],
            refers: vec![(thing, 1), (wanted, 1)],
            ..waiting(task, name, 7, Wait::Thing(Manner::Lock, wanted))
        };
        let lock =
            |address| Thing { address, class: "Lock".to_owned(), references: 2, is_taken: true, ..Thing::default() };
        Picture {
            event_loop: 1,
            tasks: vec![
                holding(1, "one", 100, 200),
                holding(2, "two", 200, 100),
                Waiting { stamp, ..waiting(3, "three", 7, Wait::Thing(Manner::Lock, 100)) },
            ],
            things: vec![lock(100), lock(200)],
            is_last: true,
            ..Picture::default()
        }
    };
    for stamp in [500, 900] {
        run.see(picture(stamp));
        run.tick(stamp, Scale::nanoseconds());
        run.reflect();
    }
    run
}

#[test]
fn rings_come_before_those_who_only_wait_for_them() {
    let run = ring();
    let page = run.reply(&Inquiry { waits: true, ..Inquiry::default() }, &[]).waits.unwrap_or_default();
    let names: Vec<Vec<&str>> =
        page.rings.iter().map(|ring| ring.iter().map(|waiter| waiter.name.as_str()).collect()).collect();
    assert_eq!(names, [["one", "two"]]);
    assert_eq!(page.rings[0][0].holders[0].name, "two");
    assert_eq!(page.alone.iter().map(|waiter| waiter.name.as_str()).collect::<Vec<_>>(), ["three"]);
    let things: Vec<_> = page.things.iter().map(|row| (row.thing, row.waiting, row.stuck, row.holders.len())).collect();
    assert_eq!(things, [(100, 2, 2, 1), (200, 1, 1, 1)]);
}

#[test]
fn details_say_what_a_task_waits_for_and_why_nothing_wakes_it() {
    let run = ring();
    let details = run.reply(&Inquiry { task: Some(1), ..Inquiry::default() }, &[]).task.unwrap_or_default();
    assert!(details.row.is_stuck);
    assert_eq!(details.stuck.map(|reason| reason.is_in_ring), Some(true));
    assert_eq!(details.chain.iter().map(|site| site.line).collect::<Vec<_>>(), [7]);
    assert_eq!(details.waits_on.iter().map(|holder| holder.name.as_str()).collect::<Vec<_>>(), ["two"]);
    assert_eq!(details.holds[0].0, "Lock");
    assert_eq!(run.reply(&Inquiry { task: Some(99), ..Inquiry::default() }, &[]).task, None);
}

#[test]
fn details_name_parent_and_children() {
    let run = family();
    let details = run.reply(&Inquiry { task: Some(2), ..Inquiry::default() }, &[]).task.unwrap_or_default();
    assert_eq!(details.parent.map(|parent| parent.task), Some(1));
    assert_eq!(details.children.iter().map(|row| row.task).collect::<Vec<_>>(), [4]);
}

#[test]
fn code_comes_by_the_time_it_took() {
    let run = family();
    let page = run.reply(&Inquiry { work: true, ..Inquiry::default() }, &[]).work.unwrap_or_default();
    let hot: Vec<_> = page.hot.iter().map(|row| (row.code.line, row.count)).collect();
    assert_eq!(hot, [(6, 3), (5, 4), (7, 1)]);
}

#[test]
fn transports_timers_and_jobs_are_counted_where_they_were_made() {
    let mut run = run();
    for (kind, subject, place) in [
        (Kind::TransportMade, 1, 2),
        (Kind::TransportMade, 2, 3),
        (Kind::TransportMade, 3, 3),
        (Kind::TimerSet, 4, 4),
        (Kind::JobSubmitted, 5, 6),
        (Kind::JobSubmitted, 6, 6),
    ] {
        run.apply(&Event { stamp: 5, subject, place: PlaceId(place), value: 7, ..Event::new(kind, 1) });
    }
    run.apply(&Event { stamp: 7, subject: 5, value: 4_711, ..Event::new(Kind::JobStarted, 1) });
    run.tick(100, Scale::nanoseconds());
    let reply = run.reply(&Inquiry { traffic: true, threads: true, ..Inquiry::default() }, &[]);
    let traffic = reply.traffic.unwrap_or_default();
    let lines = |rows: &[PlaceCount]| rows.iter().map(|row| (row.birth.line, row.count)).collect::<Vec<_>>();
    assert_eq!((lines(&traffic.transports), lines(&traffic.timers)), (vec![(3, 2), (2, 1)], vec![(4, 1)]));
    let jobs: Vec<_> =
        traffic.jobs.iter().map(|job| (job.function.line, job.queued, job.running, job.waited)).collect();
    assert_eq!(jobs, [(7, 1, 1, 95)]);
    let threads = reply.threads.unwrap_or_default();
    let rows: Vec<_> = threads.rows.iter().map(|row| (row.thread, row.event_loop, row.since)).collect();
    assert_eq!(rows, [(0, Some(1), 0), (4_711, None, 93)]);
}

#[test]
fn names_without_end_are_cut_at_a_letter() {
    assert_eq!(clip(&"ä".repeat(500)), "ä".repeat(120) + "…");
    assert_eq!(clip("Task-1"), "Task-1");
}

#[test]
fn who_has_woken_a_task_is_looked_for_in_the_last_events() {
    let run = family();
    let event = |stamp, kind, subject, number, wake: Wake| Event {
        stamp,
        subject,
        place: PlaceId(9),
        value: wake.with_number(number),
        ..Event::new(kind, 1)
    };
    let woke = Event { subject: 3, ..event(520, Kind::Woke, 3, 0, Wake::UNKNOWN) };
    let events = [
        event(500, Kind::Step, 5, 1, Wake::UNKNOWN),
        event(505, Kind::Step, 3, 2, Wake::by(1)),
        Event { stamp: 510, ..Event::new(Kind::Poll, 1) },
        woke,
        event(521, Kind::Call, 99, 4, Wake::by(3).of_timer()),
        event(530, Kind::Step, 4, 5, Wake::by(4)),
        event(540, Kind::Step, 2, 6, Wake::by(3)),
        event(550, Kind::Call, 98, 7, Wake::UNKNOWN),
    ];
    let woken = |task| {
        let mut reply = run.reply(&Inquiry { task: Some(task), ..Inquiry::default() }, &[]);
        run.add_waker(&mut reply, &events);
        reply.task.and_then(|details| details.woken)
    };
    let by = |task: Option<&str>, callback: Option<u32>, by: &str, waited| {
        let task = task.map(|name| Holder { task: 5, name: name.to_owned(), since: None });
        Some(Woken { task, callback: callback.map(|line| run.site(PlaceId(line))), by: by.to_owned(), waited })
    };
    assert_eq!(woken(3), by(Some("äther"), None, "", 0));
    assert_eq!(woken(4), by(None, Some(9), "a timer", 0));
    assert_eq!(woken(2), by(None, None, "a descriptor that was ready", 20));
    // Of the last one nothing is known, and the other has made no step.
    assert_eq!((woken(5), woken(1)), (None, None));
}

#[test]
fn patterns_that_somebody_waits_for_are_shown_before_others() {
    let mut run = Run::new(Scale::nanoseconds(), Thresholds::default());
    let pattern = |number: u64| {
        let waiting = Some(u64::from(number == 250));
        Pattern {
            number,
            kind: "Semaphore".to_owned(),
            figures: [None, None, waiting, None, None, None, None],
            ..Pattern::default()
        }
    };
    let patterns = (0..300).map(pattern).collect();
    run.see(Picture { patterns, patterns_left_out: Some(5), ..Picture::default() });
    let page = run.reply(&Inquiry { patterns: true, ..Inquiry::default() }, &[]).patterns.unwrap_or_default();
    assert_eq!((page.rows.len(), page.total), (ROWS, 305));
    assert_eq!([page.rows[0].number, page.rows[1].number], [250, 0]);
}
