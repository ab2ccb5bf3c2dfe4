//! `treadle explain NAME`.

use anyhow::bail;
use treadle_check::configuration;
use treadle_check::suppress::OWN;

use crate::arguments::Explain;
use crate::output;

pub(crate) fn run(options: &Explain) -> anyhow::Result<u8> {
    let own = || OWN.iter().find(|about| about.name == options.name).map(|about| about.page);
    let Some(page) = treadle_pitfalls::find(&options.name).map(|pitfall| pitfall.about.page).or_else(own) else {
        match configuration::check_name(&options.name) {
            Err(message) => bail!("{message}"),
            Ok(()) => bail!("`{}` has no page", options.name),
        }
    };
    output::print(&treadle_view::page(page, &output::style(options.color)))?;
    Ok(0)
}
