//! Seconds of convolutions on one core: the numbers that choose kernels, as time.
//!
//! A table of costs says seconds for 3x3 windows, one apart. For others, and where there is no table, the
//! formulas that weigh block sizes say units of work ([`Layer::units`]); a table's nearest direct row, or
//! what was measured on one machine ([`Core`](super::Core)), says how long a unit takes.

use tessera_plan::{
    graph::{Graph, Node},
    plan::Isa,
};

use super::{
    blocks,
    core::core,
    costs::{CostTable, Kernel, Row},
    layer::{Choice, Layer, Made},
    wanted::Wanted,
    work::Work,
};

/// Seconds of a convolution with the kernel that is chosen for it; `None` for other operations.
pub fn conv_s(graph: &Graph, node: &Node, made: Made, wanted: Wanted<'_>) -> Option<f64> {
    let layer = Layer::new(graph, node, made, wanted.isa)?;
    let choice = layer.choose(wanted);
    Some(match wanted.costs {
        Some(table) => layer.by_table(&choice, table),
        None => layer.by_formula(&choice, wanted.tiles),
    })
}

impl Layer<'_> {
    /// Seconds that a table says: of the kernel itself where it lists such layers; of others by the direct
    /// kernel of the nearest layer that it lists.
    fn by_table(&self, k: &Choice, table: &CostTable) -> f64 {
        let c = self.conv;
        let plain = (c.size, c.stride_x, c.stride_y, c.dilation, c.groups) == (3, 1, 1, 1, 1);
        let size = (self.cin, self.node.shape.c, self.sums);
        let listed = |kernel| table.seconds(kernel, size.0, size.1, size.2);
        if let Some(seconds) = k.kernel().filter(|_| plain).and_then(listed) {
            return seconds;
        }
        let near = table.nearest(Kernel::Direct, size.0, size.1, size.2);
        near.map_or(0.0, |row| {
            self.units(k) * row.seconds() / listed_units(self.isa, row)
        })
    }

    /// Seconds that formulas say.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn by_formula(&self, k: &Choice, tiles: usize) -> f64 {
        let core = core(self.isa);
        match self.winograd(k) {
            Some(s) => {
                blocks::x86(self.work, self.isa).winograd(&s, k.mr, self.sums, tiles) as f64
                    * core.winograd_s
            }
            None if self.work.depthwise => self.units(k) * core.depthwise_s,
            None if self.conv.size == 1 => self.units(k) * core.pointwise_s,
            None => self.units(k) * core.direct_s,
        }
    }

    /// Units of work of a direct kernel: what its block sizes were weighed in.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn units(&self, k: &Choice) -> f64 {
        let [h, w] = self.sums;
        let [rows, w] = if self.joined { [1, w * h] } else { [h, w] };
        let groups = if self.work.depthwise {
            1
        } else {
            self.conv.groups
        };
        let row = blocks::row_units(self.work, self.isa, [k.nr, k.mr], w, self.pool);
        (groups * rows * row) as f64
    }
}

/// Units of a layer of a table by its direct kernel.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn listed_units(isa: Isa, listed: &Row) -> f64 {
    let work = Work {
        filters: listed.filters,
        depth: 9 * listed.cin,
        depthwise: false,
    };
    let w = listed.side;
    let of_row = blocks::direct(work, isa, w, [w; 2], false);
    (w * blocks::row_units(work, isa, of_row, w, false)) as f64
}
