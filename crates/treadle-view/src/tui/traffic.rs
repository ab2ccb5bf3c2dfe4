//! The tab of what goes on at the border: transports, buffers, timers, jobs.

use treadle_run::inquiry::{PlaceCount, Reply};

use super::sheet::{Column, Sheet, plain, share};
use super::text::{bytes, count, place, plural};
use crate::duration;

pub(super) fn sheet(reply: &Reply, width: usize) -> Sheet {
    let Some(page) = &reply.traffic else { return Sheet::new() };
    let mut sheet = Sheet::new();
    let around = reply.pulse.vitals.loops.iter().map(|row| row.surroundings);
    let (transports, unsent, descriptors) = around.fold((0, 0, 0), |sum, row| {
        (sum.0 + row.transports as u64, sum.1 + row.unsent as u64, sum.2 + row.descriptors as u64)
    });
    sheet.push(format!(
        "{} {}, {} to be sent; {} other {} watched; {} {}",
        count(transports),
        plural(transports, "transport", "transports"),
        bytes(unsent),
        count(descriptors),
        plural(descriptors, "descriptor is", "descriptors are"),
        count(reply.pulse.timers()),
        plural(reply.pulse.timers(), "timer", "timers")
    ));
    places(&mut sheet, "open transports by where they were made", &page.transports, width);
    places(&mut sheet, "! transports that nobody has closed", &page.left, width);
    if !page.jammed.is_empty() {
        sheet.section("! buffers that grow and grow, by who writes");
        let columns = share(
            [Column::number("transports", 10), Column::number("most", 12), Column::place("written at", 0)],
            width,
        );
        let cells = page.jammed.iter();
        sheet.table(
            &columns,
            cells.map(|row| vec![plain(count(row.count)), plain(bytes(row.largest)), plain(place(&row.site))]),
        );
    }
    places(&mut sheet, "timers by where they were set", &page.timers, width);
    sheet.section("jobs of executors");
    if page.jobs.is_empty() {
        sheet.push("none");
        return sheet;
    }
    let columns = share(
        [
            Column::number("running", 8),
            Column::number("queued", 8),
            Column::number("waits", 8),
            Column::place("function", 0),
            Column::place("handed over at", 0),
        ],
        width,
    );
    let cells = page.jobs.iter().map(|job| {
        vec![
            plain(count(job.running)),
            plain(count(job.queued)),
            plain(if job.queued > 0 { duration(job.waited) } else { String::new() }),
            plain(place(&job.function)),
            plain(place(&job.birth)),
        ]
    });
    sheet.table(&columns, cells);
    sheet
}

fn places(sheet: &mut Sheet, title: &str, rows: &[PlaceCount], width: usize) {
    if rows.is_empty() {
        return;
    }
    sheet.section(title);
    let columns = share([Column::number("count", 10), Column::place("where", 0)], width);
    sheet.table(&columns, rows.iter().map(|row| vec![plain(count(row.count)), plain(place(&row.birth))]));
}
