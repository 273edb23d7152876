//! A page of HTML that needs nothing but itself: no script, no font, no network.

use super::svg::escape;

/// A page in the making.
#[derive(Debug)]
pub struct Page {
    html: String,
}

const STYLE: &str = "body{font-family:sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}\
table{border-collapse:collapse;font-size:.9rem}th,td{padding:.25rem .7rem;border-bottom:1px solid #ddd;text-align:right}\
th:first-child,td:first-child{text-align:left}svg{max-width:100%;height:auto}pre{white-space:pre-wrap}\
.wrong{color:#b00020;font-weight:bold}";

impl Page {
    /// With a title.
    pub fn new(title: &str) -> Page {
        let title = escape(title);
        let html = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
             <style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n"
        );
        Page { html }
    }

    /// A heading.
    pub fn heading(&mut self, text: &str) {
        self.html.push_str(&format!("<h2>{}</h2>\n", escape(text)));
    }

    /// A paragraph.
    pub fn text(&mut self, text: &str) {
        self.html.push_str(&format!("<p>{}</p>\n", escape(text)));
    }

    /// What has gone wrong.
    pub fn complaint(&mut self, text: &str) {
        self.html.push_str(&format!("<p class=\"wrong\">{}</p>\n", escape(text)));
    }

    /// A drawing that was made before.
    pub fn drawing(&mut self, svg: &str) {
        self.html.push_str(svg);
    }

    /// A table; its first row is the head.
    pub fn table(&mut self, rows: &[Vec<String>]) {
        self.html.push_str("<table>\n");
        for (at, row) in rows.iter().enumerate() {
            let tag = if at == 0 { "th" } else { "td" };
            let cells = row.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell)));
            self.html.push_str(&format!("<tr>{}</tr>\n", cells.collect::<String>()));
        }
        self.html.push_str("</table>\n");
    }

    /// The whole.
    pub fn finish(mut self) -> String {
        self.html.push_str("</body></html>\n");
        self.html
    }
}

/// Rows as text: the first column to the left, all others to the right.
pub fn align(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let wide =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| wide(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            match column {
                0 => line.push_str(&format!("{cell:<width$}", width = widths[0])),
                _ => line.push_str(&format!("  {cell:>width$}", width = widths[column])),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_needs_nothing_but_itself() {
        let mut page = Page::new("a <title>");
        page.heading("b");
        page.text("1 < 2");
        page.complaint("c & d");
        page.table(&[vec!["x".into()], vec!["<y>".into()]]);
        page.drawing("<svg></svg>");
        let html = page.finish();
        assert!(html.starts_with("<!doctype html>") && html.ends_with("</body></html>\n"));
        for part in
            ["a &lt;title&gt;", "1 &lt; 2", "c &amp; d", "<th>x</th>", "<td>&lt;y&gt;</td>", "<svg></svg>"]
        {
            assert!(html.contains(part), "{part}");
        }
        for outside in ["http", "src=", "<script", "url("] {
            assert!(!html.contains(outside), "{outside}");
        }
    }

    #[test]
    fn columns_stand_below_each_other() {
        let rows = [vec!["name".into(), "a".into(), "b".into()], vec!["x".into(), "12".into(), "3".into()]];
        assert_eq!(align(&rows), "name   a  b\nx     12  3\n");
        assert_eq!(align(&[]), "");
    }
}
