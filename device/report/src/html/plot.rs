//! The pictures, as SVG by plotters. All of a kind have the same margins, so that what is above something
//! else was at the same time. Colours are those of the light page; `style.css` has the dark ones, by these
//! very values.

use std::fmt::Write as _;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::colors::colormaps::{ColorMap, ViridisRGB};
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::{Axis, COLUMNS};
use super::clips::{CLIPS, png_uri};
use super::differences::{DIFFERENCE_FLOOR_DB, Difference};
use super::survey::{LOWEST_HZ, ROWS};
use super::words::short;

/// Why there is no picture. It is said in its place.
pub type PlotError = Box<dyn std::error::Error>;

const WIDTH: u32 = 1120;
const LEFT: u32 = 84;
const RIGHT: u32 = 16;
const BOTTOM: u32 = 26;
/// Room for the numbers of differences.
const NUMBERS: u32 = 22;

/// Text, axes and grid; sent, heard, wrong, doubtful. `style.css` names each.
pub const INK: RGBColor = RGBColor(0x33, 0x41, 0x55);
const GRID: RGBColor = RGBColor(0xE2, 0xE8, 0xF0);
const SENT: RGBColor = RGBColor(0x25, 0x63, 0xEB);
const HEARD: RGBColor = RGBColor(0x0F, 0x76, 0x6E);
const WRONG: RGBColor = RGBColor(0xDC, 0x26, 0x26);
const DOUBT: RGBColor = RGBColor(0xD9, 0x77, 0x06);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// What is in one lane of a picture.
pub enum Lane<'a> {
    /// Levels from -1 to 1: a sound that was sent, or heard.
    Wave { name: &'a str, sent: bool, levels: &'a [Option<(f32, f32)>] },
    /// The difference in dB.
    Difference { levels: &'a [f32] },
    /// A spectrogram up to so many Hz.
    Spectrum { name: &'a str, cells: &'a [u8], highest: f64 },
}

impl Lane<'_> {
    fn height(&self) -> u32 {
        match self {
            Self::Wave { .. } => 110,
            Self::Difference { .. } => 90,
            Self::Spectrum { .. } => 170,
        }
    }
}

/// Lanes under each other, with the same axis, and the differences over all of them.
pub fn lanes(lanes: &[Lane<'_>], axis: Axis, places: &[Difference]) -> Result<String, PlotError> {
    let height = NUMBERS + lanes.iter().map(Lane::height).sum::<u32>() + BOTTOM;
    let mut svg = String::new();
    let mut images = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        let (numbers, mut rest) = root.split_vertically(NUMBERS);
        draw_numbers(&numbers, axis, places)?;
        for (index, lane) in lanes.iter().enumerate() {
            let last = index + 1 == lanes.len();
            let (area, below) = rest.split_vertically(lane.height() + if last { BOTTOM } else { 0 });
            draw_lane(&area, lane, axis, places, last, &mut images)?;
            rest = below;
        }
        root.present()?;
    }
    Ok(with_images(&svg, &images))
}

/// Pictures go behind everything else.
fn with_images(svg: &str, images: &str) -> String {
    match svg.split_once('>') {
        Some((tag, rest)) => format!("{tag}>{images}{rest}"),
        None => svg.to_owned(),
    }
}

fn x_of(seconds: f64, axis: Axis) -> i32 {
    let part = (seconds - axis.begin) / (axis.end - axis.begin);
    #[allow(clippy::cast_possible_truncation, reason = "a thousand pixels")]
    let x = (f64::from(LEFT) + part.clamp(0.0, 1.0) * f64::from(WIDTH - LEFT - RIGHT)).round() as i32;
    x
}

/// A place from here to there, at least two pixels wide.
fn x_range(place: &Difference, axis: Axis) -> (i32, i32) {
    let (from, to) = (x_of(place.seconds, axis), x_of(place.seconds + place.length, axis));
    if to - from >= 2 { (from, to) } else { (from - 1, from + 1) }
}

