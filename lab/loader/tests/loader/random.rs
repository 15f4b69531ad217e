//! Damaged and random files never crash the loader and never leave anything mapped.

use crate::fixture::*;
use haiku_loader::Rule;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        let _alone = alone();
        let error = try_load(&bytes).expect_err("random bytes are no add-on");
        prop_assert_eq!(error.rule, Rule::ElfHeader);
    }

    #[test]
    fn random_bytes_behind_a_good_header_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        let _alone = alone();
        let mut file = Addon::good().bytes()[..64].to_vec();
        file.extend(bytes);
        prop_assert!(try_load(&file).is_err());
    }

    #[test]
    fn a_damaged_file_is_loaded_whole_or_refused_whole(
        damage in proptest::collection::vec((0..0x1400usize, any::<u8>()), 1..40)
    ) {
        let _alone = alone();
        let mut file = Addon::good().bytes();
        for (at, byte) in damage {
            file[at] = byte;
        }
        if let Ok(image) = try_load(&file) {
            prop_assert!(image.text().len() % 4096 == 0 && !image.data().is_empty());
        }
        assert_nothing_mapped();
    }

    #[test]
    fn damaged_tables_are_loaded_whole_or_refused_whole(
        words in proptest::collection::vec((prop_oneof![64..0x140u64, HASH..0x560, DYNAMIC..DYNAMIC + 0x80], any::<u32>()), 1..6)
    ) {
        let _alone = alone();
        let mut file = Addon::good().bytes();
        for (at, word) in words {
            let at = at as usize & !3;
            file[at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
        drop(try_load(&file));
        assert_nothing_mapped();
    }
}
