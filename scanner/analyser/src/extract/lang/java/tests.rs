use proptest::prelude::*;

use super::*;
use crate::archive::zip::test_archive::{Written, Zip};
use crate::package::Certainty;

/// Name, version, place and certainty.
type Row = (String, String, Option<String>, Certainty);

fn look(file_name: &str, content: &[u8], limits: &Limits) -> (Vec<Row>, Vec<String>) {
    let (mut rows, mut problems) = (Vec::new(), Vec::new());
    let outcome = inspect(&content, file_name.as_bytes(), limits, &mut |finding| match finding {
        Ok(Found { name, version, within, details, .. }) => {
            rows.push((name, version, within, details.certainty));
        }
        Err(problem) => problems.push(problem),
    });
    problems.extend(outcome.err().map(|error| error.to_string()));
    (rows, problems)
}

fn rows(file_name: &str, content: &[u8]) -> Vec<Row> {
    let (rows, problems) = look(file_name, content, &Limits::default());
    assert_eq!(problems, Vec::<String>::new());
    rows
}

fn row(name: &str, version: &str, within: Option<&str>, certainty: Certainty) -> Row {
    (name.to_owned(), version.to_owned(), within.map(str::to_owned), certainty)
}

fn pom(group: &str, artifact: &str, version: &str) -> Written {
    let content = format!("version={version}\ngroupId={group}\nartifactId={artifact}\n");
    Written::deflated(&format!("META-INF/maven/{group}/{artifact}/pom.properties"), content.as_bytes())
}

fn manifest(content: &str) -> Written {
    Written::deflated("META-INF/MANIFEST.MF", content.as_bytes())
}

#[test]
fn a_jar_of_maven_says_what_it_is() {
    let jar = Zip::of([manifest("Bundle-License: MIT\n"), pom("org.a", "b", "1.0")]);
    for name in ["b-1.0.jar", "b.jar", "renamed.jar", "B.JAR"] {
        assert_eq!(rows(name, &jar), [row("org.a:b", "1.0", None, Certainty::Recorded)], "{name}");
    }
    let mut licenses = Vec::new();
    inspect(&&jar[..], b"b.jar", &Limits::default(), &mut |found| {
        licenses.push(found.unwrap().details.licenses);
    })
    .unwrap();
    assert_eq!(licenses, [["MIT"]]);
}

#[test]
fn what_was_merged_into_a_jar_is_there_where_it_is() {
    let jar = [pom("com.google", "guava", "31"), pom("org.a", "b", "1.0"), pom("org.slf4j", "api", "2")];
    let guava = row(
        "com.google:guava",
        "31",
        Some("META-INF/maven/com.google/guava/pom.properties"),
        Certainty::Recorded,
    );
    let api =
        row("org.slf4j:api", "2", Some("META-INF/maven/org.slf4j/api/pom.properties"), Certainty::Recorded);
    let own = row("org.a:b", "1.0", None, Certainty::Recorded);
    assert_eq!(rows("b-1.0.jar", &Zip::of(jar.clone())), [guava.clone(), own.clone(), api.clone()]);
    // Renamed, it is known by its manifest; without one it is only known what is in it.
    let with_manifest = jar.clone().into_iter().chain([manifest("Implementation-Version: 1.0\n")]);
    assert_eq!(rows("renamed.jar", &Zip::of(with_manifest)), [guava.clone(), own, api.clone()]);
    assert_eq!(rows("renamed.jar", &Zip::of(jar.clone())).len(), 3);
    // One that was built by another tool is known by its name.
    let app = row("app", "7.0", None, Certainty::Guessed);
    assert_eq!(
        rows("app-7.0.jar", &Zip::of([jar[0].clone(), jar[2].clone()])),
        [app.clone(), guava.clone(), api]
    );
    assert_eq!(rows("app-7.0.jar", &Zip::of([jar[0].clone()])), [app, guava]);
}

#[test]
fn a_jar_is_not_taken_for_a_second_package() {
    for (file_name, artifact, version) in [
        ("geronimo-interceptor-3.0-spec.jar", "geronimo-interceptor_3.0_spec", "1.0.1"),
        ("quartz2-2.3.2.jar", "quartz", "2.3.2"),
    ] {
        let jar = Zip::of([pom("org.a", artifact, version)]);
        let expected = row(&format!("org.a:{artifact}"), version, None, Certainty::Recorded);
        assert_eq!(rows(file_name, &jar), [expected], "{file_name}");
    }
    // What is well known is believed beside what was merged into it.
    let place = "META-INF/maven/org.apache.bcel/bcel/pom.properties";
    let expected = [
        row("xalan:xalan", "2.7.2", None, Certainty::Guessed),
        row("org.apache.bcel:bcel", "6.4.1", Some(place), Certainty::Recorded),
    ];
    assert_eq!(rows("xalan2-2.7.2.jar", &Zip::of([pom("org.apache.bcel", "bcel", "6.4.1")])), expected);
}