fn draw_numbers(area: &Area<'_>, axis: Axis, places: &[Difference]) -> Result<(), PlotError> {
    let style = text(13, WRONG, HPos::Center, VPos::Center);
    let mut free = i32::MIN;
    for (number, place) in (1..=CLIPS).zip(places) {
        let x = x_of(place.seconds, axis);
        // Numbers that would lie upon each other are left out; the table has all.
        if x >= free {
            area.draw(&Text::new(number.to_string(), (x, 11), style.clone()))?;
            free = x + 18;
        }
    }
    Ok(())
}

fn text(size: i32, color: RGBColor, horizontal: HPos, vertical: VPos) -> TextStyle<'static> {
    let font = ("sans-serif", size).into_font();
    TextStyle { font, color: color.to_backend_color(), pos: Pos::new(horizontal, vertical) }
}

fn draw_lane(
    area: &Area<'_>,
    lane: &Lane<'_>,
    axis: Axis,
    places: &[Difference],
    last: bool,
    images: &mut String,
) -> Result<(), PlotError> {
    let bottom = if last { BOTTOM } else { 0 };
    let x = axis.begin..axis.end;
    let mut chart = ChartBuilder::on(area);
    chart.margin_right(RIGHT).margin_top(4).margin_bottom(4);
    chart
        .set_label_area_size(LabelAreaPosition::Left, LEFT)
        .set_label_area_size(LabelAreaPosition::Bottom, bottom);
    match lane {
        Lane::Wave { name, sent, levels } => {
            let mut chart = chart.build_cartesian_2d(x, -1.05_f64..1.05)?;
            mesh(&mut chart, name, (last, true), 3, &|level: &f64| format!("{level:.0}"))?;
            let color = if *sent { SENT } else { HEARD };
            for outline in outlines(levels, axis) {
                chart.draw_series(std::iter::once(Polygon::new(outline, color.filled())))?;
            }
            bands(&chart, axis, places)
        }
        Lane::Difference { levels } => {
            let floor = f64::from(DIFFERENCE_FLOOR_DB);
            let mut chart = chart.build_cartesian_2d(x, floor..0.0)?;
            mesh(&mut chart, "difference", (last, true), 3, &|level: &f64| format!("{level:.0} dB"))?;
            let mut outline = vec![(axis.begin, floor)];
            outline.extend(levels.iter().enumerate().flat_map(|(column, level)| {
                [(axis.seconds(column), f64::from(*level)), (axis.seconds(column + 1), f64::from(*level))]
            }));
            outline.push((axis.end, floor));
            if levels.iter().any(|level| *level > DIFFERENCE_FLOOR_DB) {
                chart.draw_series(std::iter::once(Polygon::new(outline, WRONG.filled())))?;
            }
            bands(&chart, axis, places)
        }
        Lane::Spectrum { name, cells, highest } => {
            let mut chart =
                chart.build_cartesian_2d(x, (LOWEST_HZ..highest.max(LOWEST_HZ * 2.0)).log_scale())?;
            let (wide, high) = chart.plotting_area().get_pixel_range();
            let uri = png_uri(&spectrogram(cells)?);
            // Numbers and base64 only.
            let _ = write!(
                images,
                "<image x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" preserveAspectRatio=\"none\" href=\"{uri}\"></image>",
                wide.start,
                high.start,
                wide.end - wide.start,
                high.end - high.start,
            );
            let hertz = |hz: &f64| {
                if *hz < 1000.0 { format!("{hz:.0} Hz") } else { format!("{:.0} kHz", hz / 1000.0) }
            };
            mesh(&mut chart, name, (last, false), 4, &hertz)?;
            outline_bands(&chart, axis, places)
        }
    }
}

type Chart<'a, 'b, Y> =
    ChartContext<'a, SVGBackend<'b>, Cartesian2d<plotters::coord::types::RangedCoordf64, Y>>;

