//! Which steps are shown one by one when there are too many: the newest, and of all others the longest.

use super::replay::{NONE, Step};

/// How much of the room the newest have: one part of so many.
const NEWEST: usize = 4;

/// The steps that are shown, in the order in which they began, and since when none is missing, in ticks, if any is. Wakers that are not shown are none.
pub(super) fn thinned(mut steps: Vec<Step>, limit: usize) -> (Vec<Step>, Option<u64>) {
    let mut order: Vec<u32> = (0..steps.len() as u32).collect();
    order.sort_by_key(|at| steps[*at as usize].start);
    let (kept, since) = if order.len() <= limit { (order, None) } else { chosen(&steps, order, limit) };
    let mut new = vec![NONE; steps.len()];
    for (at, old) in kept.iter().enumerate() {
        new[*old as usize] = at as u32;
    }
    for step in &mut steps {
        step.waker = new.get(step.waker as usize).copied().unwrap_or(NONE);
    }
    (kept.into_iter().map(|at| steps[at as usize]).collect(), since)
}

fn chosen(steps: &[Step], mut order: Vec<u32>, limit: usize) -> (Vec<u32>, Option<u64>) {
    let newest = order.split_off(order.len() - (limit / NEWEST).max(1));
    let since = newest.first().map(|at| steps[*at as usize].start);
    let room = limit.saturating_sub(newest.len()).min(order.len());
    if room < order.len() {
        order.select_nth_unstable_by_key(room, |at| {
            let step = &steps[*at as usize];
            (std::cmp::Reverse((step.took, step.start)), *at)
        });
        order.truncate(room);
    }
    order.sort_by_key(|at| steps[*at as usize].start);
    order.extend(newest);
    (order, since)
}

#[cfg(test)]
mod tests {
    use treadle_events::PlaceId;

    use super::super::WokenBy;
    use super::*;

    fn step(start: u64, took: u64, waker: u32) -> Step {
        let (event_loop, task, woken_by) = (1, NONE, WokenBy::Step);
        Step { event_loop, task, place: PlaceId(0), start, took, woken_by, waker, waker_task: NONE, woken: 0 }
    }

    #[test]
    fn newest_and_longest_stay_and_know_their_wakers() {
        let steps: Vec<Step> = (0..100).map(|at| step(at * 10, if at % 10 == 0 { 9 } else { 1 }, NONE)).collect();
        let (kept, since) = thinned(steps.clone(), 1_000);
        assert_eq!((kept.len(), since), (100, None));
        let mut woken = steps;
        (woken[99].waker, woken[98].waker) = (50, 1);
        let (kept, since) = thinned(woken, 20);
        let starts: Vec<u64> = kept.iter().map(|step| step.start).collect();
        assert_eq!(since, Some(950));
        assert_eq!(&starts[15..], [950, 960, 970, 980, 990]);
        assert!((0..100).step_by(10).all(|at| starts.contains(&(at * 10))), "{starts:?}");
        assert_eq!(starts.len(), 20);
        assert_eq!(kept[kept[19].waker as usize].start, 500);
        assert_eq!(kept[18].waker, NONE);
    }
}
