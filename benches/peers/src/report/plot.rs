//! The plots, each as SVG and as PNG: how dirkv compares line by line, and the curves over workers and over sizes.

use std::ops::Range;
use std::path::Path;

use plotters::backend::{BitMapBackend, DrawingBackend, SVGBackend};
use plotters::chart::{ChartBuilder, SeriesLabelPosition};
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, PathElement, Rectangle, Text};
use plotters::prelude::IntoLogRange;
use plotters::series::LineSeries;
use plotters::style::{Color, FontStyle, RGBColor, ShapeStyle, TextStyle, register_font};

use super::verdict::{best_peer, ratio};
use super::{Measured, Report};
use crate::Result;
use crate::engines::Kind;
use crate::stages::Metric;
use crate::statistics::median;

const FONT: &str = "plot";
const BLACK: RGBColor = RGBColor(0x22, 0x22, 0x22);
const AHEAD: RGBColor = RGBColor(0x1b, 0x7f, 0x4b);
const BEHIND: RGBColor = RGBColor(0xc0, 0x39, 0x2b);

/// A picture that doesn't know how it is stored.
trait Picture {
    fn size(&self) -> (u32, u32);
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<()>
    where
        B::ErrorType: 'static;
}

/// Draws everything that the run has figures for.
pub fn write(report: &Report, out: &Path) -> Result<()> {
    if register_font(FONT, FontStyle::Normal, dejavu::sans::regular()).is_err() {
        return Err("the font of the plots is broken".into());
    }
    let bars = Bars::of(&report.measured);
    if !bars.0.is_empty() {
        save(&bars, out, "ratios")?;
    }
    for (name, title, begin) in CURVES {
        let curves = Curves::of(&report.measured, title, begin);
        if curves.points > 1 {
            save(&curves, out, name)?;
        }
    }
    Ok(())
}

/// File, title, and what the ids of the points begin with; the number that follows is where they stand.
const CURVES: [(&str, &str, &str); 5] = [
    ("upserts-by-threads", "durable upserts, by threads", "upsert.threads-"),
    ("upserts-by-processes", "durable upserts, by processes", "upsert.processes-"),
    ("growth-get", "random gets, by keys in the store", "growth.get."),
    ("growth-upsert", "durable upserts, by keys in the store", "growth.upsert."),
    ("growth-list", "listings of 100, by keys in the store", "growth.list-of-100."),
];

fn save(picture: &impl Picture, out: &Path, name: &str) -> Result<()> {
    let (svg, png) = (out.join(format!("{name}.svg")), out.join(format!("{name}.png")));
    let area = SVGBackend::new(&svg, picture.size()).into_drawing_area();
    picture.draw(&area)?;
    area.present()?;
    drop(area);
    let area = BitMapBackend::new(&png, picture.size()).into_drawing_area();
    picture.draw(&area)?;
    Ok(area.present()?)
}

fn font(size: i32) -> TextStyle<'static> {
    TextStyle::from((FONT, size)).color(&BLACK)
}

/// One bar for each line: dirkv over the best peer.
struct Bars(Vec<(String, Kind, f64)>);

impl Bars {
    fn of(measured: &[Measured]) -> Bars {
        let bar = |measured: &Measured| {
            let peer = best_peer(measured, Metric::Rate)?;
            let ratio = ratio(measured, Metric::Rate, peer)?;
            Some((measured.line.id.clone(), peer, ratio.median))
        };
        Bars(measured.iter().filter_map(bar).collect())
    }
}

