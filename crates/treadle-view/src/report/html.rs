//! The page: a bundle that is made of `report/` at the root, with the report in it, compressed.

use treadle_run::Report;

use super::report_json;

/// The page without a report. The data stands in a script element that the page unpacks.
const PAGE: &str = include_str!("page.html");

/// How large a page is to be at most, in bytes.
pub const LARGEST_PAGE: usize = 5 << 20;

/// How well it is compressed, of ten: more takes long and gains little.
const LEVEL: u8 = 6;

/// A page that opens from the disk and needs nothing else.
pub fn html(report: &Report) -> String {
    let packed = miniz_oxide::deflate::compress_to_vec(report_json(report).as_bytes(), LEVEL);
    let mut page = String::with_capacity(PAGE.len() + packed.len() / 3 * 4 + 1_000);
    // One after the other, so that a title that has a placeholder in it stays a title.
    let mut rest = PAGE;
    while let Some(at) = rest.find("@@") {
        let (before, from) = rest.split_at(at);
        page.push_str(before);
        rest = if let Some(rest) = from.strip_prefix("@@TITLE@@") {
            page.push_str(&escaped(&report.title));
            rest
        } else if let Some(rest) = from.strip_prefix("@@REPORT@@") {
            base64(&packed, &mut page);
            rest
        } else {
            page.push_str("@@");
            &from[2..]
        };
    }
    page.push_str(rest);
    page
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn base64(bytes: &[u8], text: &mut String) {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let all = chunk.iter().fold(0_u32, |all, byte| all << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = LETTERS[(all >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_standard_come_out_as_it_says() {
        for (bytes, wanted) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            let mut text = String::new();
            base64(bytes.as_bytes(), &mut text);
            assert_eq!(text, wanted);
        }
    }

    #[test]
    fn title_is_text_whatever_it_is() {
        let report = Report { title: "<b>@@REPORT@@".to_owned(), ..Report::default() };
        let page = html(&report);
        assert!(page.contains("<title>&lt;b&gt;@@REPORT@@</title>"), "{page}");
        assert_eq!(page.matches("@@REPORT@@").count(), page.matches("&lt;b&gt;@@REPORT@@").count());
    }
}
