//! Indices that cannot be mixed up: each has a type of its own, which indexes lists of one kind of item.

/// Lets values of `$ix`, a newtype of `usize`, index slices and vectors of `$item`.
macro_rules! indexes {
    ($ix:ty, $item:ty) => {
        indexes!($ix, $item, [$item]);
        indexes!($ix, $item, Vec<$item>);
    };
    ($ix:ty, $item:ty, $list:ty) => {
        impl std::ops::Index<$ix> for $list {
            type Output = $item;

            fn index(&self, index: $ix) -> &$item {
                &self[index.0]
            }
        }

        impl std::ops::IndexMut<$ix> for $list {
            fn index_mut(&mut self, index: $ix) -> &mut $item {
                &mut self[index.0]
            }
        }
    };
}

pub(crate) use indexes;
