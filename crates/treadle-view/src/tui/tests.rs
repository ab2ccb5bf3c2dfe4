//! What frames look like, and what keys do.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::{Color, Modifier};
use treadle_finding::Site;
use treadle_run::inquiry::{
    Arrangement, Details, FindingRow, GroupRow, Holder, HotRow, Inquiry, JobRow, LongRow, PatternPage, PatternRow,
    PlaceCount, Pulse, Reason, Reply, Row, Sort, TaskPage, ThingRow, ThreadPage, ThreadRow, TrafficPage, WaitPage,
    Waiter, Woken, WorkPage,
};
use treadle_run::{Cause, Distribution, LoopVitals, State as Doing};

use super::*;

const SECOND: u64 = 1_000_000_000;

fn site(line: u32, function: &str) -> Site {
    Site { path: "app.py".to_owned(), line, function: function.to_owned(), package: None }
}

fn task(number: u64) -> Row {
    Row {
        task: number,
        name: Some(format!("Task-{number}")),
        birth: site(9, "main"),
        code: site(3, "serve"),
        state: Doing::Waiting,
        at: Some(site(4, "serve")),
        waits_for: Some(("lock".to_owned(), "Lock".to_owned())),
        is_stuck: number == 2,
        age: number * SECOND,
        quiet: SECOND,
        run: 1_500_000,
        steps: 1_234,
        longest: 200_000,
        ..Row::default()
    }
}

fn waiter(number: u64, other: u64) -> Waiter {
    Waiter {
        task: number,
        name: format!("Task-{number}"),
        at: site(4, "serve"),
        what: "lock".to_owned(),
        class: "Lock".to_owned(),
        holders: vec![Holder { task: other, name: format!("Task-{other}"), since: Some(site(3, "serve")) }],
        quiet: 7 * SECOND,
        is_doubtful: false,
    }
}

fn finding(name: &str, severity: &str, line: u32) -> FindingRow {
    FindingRow {
        name: name.to_owned(),
        severity: severity.to_owned(),
        site: site(line, "serve"),
        message: format!("`serve` has met {name}"),
        count: 3,
        worst: (line == 4).then_some(250_000_000),
        evidence: vec!["seen in a test".to_owned()],
        help: Some("write it otherwise: `await asyncio.to_thread(serve, …)`".to_owned()),
        ..FindingRow::default()
    }
}

/// The numbers of a process, so many seconds after midnight.
fn pulse(time: u64) -> Pulse {
    let mut pulse = Pulse::default();
    let lags = Distribution { points: vec![(90_000, time * 10), (2_000_000, 5), (150_000_000, 1)], sum: 0 };
    pulse.vitals.loops = vec![LoopVitals {
        number: 1,
        is_running: true,
        callbacks: time * 1_000,
        steps: 12_345,
        busy: time * SECOND / 4,
        lag: 120_000_000,
        callback: lags.clone(),
        lags,
        ..LoopVitals::default()
    }];
    pulse.vitals.loops[0].surroundings.timers = 7;
    (pulse.vitals.time, pulse.watched, pulse.cost) = (time * SECOND, time * SECOND, time * SECOND / 500);
    (pulse.vitals.running, pulse.vitals.stuck, pulse.vitals.waiting) = (1, 2, 99_997);
    (pulse.errors, pulse.warnings, pulse.descriptors) = (1, 1, Some(42));
    (pulse.vitals.running_jobs, pulse.vitals.queued_jobs) = (1, 4);
    pulse.vitals.blocked = vec![(Cause::Sleep, 150_000_000)];
    pulse
}

fn pattern_page(time: u64) -> PatternPage {
    let pattern = |number, kind: &str, name: Option<&str>, figures| PatternRow {
        number,
        kind: kind.to_owned(),
        name: name.map(str::to_owned),
        state: if kind == "Breaker" { "open".to_owned() } else { String::new() },
        figures,
    };
    PatternPage {
        rows: vec![
            pattern(1, "TokenBucket", None, [None, None, Some(40), Some(time * 30), None, None, None]),
            pattern(2, "Policy", Some("api"), [None, None, None, Some(time * 2_000), Some(7), Some(9), Some(1)]),
            pattern(3, "Pool", Some("database"), [Some(10), Some(10), Some(4), None, None, None, None]),
            pattern(4, "Breaker", Some("upstream"), [None, None, None, None, None, None, Some(1)]),
            pattern(5, "Semaphore", None, [Some(1), Some(10_000), Some(0), None, None, None, None]),
        ],
        total: 1_205,
    }
}

