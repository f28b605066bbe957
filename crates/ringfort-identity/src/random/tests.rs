//! The generator fills, and not twice alike.

use ringfort_model::SecureRandom as _;

use super::SystemRandom;

#[test]
fn fills_every_time_differently() {
    let mut drawn = [[0_u8; 32]; 3];
    for bytes in &mut drawn {
        SystemRandom.fill(bytes);
    }
    let [a, b, c] = drawn;
    assert!(a != b && b != c && a != c && a != [0; 32]);
}
