//! LVM2 against its own tools, which say what a group has and where each volume is. The kernel is not asked: mapping
//! devices is what LVM2 leaves to it, and that needs no more than the figures that the tools print.

mod damage;
mod layers;
mod segments;
mod thin;
mod tools;