/// All that can be answered then.
fn reply(time: u64) -> Reply {
    let mut reply = Reply { pulse: pulse(time), ..Reply::default() };
    reply.findings = Some(vec![finding("task-flood", "warning", 9), finding("blocked-loop", "error", 4)]);
    let rows = (0..40).map(|number| Row { age: (100 - number) * SECOND, ..task(number) }).collect();
    reply.tasks = Some(TaskPage { total: 100_000, offset: 0, rows, groups: vec![] });
    let thing = ThingRow {
        thing: 0x70,
        what: "item".to_owned(),
        class: "Queue".to_owned(),
        waiting: 99_000,
        some: vec![Holder { task: 5, name: "Task-5".to_owned(), since: None }],
        at: site(20, "work"),
        longest: 9 * SECOND,
        ..ThingRow::default()
    };
    reply.waits = Some(WaitPage {
        rings: vec![vec![waiter(1, 2), waiter(2, 1)]],
        alone: vec![waiter(3, 2)],
        things: vec![thing],
        for_tasks: 1,
        ..WaitPage::default()
    });
    let hot = HotRow { code: site(3, "serve"), count: 1_000, total: SECOND, longest: 150_000_000 };
    let long = LongRow { code: site(3, "serve"), event_loop: 1, took: 150_000_000, has_ended: false, ago: SECOND };
    reply.work = Some(WorkPage { hot: vec![hot], long: vec![long] });
    reply.traffic = Some(TrafficPage {
        transports: vec![PlaceCount { birth: site(30, "accept"), count: 3 }],
        jobs: vec![JobRow {
            birth: site(31, "main"),
            function: site(32, "job"),
            queued: 4,
            running: 1,
            waited: SECOND,
        }],
        ..TrafficPage::default()
    });
    let thread = ThreadRow {
        thread: 4_711,
        event_loop: Some(1),
        activity: "running".to_owned(),
        code: Some(site(3, "serve")),
        since: 120_000_000,
        ran: Some(SECOND),
        doing: Some("sleep".to_owned()),
        ..ThreadRow::default()
    };
    reply.threads = Some(ThreadPage { rows: vec![thread], count: Some(5) });
    reply.patterns = Some(pattern_page(time));
    reply
}

const PAGE: &str = "# x\n\n## Write this instead\n\nDo it in a thread:\n\n```py run\nawait f()  # watch: no\n```\n\n## When it is fine\n\nNever.\n";

fn data(replies: impl IntoIterator<Item = Reply>) -> Data {
    let mut history = History::default();
    replies.into_iter().for_each(|reply| history.push(reply, 1_000));
    let process = Process { number: 4_711, command: "python app.py".to_owned() };
    Data { process, history, gone: None, page: |_| Some(PAGE), refresh: "1 s".to_owned() }
}

fn terminal(state: &State, data: &Data) -> Terminal<TestBackend> {
    let area = state.area;
    let mut terminal =
        Terminal::new(TestBackend::new(area.width, area.height)).unwrap_or_else(|error| panic!("{error}"));
    let drawn = terminal.draw(|frame| draw(state, data, frame.buffer_mut())).map(drop);
    drawn.unwrap_or_else(|error| panic!("{error}"));
    terminal
}

/// A frame of the smallest size, without what is the same on all tabs.
fn body(tab: Tab) -> String {
    let state = State::new(tab, false, 80, 24);
    let shown = terminal(&state, &data([reply(100), reply(110)])).backend().to_string();
    let lines: Vec<&str> = shown.lines().map(|line| line.trim_matches('"').trim_end()).collect();
    lines[5..23].join("\n").trim_end().to_owned()
}

/// State after some presses, and the frame then.
fn after(presses: &[Press], data: &Data) -> (State, String) {
    let mut state = State::new(Tab::Tasks, false, 120, 30);
    for press in presses {
        state.press(*press, data);
    }
    let text = frame_text(&state, data);
    (state, text)
}

fn typed(text: &str) -> Vec<Press> {
    text.chars().map(Press::Letter).collect()
}

