//! Listings.

use super::{EVERYONE, Line, Of, STORES, count};
use crate::bench::{Form, VALUE};
use crate::engines::Kind;
use crate::names::Shape;
use crate::stages::Plan;
use crate::work::What;

const PER_BUCKET: u64 = 100;

pub fn lines(form: &Form) -> Vec<Line> {
    let whole = |what| Plan::new(what, form.hot, VALUE).reused();
    let one = |what| {
        let plan = Plan::new(what, form.buckets * PER_BUCKET, VALUE).reused();
        Plan { shape: Shape::Buckets(PER_BUCKET), ..plan }
    };
    let line = |id: &str, title: String, kinds: &[Kind], plan| {
        Line::workers(form, id, title, kinds, plan).times(1.0, Of::Kind(Kind::Lmdb))
    };
    let (all, many) = (count(form.hot), count(form.buckets));
    let (items, keys) = ("get_items of a bucket of", "get_keys of a bucket of");
    vec![
        line("list.items", format!("{items} {all} x 200 B"), &STORES, whole(What::Items)),
        line("list.keys", format!("{keys} {all}"), &STORES, whole(What::Keys)),
        line("list.items-of-100", format!("{items} 100, among {many} buckets"), &EVERYONE, one(What::BucketItems)),
        line("list.keys-of-100", format!("{keys} 100, among {many} buckets"), &EVERYONE, one(What::BucketKeys)),
    ]
}
