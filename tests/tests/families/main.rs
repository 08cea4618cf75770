//! Every family of kernels, forced on wherever it is possible, computes what it should, on this
//! processor and on emulated ones; and the same bits whatever number of threads share a layer.
//!
//! Without cross compilers, emulators or golden cases, the tests that need them are ignored.

use std::time::Duration;

/// Longest run of a node.
const WITHIN: Duration = Duration::from_secs(300);

/// A test for every target of this processor, and one for each emulated processor. Further needs
/// stand behind the function.
macro_rules! on_every_processor {
    ($check:path $(, $need:ident)*) => {
        #[tessera_needs::needs($($need),*)]
        #[test]
        fn on_this_processor() -> anyhow::Result<()> {
            for target in tessera_tests::bundle::host_targets() {
                $check(target)?;
            }
            Ok(())
        }

        #[tessera_needs::needs(aarch64 $(, $need)*)]
        #[test]
        fn on_aarch64() -> anyhow::Result<()> {
            $check(tessera_planner::options::Target::Aarch64)
        }

        #[tessera_needs::needs(armv7 $(, $need)*)]
        #[test]
        fn on_armv7() -> anyhow::Result<()> {
            $check(tessera_planner::options::Target::Armv7)
        }
    };
}

mod agree;
mod folders;
mod golden;
mod halves;
mod pools;
mod routes;
