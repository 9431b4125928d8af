//! Which room may use which: what decides is kept apart from what talks to the world.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    fs,
    path::{Path, PathBuf},
};

fn sources(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
}

/// Lines of the rooms' code that name one of `words`; comments may name anything.
fn lines_with(rooms: &[&str], words: &[&str]) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    for room in rooms {
        let before = all.len();
        sources(&root.join(room), &mut all);
        assert!(all.len() > before, "src/{room} is empty");
    }
    let mut found = Vec::new();
    for (path, text) in &all {
        // Tests stand at the end of their file.
        let lines = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]"));
        for (number, line) in lines.enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if words.iter().any(|word| code.contains(word)) {
                let path = path.strip_prefix(&root).unwrap().display();
                found.push(format!("src/{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    found
}

/// Clients of Kubernetes and of HTTP, the clock, randomness, and waiting.
const IO: &[&str] = &[
    "kube::",
    "reqwest",
    "tonic",
    "hyper",
    "tokio",
    "axum",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "Timestamp::now",
    "Instant::now",
    "SystemTime",
    "crate::kubernetes",
    "crate::controller",
    "crate::telemetry",
];

#[test]
fn plan_domain_and_publish_do_no_io() {
    assert_eq!(lines_with(&["plan", "domain", "publish"], IO), Vec::<String>::new());
}

#[test]
fn what_verify_judges_by_does_no_io() {
    let pure = [
        "src/verify/checks/",
        "src/verify/authorization.rs",
        "src/verify/report.rs",
    ];
    let found = lines_with(&["verify"], IO);
    let wrong: Vec<_> = found
        .iter()
        .filter(|line| pure.iter().any(|file| line.starts_with(file)))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(!found.is_empty(), "gather.rs does nothing else");
}

#[test]
fn decisions_roll_no_dice() {
    // The exceptions make client secrets and keys when a controller asks for them, and sign when a driver does.
    let found = lines_with(&["plan", "domain", "publish"], &["rand::", "uuid::", "SystemRandom"]);
    let makers = ["src/domain/secret.rs", "src/domain/key.rs"];
    assert!(
        found
            .iter()
            .all(|line| makers.iter().any(|file| line.starts_with(file))),
        "{found:?}"
    );
    let asked = ["generate(", "generate_for(", ".sign("];
    assert_eq!(lines_with(&["plan", "publish"], &asked), Vec::<String>::new());
}

#[test]
fn drivers_know_no_kubernetes() {
    let kubernetes = ["kube::", "k8s_openapi", "crate::kubernetes"];
    let found = lines_with(&["idp"], &kubernetes);
    // Dex's storage is Kubernetes' API (docs/decisions/0015-dex-storage.md).
    let others: Vec<_> = (found.iter())
        .filter(|line| !line.starts_with("src/idp/dex/storage/"))
        .collect();
    assert!(others.is_empty(), "{others:#?}");
    assert!(others.len() < found.len(), "nobody needs the exception any more");
    let rooms = ["crate::controller", "crate::api", "crate::plan"];
    assert_eq!(lines_with(&["idp"], &rooms), Vec::<String>::new());
}

#[test]
fn the_domain_depends_on_nothing_of_ours() {
    let words = [
        "crate::api",
        "crate::plan",
        "crate::publish",
        "crate::idp",
        "k8s_openapi",
    ];
    assert_eq!(lines_with(&["domain"], &words), Vec::<String>::new());
}

#[test]
fn secrets_and_errors_are_never_printed() {
    // clippy looks after `println!`; a `{:?}` of a Kubernetes error can hold the whole answer.
    let found = lines_with(
        &["controller", "kubernetes", "idp", "plan"],
        &["{error:?}", "?error", "expose()"],
    );
    let allowed = |line: &String| {
        // Where a secret is sent, written or digested.
        line.contains("expose()")
            && ["src/idp/", "src/plan/drafts.rs", "src/controller/gather.rs"]
                .iter()
                .any(|place| line.starts_with(place))
    };
    let wrong: Vec<_> = found.iter().filter(|line| !allowed(line)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
