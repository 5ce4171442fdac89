//! What a page tells in a table, and draws as bars.

use maud::{Markup, html};

use super::page::picture;
use super::plot::{self, Bar};
use super::sound::Picture;

/// Room behind the longest bar for its number, as a part of the scale.
const NUMBER_PART: f64 = 0.2;
/// The shortest scale: of bars that are all 0.
const SHORTEST: f64 = 0.001;

/// A table under a heading, and pictures of what is in it.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// Above it.
    pub title: String,
    /// How it is to be read; may be empty.
    pub note: String,
    /// Drawn from the table.
    pub pictures: Vec<Picture>,
    /// All of it as text.
    pub table: Table,
}

/// Rows of text. The first cell of a row is its name.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// The heads of the columns; none of a table of names and values.
    pub columns: Vec<String>,
    /// Rows, with a cell for each column.
    pub rows: Vec<Vec<String>>,
}

/// Each group in a picture of its own, under its name. The scale is the same in all, so that a bar that is
/// twice as long is twice as much in whichever picture it is. `unit` follows the numbers of the axis.
pub fn bars(groups: &[(String, Vec<Bar>)], unit: &str, caption: &str) -> Vec<Picture> {
    let all = || groups.iter().flat_map(|(_, bars)| bars).filter(|bar| bar.is_drawn());
    let lowest = all().map(|bar| bar.least).fold(0.0, f64::min);
    let highest = all().map(|bar| bar.greatest).fold(0.0, f64::max);
    let long = (highest - lowest).max(SHORTEST);
    let scale = (lowest, highest + long * NUMBER_PART);
    let drawn = groups.iter().map(|(title, bars)| Picture {
        title: title.clone(),
        caption: caption.to_owned(),
        svg: plot::bars(bars, scale, unit).map_err(|error| error.to_string()),
    });
    drawn.collect()
}

pub(super) fn section_part(section: &Section) -> Markup {
    let Section { title, note, pictures, table } = section;
    html! {
        section {
            h2 { (title) }
            div.card {
                @if !note.is_empty() { p.note { (note) } }
                @if !pictures.is_empty() {
                    div.pair { @for one in pictures { (picture(one, "half")) } }
                }
                (table_of(table))
            }
        }
    }
}

fn table_of(table: &Table) -> Markup {
    html! {
        table.figures {
            @if !table.columns.is_empty() {
                tr { @for column in &table.columns { th scope="col" { (column) } } }
            }
            @for row in &table.rows {
                tr {
                    @for (index, cell) in row.iter().enumerate() {
                        @if index == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                    }
                }
            }
        }
    }
}
