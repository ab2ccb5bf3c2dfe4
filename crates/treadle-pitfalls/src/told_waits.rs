//! Words for what tasks wait for.

use treadle_events::{Manner, Wait};
use treadle_finding::Site;
use treadle_run::{Member, Run, Seized};

/// The line that a stuck task stands at.
pub(crate) fn site(run: &Run, member: &Member) -> Site {
    run.site(run.standing(&member.waiting))
}

/// What a task waits for, with an article.
pub(crate) fn wanted(member: &Member) -> String {
    let class = member.thing.as_ref().map_or("", |thing| thing.class.as_str());
    match &member.waiting.wait {
        Wait::Thing(manner, _) => match manner {
            Manner::Lock => "a lock".to_owned(),
            Manner::Permit => "a permit of a semaphore".to_owned(),
            Manner::Notice => "a condition's notice".to_owned(),
            Manner::Event => "an event".to_owned(),
            Manner::Item => format!("an item of a `{class}`"),
            Manner::Room => format!("room in a `{class}`"),
            Manner::Done => format!("all items of a `{class}` to be done"),
            Manner::Barrier => "others at a barrier".to_owned(),
            Manner::Result => "a future".to_owned(),
        },
        Wait::All(tasks) | Wait::Any(tasks) if tasks.len() == 1 => "a task".to_owned(),
        Wait::All(_) | Wait::Any(_) => "tasks".to_owned(),
        Wait::Sleep | Wait::Outside => "something outside".to_owned(),
    }
}

/// A line for each stuck task: where it stands, and who holds what it waits for.
pub(crate) fn evidence(run: &Run, seized: &Seized) -> Vec<String> {
    let name = |task: u64| {
        let member = seized.members.iter().find(|member| member.waiting.task == task);
        member.map_or_else(|| "a stuck task".to_owned(), |member| format!("`{}`", member.waiting.name))
    };
    let line = |member: &Member| {
        let mut text =
            format!("`{}` waits at {} for {}", member.waiting.name, short(&site(run, member)), wanted(member));
        let mut others: Vec<String> = Vec::new();
        for (task, hold) in &member.stuck.waits_for {
            let name = if *task == member.waiting.task { "it".to_owned() } else { name(*task) };
            others.push(match hold.map(|hold| run.site(hold.place)).filter(|site| site.line > 0) {
                Some(site) => format!("{name} holds since {}", short(&site)),
                None if hold.is_some() => format!("{name} holds"),
                None => name,
            });
        }
        others.truncate(4);
        if !others.is_empty() {
            let is_held = member.stuck.waits_for.iter().any(|(_, hold)| hold.is_some());
            text += if is_held { " that " } else { ": " };
            text += &others.join(" and ");
        }
        text
    };
    seized.members.iter().take(8).map(line).collect()
}

/// `app.py:3 in main`.
pub(crate) fn short(site: &Site) -> String {
    let file = site.path.rsplit('/').next().unwrap_or(&site.path);
    format!("{file}:{} in {}", site.line, site.function)
}