/// Axes, a light grid, and the name at the left. The horizontal axis is in seconds.
fn mesh<'a, Y>(
    chart: &mut Chart<'a, '_, Y>,
    name: &str,
    (last, grid): (bool, bool),
    labels: usize,
    format: &dyn Fn(&f64) -> String,
) -> Result<(), PlotError>
where
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let seconds = |seconds: &f64| format!("{} s", shortest(*seconds));
    mesh_with(chart, name, (last, grid), (11, labels), [&seconds, format])
}

/// A number to three places, without the zeros at its end.
fn shortest(number: f64) -> String {
    let whole = format!("{number:.3}");
    whole.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// As [`mesh`], with so many labels along and up, as these say them.
fn mesh_with<'a, Y>(
    chart: &mut Chart<'a, '_, Y>,
    name: &str,
    (last, grid): (bool, bool),
    (along, up): (usize, usize),
    [x, y]: [&dyn Fn(&f64) -> String; 2],
) -> Result<(), PlotError>
where
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let label = text(13, INK, HPos::Right, VPos::Center);
    let mut mesh = chart.configure_mesh();
    mesh.bold_line_style(GRID).light_line_style(TRANSPARENT).axis_style(INK);
    mesh.label_style(label).x_label_formatter(&x).y_label_formatter(&y);
    mesh.x_labels(along).y_labels(up).y_desc(name).axis_desc_style(text(14, INK, HPos::Center, VPos::Center));
    if !last {
        mesh.x_labels(0);
    }
    // Lines over a picture would be taken for sound.
    if !grid {
        mesh.disable_mesh();
    }
    mesh.draw()?;
    Ok(())
}

/// The stretches of a sound that have levels, each as one closed line.
fn outlines(levels: &[Option<(f32, f32)>], axis: Axis) -> Vec<Vec<(f64, f64)>> {
    let mut all = Vec::new();
    let (mut above, mut below) = (Vec::new(), Vec::new());
    let step = axis.step();
    let known = levels.iter().enumerate().filter_map(|(column, levels)| Some((column, (*levels)?)));
    let mut known = known.peekable();
    // Columns without a frame, of a short sound, have the level before them.
    while let Some((column, (low, high))) = known.next() {
        let to = known.peek().map_or(column + 1, |(next, _)| *next);
        let begin = axis.seconds(column);
        #[allow(clippy::cast_precision_loss, reason = "a thousand columns")]
        let end = begin + step * (to - column) as f64;
        // Silence is a line that one sees.
        let (low, high) = (f64::from(low.clamp(-1.0, 1.0)) - 0.006, f64::from(high.clamp(-1.0, 1.0)) + 0.006);
        above.extend([(begin, high), (end, high)]);
        below.extend([(begin, low), (end, low)]);
    }
    if !above.is_empty() {
        above.extend(below.into_iter().rev());
        all.push(above);
    }
    all
}

/// Red over each place.
fn bands<Y: Ranged<ValueType = f64>>(
    chart: &Chart<'_, '_, Y>,
    axis: Axis,
    places: &[Difference],
) -> Result<(), PlotError> {
    mark_places(chart, axis, places, &|area, (from, to), (top, bottom)| {
        area.draw(&Rectangle::new([(from, top), (to, bottom)], WRONG.mix(0.25).filled()))?;
        Ok(())
    })
}

/// A frame around each place, which leaves the picture as it is.
fn outline_bands<Y: Ranged<ValueType = f64>>(
    chart: &Chart<'_, '_, Y>,
    axis: Axis,
    places: &[Difference],
) -> Result<(), PlotError> {
    mark_places(chart, axis, places, &|area, (from, to), (top, bottom)| {
        for x in [from - 1, to + 1] {
            area.draw(&PathElement::new([(x, top), (x, bottom)], WRONG.stroke_width(1)))?;
        }
        Ok(())
    })
}

type DrawPlace<'a> = dyn Fn(&Area<'_>, (i32, i32), (i32, i32)) -> Result<(), PlotError> + 'a;

