//! Whatever clients, callers, admins and signals do, in whatever order: who is served is answered, nobody is left hanging,
//! the engine is asked one thing at a time, and in the end all is asleep.

mod act; // what is done to one sidecar, and sequences of that
mod scene; // one sidecar behind a recorder, and what was done to it
mod talk; // one client: what it has sent, and what came of it
mod verdict; // what must be true of all that was recorded

use std::time::{SystemTime, UNIX_EPOCH};

use proptest::prelude::ProptestConfig;
use proptest::test_runner::{RngSeed, TestError, TestRunner};

use scene::Scene;

/// Unless PROPTEST_CASES says otherwise.
const CASES: u32 = 12;

#[test]
fn whatever_happens_clients_are_answered_or_ended_and_all_is_asleep_in_the_end() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let seed = std::env::var("PROPTEST_RNG_SEED").map_or(now, |seed| seed.parse().unwrap());
    let cases = std::env::var("PROPTEST_CASES").map_or(CASES, |cases| cases.parse().unwrap());
    let config = ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        // Much depends on the moment: the whole sequence says more than a shorter one that fails for another reason.
        max_shrink_iters: 0,
        ..ProptestConfig::default()
    };
    let played = TestRunner::new(config).run(&act::sequences(), |(limits, acts)| Scene::play(limits, &acts));
    if let Err(TestError::Fail(why, (limits, acts))) = &played {
        let acts: String = acts.iter().map(|(gap, act)| format!("    after {gap:?}: {act:?}\n")).collect();
        panic!("{why}\nPROPTEST_RNG_SEED={seed}, {limits:?}:\n{acts}");
    }
    played.unwrap();
}