impl Picture for Bars {
    fn size(&self) -> (u32, u32) {
        (1000, 90 + 20 * u32::try_from(self.0.len()).unwrap_or(100))
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<()>
    where
        B::ErrorType: 'static,
    {
        area.fill(&RGBColor(255, 255, 255))?;
        area.draw(&Text::new("operations/s: dirkv over the best peer of each line (1 is level)", (20, 15), font(18)))?;
        // A tenth to ten times, by the logarithm.
        let (left, width) = (330.0, 520.0);
        let place = |ratio: f64| (left + width * (ratio.clamp(0.1, 10.0).log10() + 1.0) / 2.0) as i32;
        let bottom = 50 + 20 * i32::try_from(self.0.len())?;
        for mark in [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0] {
            let style = if mark == 1.0 { BLACK.stroke_width(2) } else { BLACK.mix(0.2).stroke_width(1) };
            area.draw(&PathElement::new([(place(mark), 45), (place(mark), bottom)], style))?;
            area.draw(&Text::new(mark.to_string(), (place(mark) - 8, bottom + 8), font(13)))?;
        }
        for (row, (id, peer, ratio)) in self.0.iter().enumerate() {
            let top = 50 + 20 * i32::try_from(row)?;
            let color = if *ratio >= 1.0 { AHEAD } else { BEHIND };
            let (one, end) = (place(1.0), place(*ratio));
            area.draw(&Rectangle::new([(one.min(end), top), (one.max(end), top + 14)], color.filled()))?;
            area.draw(&Text::new(id.clone(), (20, top), font(14)))?;
            area.draw(&Text::new(format!("{ratio:.2} x {peer}"), (860, top), font(14)))?;
        }
        Ok(())
    }
}

/// A curve for each engine; all relative to dirkv's first point.
struct Curves {
    title: &'static str,
    points: usize,
    curves: Vec<(Kind, Vec<(f64, f64)>)>,
}

impl Curves {
    fn of(measured: &[Measured], title: &'static str, begin: &str) -> Curves {
        let place =
            |measured: &Measured| measured.line.id.strip_prefix(begin).and_then(|rest| rest.parse::<f64>().ok());
        let points: Vec<(f64, &Measured)> = measured.iter().filter_map(|m| place(m).map(|x| (x, m))).collect();
        let rate = |measured: &Measured, kind| measured.of(Metric::Rate, kind).map(|samples| median(&samples));
        let unit = points.first().and_then(|(_, first)| rate(first, Kind::Dirkv)).unwrap_or(1.0);
        let curve = |kind: Kind| {
            let points = points.iter().filter_map(|(x, m)| rate(m, kind).map(|rate| (*x, rate / unit)));
            (kind, points.collect::<Vec<_>>())
        };
        let curves = Kind::ALL.into_iter().map(curve).filter(|(_, points)| points.len() > 1).collect();
        Curves { title, points: points.len(), curves }
    }

    fn range(&self, of: impl Fn(&(f64, f64)) -> f64) -> Range<f64> {
        let all = || self.curves.iter().flat_map(|(_, points)| points).map(&of);
        all().fold(f64::MAX, f64::min) * 0.8..all().fold(f64::MIN, f64::max) * 1.3
    }
}

fn color(kind: Kind) -> RGBColor {
    match kind {
        Kind::Dirkv => RGBColor(0xd6, 0x27, 0x28),
        Kind::Lmdb => RGBColor(0x1f, 0x77, 0xb4),
        Kind::Sqlite => RGBColor(0x2c, 0xa0, 0x2c),
        Kind::Redb => RGBColor(0x94, 0x67, 0xbd),
        Kind::Fjall => RGBColor(0xff, 0x7f, 0x0e),
        Kind::Raw => RGBColor(0x7f, 0x7f, 0x7f),
        Kind::Twice => RGBColor(0xbc, 0xbd, 0x22),
    }
}

impl Picture for Curves {
    fn size(&self) -> (u32, u32) {
        (900, 560)
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<()>
    where
        B::ErrorType: 'static,
    {
        area.fill(&RGBColor(255, 255, 255))?;
        let title = format!("{} (operations/s, dirkv's first point is 1)", self.title);
        let mut chart = ChartBuilder::on(area)
            .caption(title, font(20))
            .margin(20)
            .x_label_area_size(35)
            .y_label_area_size(55)
            .build_cartesian_2d(self.range(|p| p.0).log_scale(), self.range(|p| p.1).log_scale())?;
        chart.configure_mesh().label_style(font(14)).light_line_style(BLACK.mix(0.05)).draw()?;
        for (kind, points) in &self.curves {
            let style = ShapeStyle::from(&color(*kind)).stroke_width(if *kind == Kind::Dirkv { 3 } else { 2 });
            chart
                .draw_series(LineSeries::new(points.iter().copied(), style))?
                .label(kind.name())
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
            chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, style.filled())))?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .label_font(font(14))
            .background_style(RGBColor(255, 255, 255).mix(0.8))
            .border_style(BLACK.mix(0.3))
            .draw()?;
        Ok(())
    }
}