fn mark_places<Y: Ranged<ValueType = f64>>(
    chart: &Chart<'_, '_, Y>,
    axis: Axis,
    places: &[Difference],
    draw: &DrawPlace<'_>,
) -> Result<(), PlotError> {
    let area = chart.plotting_area().strip_coord_spec();
    let (wide, high) = area.get_pixel_range();
    let bottom = high.end - high.start;
    let mut free = i32::MIN;
    for place in places {
        let (from, to) = x_range(place, axis);
        // Places that would lie upon one another are drawn once.
        if to > free {
            draw(&area, (from.max(free) - wide.start, to - wide.start), (0, bottom))?;
            free = to;
        }
    }
    Ok(())
}

/// A picture of `COLUMNS` by `ROWS` pixels.
fn spectrogram(cells: &[u8]) -> Result<Vec<u8>, PlotError> {
    let mut bytes = Vec::new();
    let (wide, high) = (u32::try_from(COLUMNS)?, u32::try_from(ROWS)?);
    let mut encoder = png::Encoder::new(&mut bytes, wide, high);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    let palette = (0..=255_u8).flat_map(|level| {
        let color = ViridisRGB.get_color(f64::from(level) / 255.0);
        [color.0, color.1, color.2]
    });
    encoder.set_palette(palette.collect::<Vec<u8>>());
    let mut writer = encoder.write_header()?;
    // A step of 2 in 255 is not seen, and half as long.
    writer.write_image_data(&cells.iter().map(|cell| cell & !3).collect::<Vec<_>>())?;
    writer.finish()?;
    Ok(bytes)
}

/// A row of a timeline: its name, and how much there is in each bin.
pub struct Row<'a> {
    pub name: &'a str,
    pub bins: &'a [u32],
    /// What one does not want to see.
    pub bad: bool,
}

/// Rows under each other over seconds, `bin` seconds to each bin.
pub fn timeline(rows: &[Row<'_>], bin: f64, end: f64) -> Result<String, PlotError> {
    const ROW: i32 = 24;
    let height = u32::try_from(ROW)? * u32::try_from(rows.len())? + BOTTOM + 8;
    let axis = Axis::new(0.0, end);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        let mut chart = ChartBuilder::on(&root);
        chart.margin_right(RIGHT).margin_top(4).margin_bottom(4);
        chart.set_label_area_size(LabelAreaPosition::Left, LEFT);
        chart.set_label_area_size(LabelAreaPosition::Bottom, BOTTOM);
        let mut chart = chart.build_cartesian_2d(axis.begin..axis.end, 0.0..1.0)?;
        mesh(&mut chart, "", (true, true), 0, &|_: &f64| String::new())?;
        let style = text(13, INK, HPos::Right, VPos::Center);
        for (index, row) in rows.iter().enumerate() {
            let top = 4 + ROW * i32::try_from(index)?;
            root.draw(&Text::new(
                row.name.to_owned(),
                (i32::try_from(LEFT)? - 8, top + ROW / 2),
                style.clone(),
            ))?;
            draw_row(&root, row, (top + 3, top + ROW - 3), bin, axis)?;
        }
        root.present()?;
    }
    Ok(svg)
}

/// Bins of a row that are not empty, one rectangle for neighbours with the same shade.
fn draw_row(
    area: &Area<'_>,
    row: &Row<'_>,
    (top, bottom): (i32, i32),
    bin: f64,
    axis: Axis,
) -> Result<(), PlotError> {
    let most = f64::from(row.bins.iter().copied().max().unwrap_or(0).max(1));
    // Of what should not be, one is as much to see as many.
    let shade = |count: u32| match (count, row.bad) {
        (0, _) => 0,
        (_, true) => 4,
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 4")]
        (count, false) => (f64::from(count) / most * 4.0).ceil().clamp(1.0, 4.0) as u8,
    };
    let color = if row.bad { WRONG } else { HEARD };
    let mut at = 0;
    for run in row.bins.chunk_by(|one, other| shade(*one) == shade(*other)) {
        let dark = run.first().map_or(0, |count| shade(*count));
        let [from, to] = [at, at + run.len()].map(|index| {
            #[allow(clippy::cast_precision_loss, reason = "a thousand bins")]
            let seconds = index as f64 * bin;
            x_of(seconds, axis)
        });
        at += run.len();
        if dark > 0 {
            let style = color.mix(0.25 * f64::from(dark)).filled();
            area.draw(&Rectangle::new([(from, top), (to.max(from + 2), bottom)], style))?;
        }
    }
    Ok(())
}

