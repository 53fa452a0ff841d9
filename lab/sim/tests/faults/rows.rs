//! What was read often is remembered beside the tables: whoever changes it there must not be told the old.

use dirkv::Code;
use dirkv_sim::machine::Machine;
use dirkv_sim::world::Handle;

#[test]
fn what_is_read_again_and_again_is_what_the_tables_say_now() {
    let machine = Machine::new(9);
    let open = || Handle::open(&machine, &[]).expect("nobody is killed").expect("opens");
    let (one, two) = (open(), open());
    let often = |expected: Option<&[u8]>| {
        for store in [one.store(), two.store()] {
            for _ in 0..4 {
                let got = store.get("a", "key");
                assert_eq!(got.as_deref().map_err(|e| e.code), expected.ok_or(Code::NotFound));
            }
        }
    };
    for round in 0..4u8 {
        one.store().upsert("a", "key", &[round; 100], 0).unwrap();
        often(Some(&[round; 100]));
        two.store().compact().unwrap();
        often(Some(&[round; 100]));
        match round {
            0 => one.store().delete("a", "key").unwrap(),
            1 => one.store().delete_bucket("", "a").unwrap(),
            _ => continue,
        }
        often(None);
        two.store().compact().unwrap();
        often(None);
    }
}
