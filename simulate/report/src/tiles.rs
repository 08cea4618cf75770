//! Where a stage is cut: its output map with its tiles, each with the board where it is at home, and what one tile reads.

use tessera_plan::{
    placement::ANYWHERE,
    plan::{Plan, Split, Stage, Tile},
    region::{Region, Shape},
};
use tessera_simulate::svg::{Anchor, Svg};

/// Length of a map's longer side.
const SIDE: f64 = 240.0;
const MARGIN: f64 = 34.0;
/// Least width and height of a tile that has its board written into it.
const LABEL: [f64; 2] = [16.0, 13.0];

/// A map in a drawing: user units per row and column.
struct Map {
    shape: Shape,
    per: f64,
}

impl Map {
    #[expect(clippy::cast_precision_loss, reason = "a drawing")]
    fn new(shape: Shape) -> Self {
        let per = SIDE / shape.h.max(shape.w).max(1) as f64;
        Self { shape, per }
    }

    /// The corner and the size of a box.
    #[expect(clippy::cast_precision_loss, reason = "a drawing")]
    fn place(&self, r: Region) -> ([f64; 2], [f64; 2]) {
        let at = [r.x.lo, r.y.lo].map(|v| MARGIN + self.per * v as f64);
        (at, [r.w(), r.h()].map(|v| self.per * v as f64))
    }
}

/// Draws the tiles of stage `k`, with `names` of boards; `None` if the stage is not cut by rows and columns.
pub fn draw(plan: &Plan, k: usize, names: &[String]) -> Option<String> {
    let stages = &plan.dataflow.stages;
    let stage = &stages[k];
    if stage.split == Split::Channels {
        return None;
    }
    let shape = |id| plan.network.shape(id);
    let output = Map::new(shape(*stage.outputs.first()?));
    let input = Map::new(shape(*stage.inputs.first()?));
    let mut svg = Svg::new(
        2.0 * SIDE + 3.0 * MARGIN,
        SIDE + 2.0 * MARGIN,
        stages.len() + 1,
    );
    frame(&mut svg, &input, 0.0, "reads");
    frame(&mut svg, &output, SIDE + MARGIN, "makes");
    let shown = middle_tile(stage)?;
    for (i, tile) in tiles(stage) {
        let (Some(made), Some(read)) = (tile.outputs.first(), tile.inputs.first()) else {
            continue;
        };
        let home = home(tile, names);
        let ([x, y], [w, h]) = output.place(*made);
        let x = x + SIDE + MARGIN;
        let title = format!(
            "tile ({}, {}) of {home}: rows {} to {}, columns {} to {}, {} multiply-adds",
            tile.row,
            tile.col,
            made.y.lo,
            made.y.hi,
            made.x.lo,
            made.x.hi,
            tessera_planner::text::count(tile.macs),
        );
        let pale = if i == shown { "" } else { " pale" };
        svg.rect(&format!("c{k}{pale}"), [x, y], [w, h], &title);
        svg.rect("outline", [x, y], [w, h], &title);
        if w >= LABEL[0] && h >= LABEL[1] {
            let fits = w >= 7.0 * home.chars().count() as f64;
            let text = if fits { home } else { tile.home.to_string() };
            let at = [x + w / 2.0, y + h / 2.0 + 4.0];
            svg.text("small", at, Anchor::Middle, &text);
        }
        let ([x, y], [w, h]) = input.place(*read);
        if i == shown {
            svg.rect(&format!("c{k} pale"), [x, y], [w, h], &title);
        }
        svg.rect("grid", [x, y], [w, h], "");
    }
    let last = stage.end_layer - 1;
    Some(svg.finish(&format!(
        "Tiles of layers {} to {last}: what one tile reads, and what all of them make",
        stage.first_layer
    )))
}

#[expect(clippy::cast_precision_loss, reason = "a drawing")]
fn frame(svg: &mut Svg, map: &Map, shift: f64, what: &str) {
    let Shape { h, w, c } = map.shape;
    let size = [w, h].map(|v| map.per * v as f64);
    svg.rect("band", [MARGIN + shift, MARGIN], size, "");
    svg.text(
        "faint",
        [MARGIN + shift, MARGIN - 10.0],
        Anchor::Start,
        &format!("{what} {w} x {h} x {c}"),
    );
}

/// The stage's tiles with their numbers, without tasks that stand in for others.
fn tiles(stage: &Stage) -> impl Iterator<Item = (usize, &Tile)> {
    let all = stage.tiles.iter().enumerate();
    all.filter(|(_, t)| t.instead_of.is_none())
}

/// The tile whose input is shown: one in the middle, which has a halo on all sides if any tile has.
fn middle_tile(stage: &Stage) -> Option<usize> {
    let [rows, cols] = stage.grid;
    let at = |t: &Tile| (t.row, t.col) == (rows / 2, cols / 2);
    let middle = tiles(stage).find(|(_, t)| at(t));
    middle.or_else(|| tiles(stage).next()).map(|(i, _)| i)
}

/// The name of the board where a tile is at home.
fn home(tile: &Tile, names: &[String]) -> String {
    if tile.home == ANYWHERE {
        return "any".to_owned();
    }
    let known = names.get(usize::from(tile.home));
    known.map_or_else(|| tile.home.to_string(), Clone::clone)
}