/// A line of a chart: its name, and its points.
pub struct Line<'a> {
    pub name: &'a str,
    pub points: Vec<(f64, f64)>,
}

/// Positions in seconds of sound over seconds of the host.
pub fn positions(lines: &[Line<'_>], end: f64) -> Result<String, PlotError> {
    let highest = lines.iter().flat_map(|line| &line.points).map(|(_, y)| *y).fold(0.001, f64::max);
    let axis = Axis::new(0.0, end);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, 240)).into_drawing_area();
        let mut chart = ChartBuilder::on(&root);
        chart.margin_right(RIGHT).margin_top(8).margin_bottom(4);
        chart.set_label_area_size(LabelAreaPosition::Left, LEFT);
        chart.set_label_area_size(LabelAreaPosition::Bottom, BOTTOM);
        let mut chart = chart.build_cartesian_2d(axis.begin..axis.end, 0.0..highest * 1.05)?;
        mesh(&mut chart, "position", (true, true), 5, &|y: &f64| format!("{y:.1} s"))?;
        let colors = [HEARD, SENT, DOUBT, WRONG];
        for (line, color) in lines.iter().zip(colors.iter().cycle()) {
            chart.draw_series(std::iter::once(PathElement::new(
                straightened(&line.points, highest / 400.0),
                color.stroke_width(2),
            )))?;
            if let Some(last) = line.points.last() {
                let style = text(13, *color, HPos::Right, VPos::Bottom);
                chart.draw_series(std::iter::once(Text::new(line.name.to_owned(), *last, style)))?;
            }
        }
        root.present()?;
    }
    Ok(svg)
}

/// As few of the points as say the same: pixels are whole numbers, and a point at each makes stairs of a
/// straight line.
fn straightened(points: &[(f64, f64)], within: f64) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = Vec::new();
    let mut between: Vec<(f64, f64)> = Vec::new();
    for point in points {
        let fits = kept.last().is_none_or(|from| {
            let slope = (point.1 - from.1) / (point.0 - from.0).max(f64::MIN_POSITIVE);
            between.iter().all(|(x, y)| (from.1 + (x - from.0) * slope - y).abs() <= within)
        });
        if !fits {
            kept.extend(between.pop());
            between.clear();
        }
        if kept.is_empty() {
            kept.push(*point);
        } else {
            between.push(*point);
        }
    }
    kept.extend(between.pop());
    kept
}

/// How many there are in each interval; those that `bad` says are red.
pub fn histogram(intervals: &[(String, u64, bool)]) -> Result<String, PlotError> {
    const HEIGHT: i32 = 200;
    const BASE: i32 = HEIGHT - 30;
    let wide = 540;
    let most = intervals.iter().map(|(_, count, _)| *count).max().unwrap_or(0).max(1);
    let each = (wide - 20) / i32::try_from(intervals.len().max(1))?;
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (u32::try_from(wide)?, u32::try_from(HEIGHT)?))
            .into_drawing_area();
        let below = text(12, INK, HPos::Center, VPos::Top);
        let above = text(12, INK, HPos::Center, VPos::Bottom);
        root.draw(&PathElement::new([(10, BASE), (wide - 10, BASE)], INK.stroke_width(1)))?;
        for (index, (name, count, bad)) in intervals.iter().enumerate() {
            let left = 10 + each * i32::try_from(index)?;
            #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "pixels")]
            let high = (*count as f64 / most as f64 * f64::from(BASE - 24)).ceil() as i32;
            let color = if *bad { WRONG } else { HEARD };
            if *count > 0 {
                root.draw(&Rectangle::new(
                    [(left + 4, BASE - high), (left + each - 4, BASE)],
                    color.filled(),
                ))?;
                root.draw(&Text::new(count.to_string(), (left + each / 2, BASE - high - 2), above.clone()))?;
            }
            root.draw(&Text::new(name.clone(), (left + each / 2, BASE + 6), below.clone()))?;
        }
        root.present()?;
    }
    Ok(svg)
}

