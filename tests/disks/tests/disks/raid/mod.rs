//! Arrays of md against `mdadm --examine`, and what they hold against a model.

mod arrays;
