//! Random guests against a second opinion of the card, written from HDA.md and the specification alone.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_lossless,
    clippy::precedence,
    clippy::struct_excessive_bools,
    reason = "test code"
)]

mod guest;
mod reference;

use proptest::prelude::*;
use reference::Model;
use reference::act::op;

/// `PROPTEST_CASES` asks for more.
fn config() -> ProptestConfig {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_some() {
        config
    } else {
        ProptestConfig { cases: 320, ..config }
    }
}

proptest! {
    #![proptest_config(config())]
    #[test]
    fn the_card_does_what_the_contract_says(
        channels in prop::sample::select(&[2_u32, 4, 8][..]),
        amplifiers in any::<bool>(),
        ops in prop::collection::vec(op(), 1..90),
    ) {
        let mut model = Model::start(channels, amplifiers);
        model.start_up();
        for (op, look) in &ops {
            model.step(op);
            model.compare(*look);
        }
    }
}
