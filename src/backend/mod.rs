//! What the calls mean.
/// stub
pub struct Backend;
