//! What confined processes still can do, and what they no longer can.

fn main() {}
