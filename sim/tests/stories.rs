//! Every stored plan still holds. Each begins with what it is about.
#![allow(clippy::disallowed_methods, reason = "a test reads the stored plans")]

use darter_sim::canary::Canary;
use darter_sim::plan::Plan;
use darter_sim::run::{self, Detail};

#[test]
fn every_story_holds() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/stories");
    let mut stories = 0;
    for entry in std::fs::read_dir(folder).expect("there are stories") {
        let path = entry.expect("the folder can be read").path();
        let text = std::fs::read_to_string(&path).expect("a story is text");
        assert!(text.starts_with("# "), "{} does not say what it is about", path.display());
        let plan = Plan::from_text(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if let Some(failure) = run::plan(&plan, Canary::None, Detail::Hash).failure {
            panic!("{}: {failure}", path.display());
        }
        stories += 1;
    }
    assert!(stories >= 2);
}
