//! Disks that must be caught in a state that does not last.
//!
//! The kernel writes changes to their places when it sees fit, and at once when anybody on the machine asks for it
//! (`sync`) or its memory runs short. A disk that is stopped just then has nothing to recover.

/// As many disks as are made before the state is held to be one that never comes.
const ATTEMPTS: usize = 20;

/// Makes a disk by `attempt`, and another one as long as it is not one of `state`, which is what the result says.
///
/// What `attempt` compares it compares each time: what is made again is only a disk that does not prove enough.
pub fn caught(state: &str, mut attempt: impl FnMut() -> bool) {
    for number in 1..=ATTEMPTS {
        if attempt() {
            return;
        }
        println!("disk {number} is not one {state}");
    }
    panic!("of {ATTEMPTS} disks none was one {state}");
}
