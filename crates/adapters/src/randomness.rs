//! The operating system's randomness.

use tenon_core::ports::randomness::Randomness;

/// Draws from the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandomness;

impl Randomness for SystemRandomness {
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system has randomness, because it booted");
    }
}