#[test]
fn archives_in_archives_are_looked_into() {
    let library = Zip::of([pom("org.a", "b", "1.0")]);
    let unknown = Zip::of([Written::stored("Main.class", b"")]);
    let web = Zip::of([
        Written::deflated("WEB-INF/lib/b-1.0.jar", &library),
        Written::deflated("WEB-INF/lib/old-2.3.jar", &unknown),
        Written::stored("WEB-INF/lib/nothing.jar", &unknown),
        Written::stored("WEB-INF/lib/", b""),
        pom("org.web", "app", "5"),
    ]);
    let boot = Zip::of([Written::stored("BOOT-INF/lib/b.jar", &library), pom("org.boot", "app", "6")]);
    let enterprise = Zip::of([Written::stored("app.war", &web), Written::deflated("boot.jar", &boot)]);
    let recorded = Certainty::Recorded;
    let mut found = rows("all.ear", &enterprise);
    found.sort();
    let expected = [
        row("old", "2.3", Some("app.war!/WEB-INF/lib/old-2.3.jar"), Certainty::Guessed),
        row("org.a:b", "1.0", Some("app.war!/WEB-INF/lib/b-1.0.jar"), recorded),
        row("org.a:b", "1.0", Some("boot.jar!/BOOT-INF/lib/b.jar"), recorded),
        row("org.boot:app", "6", Some("boot.jar"), recorded),
        row("org.web:app", "5", Some("app.war"), recorded),
    ];
    assert_eq!(found, expected);
}

#[test]
fn what_is_damaged_is_said_and_costs_only_itself() {
    let library = Zip::of([pom("org.a", "b", "1.0")]);
    let jar = Zip::of([
        Written::stored("lib/broken.jar", b"PK is all that is left"),
        Written { crc: 7, ..Written::deflated("lib/altered.jar", &library) },
        Written { method: 12, ..Written::stored("lib/packed.jar", &library) },
        Written::stored("../../escape.jar", &library),
        Written::stored("META-INF/maven/g/a/pom.properties", b"version=${version}"),
        Written::stored("lib/good.jar", &library),
        Written::stored("empty.jar", b""),
    ]);
    let (rows, problems) = look("x.jar", &jar, &Limits::default());
    assert_eq!(rows, [row("org.a:b", "1.0", Some("lib/good.jar"), Certainty::Recorded)]);
    let expected = [
        "../../escape.jar",
        "lib/broken.jar: the zip archive is damaged",
        "lib/altered.jar: the entry is damaged",
        "lib/packed.jar: bzip2",
        "META-INF/maven/g/a/pom.properties: its version",
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:?}");
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(problem.contains(expected), "{problem}: {expected}");
    }
}

#[test]
fn files_of_other_kinds_with_the_same_names_are_none() {
    assert_eq!(look("x.rar", b"Rar!\x1a\x07\x01\0", &Limits::default()), (vec![], vec![]));
    assert_eq!(look("x.par", b"", &Limits::default()), (vec![], vec![]));
    let (_, problems) = look("x.jar", b"no archive", &Limits::default());
    assert_eq!(problems.len(), 1);
    assert_eq!(rows("b.rar", &Zip::of([pom("org.a", "b", "1.0")])).len(), 1);
}

#[test]
fn ten_thousand_nested_jars_are_found() {
    let library = Zip::of([pom("org.a", "b", "1.0")]);
    let jar = Zip::of((0..10_000).map(|number| Written::stored(&format!("{number}.jar"), &library)));
    assert_eq!(rows("x.jar", &jar).len(), 10_000);
}

/// An archive that holds itself many times over, and so on: a few kilobytes that are billions of archives.
#[test]
fn archives_without_end_end_at_a_limit_that_is_said_once() {
    let mut jar = Zip::of([pom("org.a", "b", "1.0")]);
    for _ in 0..10 {
        let mut outer = Zip::default();
        let inner = Written::stored("inner.jar", &jar);
        outer.add(&inner);
        for number in 0..20 {
            outer.list(&Written { name: format!("{number}.jar").into_bytes(), ..inner.clone() }, 0);
        }
        jar = outer.finish(&[]);
    }
    let limits = Limits { archive_bytes: 1 << 20, ..Limits::default() };
    let (_, problems) = look("x.jar", &jar, &limits);
    let met = |limit: &str| problems.iter().filter(|problem| problem.contains(limit)).count();
    assert_eq!((met("archive_depth"), met("archive_bytes"), problems.len()), (1, 1, 2), "{problems:?}");
}

#[test]
fn a_manifest_of_gigabytes_is_not_read() {
    let jar =
        Zip::of([Written { size: u32::MAX, ..manifest("Implementation-Version: 1\n") }, pom("g", "a", "1")]);
    let (rows, problems) = look("x.jar", &jar, &Limits::default());
    assert_eq!((rows.len(), problems.len()), (1, 1));
    assert!(problems[0].contains("limit"), "{problems:?}");
}

proptest! {
    #[test]
    fn damaged_jars_are_read_without_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let inner = Zip::of([pom("org.a", "b", "1.0"), manifest("Implementation-Version: 1\n")]);
        let mut jar = Zip::of([Written::stored("in.jar", &inner), Written::deflated("also.war", &inner)]);
        for (place, value) in changes {
            let place = place.index(jar.len());
            jar[place] = value;
        }
        fuzz_java(&jar);
        fuzz_manifest(&jar);
    }
}