#[test]
fn findings_have_the_worst_first() {
    let state = State::new(Tab::Findings, false, 100, 24);
    insta::assert_snapshot!(frame_text(&state, &data([reply(100), reply(110)])), @"
    treadle top · 4711 python app.py                                            00:01:50 UTC · every 1 s
    busy [###·······] 25 %  1 000 callbacks/s  watching 0.2 %  ! blocked for 120 ms
    lag p50 90.0 µs p99 90.0 µs max 90.0 µs  fds 42  timers 7
    tasks 100 000 alive, 1 running, ! 2 stuck  executor 1 running, 4 queued
    [1 Findings 2] 2 Tasks 100000  3 Waits 2!  4 Loop  5 I/O  6 Threads  7 Patterns
    severity    pitfall            times    worst where                      what
    ✗ error     blocked-loop           3   250 ms app.py:4 in serve          `serve` has met blocked-lo…
    ! warning   task-flood             3          app.py:9 in serve          `serve` has met task-flood















    ?: keys · q: quit · space: pause · [ ]: step · /: filter · Enter: details
    ");
}

#[test]
fn tasks_say_what_they_wait_for() {
    let shown = body(Tab::Tasks);
    insta::assert_snapshot!(shown.lines().take(5).collect::<Vec<_>>().join("\n"), @"
    state     name         waits at             for             age      run   steps
    · waits   Task-0       app.py:4 in serve    lock          100 s  1.50 ms   1 234
    · waits   Task-1       app.py:4 in serve    lock         99.0 s  1.50 ms   1 234
    ! stuck   Task-2       app.py:4 in serve    lock         98.0 s  1.50 ms   1 234
    · waits   Task-3       app.py:4 in serve    lock         97.0 s  1.50 ms   1 234
    ");
}

#[test]
fn waits_have_rings_first() {
    insta::assert_snapshot!(body(Tab::Waits), @"
    ⟳ ! 2 tasks wait for each other, for 7.00 s
    ╭▶ Task-1 waits for lock at app.py:4 in serve
    │     └ held by Task-2 since app.py:3 in serve
    ╰─ Task-2 waits for lock at app.py:4 in serve
          └ held by Task-1 since app.py:3 in serve

    ! nothing wakes these any more
      Task-3 waits for lock at app.py:4 in serve
        └ held by Task-2 since app.py:3 in serve

    what tasks wait for
      99 000 wait for item of Queue 0x70, up to 9.00 s: app.py:20 in work
        ├ Task-5, …

    other waits
      1 for tasks, 0 for a time, 0 for what is outside: the system, threads, futures
    ");
}

#[test]
fn the_loop_has_histograms_and_hot_code() {
    insta::assert_snapshot!(body(Tab::Loop), @"
    loop state      busy  callbacks/s         steps   ready  lag now   timers
       1 runs       25 %        1 000        12 345       0 ! 120 ms        7

    how long it took, in the last seconds
    up to      callbacks                               turns
    10.0 µs            0                                   0
    100 µs           100 ██████████████████████          100 ██████████████████████
    blocked altogether: sleep 150 ms

    code that takes the time
     share     time    callbacks  longest code
     100 %   1.00 s        1 000   150 ms app.py:3 in serve

    ! callbacks that took too long, the last first
        took        began loop          code
      150 ms   1.00 s ago    1 ! still  app.py:3 in serve
    ");
}

#[test]
fn traffic_is_counted_by_place() {
    insta::assert_snapshot!(body(Tab::Io), @"
    0 transports, 0 B to be sent; 0 other descriptors are watched; 7 timers

    open transports by where they were made
         count where
             3 app.py:30 in accept

    jobs of executors
     running   queued    waits function                   handed over at
           1        4   1.00 s app.py:32 in job           app.py:31 in main
    ");
}

#[test]
fn threads_say_what_they_run() {
    insta::assert_snapshot!(body(Tab::Threads), @"
      thread runs      does      system      since      cpu code
        4711 loop 1    ! blocked sleep      120 ms   1.00 s app.py:3 in serve

    the process has 5 threads; jobs: 1 running, 4 waiting for a thread
    ");
}

#[test]
fn details_of_a_task_end_with_the_cure() {
    let mut answer = reply(110);
    answer.task = Some(Details {
        row: task(2),
        event_loop: 1,
        parent: Some(task(1)),
        chain: vec![site(3, "serve"), site(4, "serve")],
        waits_on: vec![Holder { task: 1, name: "Task-1".to_owned(), since: Some(site(3, "serve")) }],
        holds: vec![("Lock".to_owned(), site(3, "serve"))],
        stuck: Some(Reason { is_in_ring: true, ..Reason::default() }),
        woken: Some(Woken { task: None, callback: Some(site(9, "main")), by: "a timer".to_owned(), waited: 12_000 }),
        findings: vec![finding("deadlock", "error", 4)],
        ..Details::default()
    });
    let data = data([answer]);
    let mut state = State::new(Tab::Tasks, false, 80, 40);
    for press in [Press::Down, Press::Down, Press::Enter] {
        state.press(press, &data);
    }
    assert_eq!(state.inquiry().task, Some(2));
    insta::assert_snapshot!(frame_text(&state, &data), @"
    treadle top · 4711 python app.py                        00:01:50 UTC · every 1 s
    busy [###·······] 25 %  1 000 callbacks/s  watching 0.2 %  ! blocked for 120 ms
    lag p50 90.0 µs p99 90.0 µs max 150 ms  fds 42  timers 7
    tasks 100 000 alive, 1 running, ! 2 stuck  executor 1 running, 4 queued
     1 Findings 2 [2 Tasks 100000] 3 Waits 2!  4 Loop  5 I/O  6 Threads  7 Patterns
    Task-2: ! stuck, in loop 1
    ! nothing wakes it any more: it and others wait for each other
    2.00 s old, 1.00 s since its last step; 1 234 steps, 1.50 ms together, the
      longest 200 µs
    made at app.py:9 in main
    runs app.py:3 in serve
    woken last by a timer, through app.py:9 in main; ready 12.0 µs before it ran

    await chain, the outermost first
      app.py:3 in serve
       app.py:4 in serve
    waits for lock: Task-1 since app.py:3 in serve
    holds Lock since app.py:3 in serve

    family
      made by Task-1 · waits, app.py:4 in serve

    ✗ error[deadlock]: `serve` has met deadlock
      --> app.py:4 in serve
      = seen 3 times, at worst 250 ms
      = seen in a test
      = help: write it otherwise: `await asyncio.to_thread(serve, …)`

    Write this instead
    Do it in a thread:

        await f()







    Esc: back · ↑ ↓: move · ?: keys · q: quit
    ");
}

#[test]
fn colours_are_left_out_where_nobody_wants_them_and_signs_stay() {
    let data = data([reply(110)]);
    for tab in Tab::ALL {
        let (plain, coloured) = (State::new(tab, false, 120, 30), State::new(tab, true, 120, 30));
        assert_eq!(frame_text(&plain, &data), frame_text(&coloured, &data), "{tab:?}");
        let is_plain = |state: &State| {
            let terminal = terminal(state, &data);
            terminal.backend().buffer().content.iter().all(|cell| (cell.fg, cell.bg) == (Color::Reset, Color::Reset))
        };
        assert!(is_plain(&plain), "{tab:?}");
        assert!(!is_plain(&coloured), "{tab:?}");
    }
}

#[test]
fn rings_are_red_and_marked() {
    let terminal = terminal(&State::new(Tab::Waits, true, 100, 30), &data([reply(110)]));
    let buffer = terminal.backend().buffer();
    // The second line of the body; the first one is chosen.
    let cell = &buffer[(3, 6)];
    assert_eq!((cell.symbol(), cell.fg), ("T", Color::Red));
    assert!(buffer[(0, 5)].modifier.contains(Modifier::REVERSED));
    assert_eq!(buffer[(0, 5)].symbol(), "⟳");
}

#[test]
fn a_screen_that_is_too_small_says_so_and_every_other_is_drawn() {
    let data = data([reply(100), reply(110)]);
    let small = frame_text(&State::new(Tab::Tasks, false, 79, 30), &data);
    assert_eq!(small.trim_end(), "The terminal has 79 × 30 characters.\n80 × 24 are needed.");
    for tab in Tab::ALL {
        for (width, height) in [(1, 1), (0, 0), (80, 24), (81, 25), (100, 24), (250, 80), (1_000, 24)] {
            let text = frame_text(&State::new(tab, true, width, height), &data);
            assert_eq!(text.lines().count(), usize::from(height));
        }
    }
}

#[test]
fn keys_sort_turn_round_and_arrange() {
    let data = data([reply(110)]);
    let (state, text) = after(&typed("ssr"), &data);
    let wanted = state.inquiry().tasks.unwrap_or_default();
    assert_eq!((wanted.sort, wanted.is_reversed), (Sort::Run, true));
    assert!(text.contains("s: run time ↑"), "{text}");
    assert_eq!(after(&typed("S"), &data).0.sort, Sort::State);
    assert_eq!(after(&typed("t"), &data).0.arrangement, Arrangement::Tree);
    assert_eq!(after(&typed("tt"), &data).0.arrangement, Arrangement::Flat);
}

#[test]
fn a_filter_is_typed_and_asked_for() {
    let data = data([reply(110)]);
    let mut presses = typed("/q7x");
    presses.push(Press::Backspace);
    let (state, text) = after(&presses, &data);
    assert!(text.contains("/q7▏"), "{text}");
    assert_eq!(state.inquiry().tasks.map(|wanted| wanted.filter), Some("q7".to_owned()));
    presses.push(Press::Escape);
    assert_eq!(after(&presses, &data).0.inquiry().tasks.map(|wanted| wanted.filter), Some(String::new()));
    // Other tabs are filtered here, each for itself.
    let (_, text) = after(&[typed("1/flood"), vec![Press::Enter]].concat(), &data);
    assert!(text.contains("task-flood") && !text.contains("blocked-loop"), "{text}");
}

#[test]
fn a_group_leads_to_its_tasks_and_back() {
    let mut answer = reply(110);
    let group = GroupRow { place: 17, birth: site(9, "main"), alive: 100_000, stuck: 2, ..GroupRow::default() };
    answer.tasks = Some(TaskPage { total: 1, groups: vec![group], ..TaskPage::default() });
    let data = data([answer]);
    let (state, _) = after(&[typed("g"), vec![Press::Enter]].concat(), &data);
    let wanted = state.inquiry().tasks.unwrap_or_default();
    assert_eq!((wanted.birth, wanted.arrangement), (Some(17), Arrangement::Flat));
    let (state, text) = after(&[typed("g"), vec![Press::Enter, Press::Escape]].concat(), &data);
    assert_eq!(state.arrangement, Arrangement::Groups);
    assert!(text.contains("100 000      ! 2"), "{text}");
}

#[test]
fn whoever_scrolls_asks_for_what_is_seen() {
    let data = data([reply(110)]);
    let (state, _) = after(&[Press::End], &data);
    let wanted = state.inquiry().tasks.unwrap_or_default();
    let rows = state.rows();
    assert_eq!(wanted.offset, 100_000 - rows - 50);
    assert!(wanted.offset + wanted.count >= 100_000);
    assert_eq!(after(&[Press::End, Press::Home], &data).0.inquiry().tasks.map(|wanted| wanted.offset), Some(0));
    let (_, text) = after(&[Press::PageDown; 2], &data);
    assert!(text.contains("Task-39") && text.contains('…'), "{text}");
}

#[test]
fn a_pause_keeps_what_is_seen_and_steps_go_back() {
    let other = Reply { tasks: None, ..reply(105) };
    let mut data = data([reply(100), other, reply(110)]);
    let mut state = State::new(Tab::Tasks, false, 120, 30);
    state.press(Press::Letter(' '), &data);
    data.history.push(reply(115), 1);
    assert!(frame_text(&state, &data).contains("00:01:50 UTC"));
    // The one in between has no tasks in it.
    state.press(Press::Letter('['), &data);
    let text = frame_text(&state, &data);
    assert!(text.contains("00:01:40 UTC") && text.contains("‖ paused at 00:01:40, 3 back of 4"), "{text}");
    state.press(Press::Letter('['), &data);
    assert!(frame_text(&state, &data).contains("00:01:40 UTC"), "there is nothing before");
    state.press(Press::Letter(']'), &data);
    assert!(frame_text(&state, &data).contains("00:01:50 UTC"));
    state.press(Press::Letter(' '), &data);
    assert!(frame_text(&state, &data).contains("00:01:55 UTC") && !state.is_paused);
}

#[test]
fn the_mouse_chooses_tabs_and_lines() {
    let data = data([reply(110)]);
    let (state, _) = after(&[Press::Click(3, 4)], &data);
    assert_eq!(state.tab, Tab::Findings);
    let line = |row| [Press::Click(10, row)];
    let (state, _) = after(&line(8), &data);
    assert_eq!((state.place().chosen, state.inquiry().task), (2, None));
    let (state, _) = after(&[line(8), line(8)].concat(), &data);
    assert_eq!(state.inquiry().task, Some(2));
    assert_eq!(after(&[Press::WheelDown], &data).0.place().chosen, 3);
    // Beside everything.
    assert_eq!(after(&[Press::Click(119, 29), Press::Click(119, 4), Press::Click(0, 0)], &data).0.tab, Tab::Tasks);
}

#[test]
fn patterns_have_those_first_that_somebody_waits_for() {
    insta::assert_snapshot!(body(Tab::Patterns), @"
    kind          name             in use  waiting  calls/s  failed retries rejected
    TokenBucket   –                             40       30
    Pool          database          10/10      ! 4
    Semaphore     –              1/10 000        0
    Breaker       upstream         ! open                                          1
    Policy        api                                 2 000       7       9        1
    1 200 more are not shown
    ");
}

#[test]
fn patterns_are_sorted_by_what_is_wanted() {
    let data = data([reply(100), reply(110)]);
    let shown = |presses: &str| {
        let state = &mut State::new(Tab::Patterns, false, 100, 24);
        for press in typed(presses) {
            state.press(press, &data);
        }
        let text = frame_text(state, &data);
        let kinds = text.lines().skip(6).take(5).map(|line| line.split(' ').next().unwrap_or_default().to_owned());
        (kinds.collect::<Vec<_>>(), text)
    };
    assert_eq!(shown("s").0[..2], ["Pool", "Semaphore"]);
    assert_eq!(shown("ss").0[..2], ["Policy", "TokenBucket"]);
    assert_eq!(shown("S").0, ["Breaker", "Policy", "Pool", "Semaphore", "TokenBucket"]);
    assert_eq!(shown("Sr").0, ["TokenBucket", "Semaphore", "Pool", "Policy", "Breaker"]);
    let (_, text) = shown("s/DATABASE");
    assert!(text.contains("database") && !text.contains("upstream"), "{text}");
    assert!(shown("s").1.contains("s: in use ↓"), "{text}");
}

#[test]
fn a_program_that_is_gone_stays_as_it_was_seen() {
    let mut data = data([reply(110)]);
    data.gone = Some("the program has ended".to_owned());
    let (_, text) = after(&[], &data);
    assert!(text.contains("! the program has ended; this is the last that was seen"), "{text}");
    assert!(text.contains("Task-1"), "{text}");
}

#[test]
fn only_what_is_seen_is_asked_for() {
    let data = data([reply(110)]);
    let waits = after(&typed("3"), &data).0.inquiry();
    assert_eq!(waits, Inquiry { waits: true, ..Inquiry::default() });
    let threads = after(&typed("6"), &data).0.inquiry();
    assert_eq!(threads, Inquiry { threads: true, ..Inquiry::default() });
}

#[test]
fn names_cannot_steer_the_terminal() {
    let mut answer = reply(110);
    if let Some(page) = &mut answer.tasks {
        page.rows[0].name = Some("\x1b[2Jevil\r\n".to_owned());
    }
    let (_, text) = after(&[], &data([answer]));
    assert!(text.contains("·[2Jevil··") && !text.contains('\x1b'), "{text}");
}

#[test]
fn texts_fit_their_columns() {
    use super::text::{fit, fit_place, fit_right, width_of, wrap};
    for text in ["", "abc", "abcdefghij", "äöü日本語日本語", "日"] {
        for width in 0..12 {
            for fitted in [fit(text, width), fit_right(text, width), fit_place(text, width)] {
                assert_eq!(width_of(&fitted), width, "{text} in {width}: {fitted:?}");
            }
        }
    }
    assert_eq!(fit_place("/srv/shop/app.py:3 in Cart.add", 20), "app.py:3 in Cart.add");
    assert_eq!(fit_place("/srv/shop/app.py:3 in Cart.add", 12), "app.py:3 in…");
    assert_eq!(wrap("one two three", 14, 2), ["one two three"]);
    assert_eq!(wrap("one two three four", 12, 2), ["one two", "  three four"]);
}
