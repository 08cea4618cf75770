//! Lists of views of which some are not there. TOML has no word for nothing: such a view has no rows and no columns.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{BufferIx, View};

const NOTHING: View = View {
    buffer: BufferIx(0),
    y: 0,
    x: 0,
    h: 0,
    w: 0,
    channel: 0,
};

pub fn serialize<S: Serializer>(list: &[Option<View>], s: S) -> Result<S::Ok, S::Error> {
    let list = list.iter().map(|v| v.as_ref().unwrap_or(&NOTHING));
    list.collect::<Vec<&View>>().serialize(s)
}

pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Option<View>>, D::Error> {
    let list = Vec::<View>::deserialize(d)?;
    Ok(list
        .into_iter()
        .map(|v| (v != NOTHING).then_some(v))
        .collect())
}