/// A bar of a chart: what was measured several times.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// What it is of.
    pub name: String,
    /// Where the bar ends.
    pub median: f64,
    /// Where the line over it begins.
    pub least: f64,
    /// Where that ends.
    pub greatest: f64,
}

/// The longest bar, of which a scale of two and the room behind it is finite.
const MOST: f64 = 1e300;

impl Bar {
    /// Whether it can be drawn: a scale that is not finite has no end to plotters.
    pub fn is_drawn(&self) -> bool {
        [self.median, self.least, self.greatest].iter().all(|value| value.abs() <= MOST)
    }
}

/// Bars under each other, from 0 to their medians, with the median as a number, and a line from the least to
/// the greatest.
pub fn bars(bars: &[Bar], scale: (f64, f64), unit: &str) -> Result<String, PlotError> {
    const ROW: i32 = 26;
    const WIDE: u32 = 540;
    const NAMES: u32 = 132;
    let rows = i32::try_from(bars.len())?;
    let height = u32::try_from(ROW * rows)? + BOTTOM + 8;
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDE, height)).into_drawing_area();
        let mut chart = ChartBuilder::on(&root);
        chart.margin_right(RIGHT).margin_top(4).margin_bottom(4);
        chart.set_label_area_size(LabelAreaPosition::Left, NAMES);
        chart.set_label_area_size(LabelAreaPosition::Bottom, BOTTOM);
        let mut chart = chart.build_cartesian_2d(scale.0..scale.1, 0.0..f64::from(rows.max(1)))?;
        let along = |value: &f64| format!("{}{unit}", shortest(*value));
        mesh_with(&mut chart, "", (true, true), (5, 0), [&along, &|_: &f64| String::new()])?;
        let style = text(13, INK, HPos::Right, VPos::Center);
        for (index, bar) in (0..rows).zip(bars) {
            let at = (i32::try_from(NAMES)? - 8, 4 + ROW * index + ROW / 2);
            root.draw(&Text::new(bar.name.clone(), at, style.clone()))?;
            if bar.is_drawn() {
                draw_bar(&mut chart, bar, f64::from(rows - index) - 0.5)?;
            }
        }
        root.present()?;
    }
    Ok(svg)
}

/// A bar whose middle is at `y`; a row is 1 high.
fn draw_bar(
    chart: &mut Chart<'_, '_, plotters::coord::types::RangedCoordf64>,
    bar: &Bar,
    y: f64,
) -> Result<(), PlotError> {
    let Bar { median, least, greatest, .. } = *bar;
    let corners = [(median.min(0.0), y + 0.3), (median.max(0.0), y - 0.3)];
    chart.draw_series(std::iter::once(Rectangle::new(corners, HEARD.mix(0.6).filled())))?;
    let ends = [least, greatest].map(|x| vec![(x, y - 0.15), (x, y + 0.15)]);
    let lines = [vec![(least, y), (greatest, y)]].into_iter().chain(ends);
    chart.draw_series(lines.map(|line| PathElement::new(line, INK.stroke_width(1))))?;
    let apart = (chart.x_range().end - chart.x_range().start) / 100.0;
    let behind = (greatest.max(median).max(0.0) + apart, y);
    let number = Text::new(short(median), behind, text(12, INK, HPos::Left, VPos::Center));
    chart.draw_series(std::iter::once(number))?;
    Ok(())
}
