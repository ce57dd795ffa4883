//! The group of an artifact of which Maven recorded none.
//!
//! Advisories are found by group and artifact, so a group that does not exist finds nothing, and one that is another's finds
//! what is not there. What is ambiguous is therefore no group: the artifact is listed by its name alone, and nobody takes it
//! for another.

use super::manifest::Manifest;

/// The groups of artifacts that are published without a `pom.properties`, in Maven's central repository: the artifact, or
/// what it begins with if that ends with a hyphen and no other project has names that begin so. The first that fits counts.
/// What changed its group from one version to another, such as `dom4j`, is not here.
const GROUPS: [(&str, &str); 129] = [
    ("ant", "org.apache.ant"),
    ("ant-launcher", "org.apache.ant"),
    ("aopalliance", "aopalliance"),
    ("asm", "org.ow2.asm"),
    ("asm-", "org.ow2.asm"),
    ("aspectjrt", "org.aspectj"),
    ("aspectjtools", "org.aspectj"),
    ("aspectjweaver", "org.aspectj"),
    ("bcpg", "org.bouncycastle"),
    ("bcpg-", "org.bouncycastle"),
    ("bcpkix", "org.bouncycastle"),
    ("bcpkix-", "org.bouncycastle"),
    ("bcprov", "org.bouncycastle"),
    ("bcprov-", "org.bouncycastle"),
    ("bson", "org.mongodb"),
    // Commons had a group for each project at first. Those whose names have the number of a later version, and those that
    // are younger, are in the common group.
    ("commons-beanutils", "commons-beanutils"),
    ("commons-beanutils-", "commons-beanutils"),
    ("commons-chain", "commons-chain"),
    ("commons-cli", "commons-cli"),
    ("commons-codec", "commons-codec"),
    ("commons-collections", "commons-collections"),
    ("commons-collections4", "org.apache.commons"),
    ("commons-compress", "org.apache.commons"),
    ("commons-configuration", "commons-configuration"),
    ("commons-configuration2", "org.apache.commons"),
    ("commons-daemon", "commons-daemon"),
    ("commons-dbcp", "commons-dbcp"),
    ("commons-dbcp2", "org.apache.commons"),
    ("commons-dbutils", "commons-dbutils"),
    ("commons-digester", "commons-digester"),
    ("commons-digester3", "org.apache.commons"),
    ("commons-discovery", "commons-discovery"),
    ("commons-el", "commons-el"),
    ("commons-exec", "org.apache.commons"),
    ("commons-fileupload", "commons-fileupload"),
    ("commons-httpclient", "commons-httpclient"),
    ("commons-io", "commons-io"),
    ("commons-jexl", "commons-jexl"),
    ("commons-jexl3", "org.apache.commons"),
    ("commons-jxpath", "commons-jxpath"),
    ("commons-lang", "commons-lang"),
    ("commons-lang3", "org.apache.commons"),
    ("commons-logging", "commons-logging"),
    ("commons-logging-", "commons-logging"),
    ("commons-math3", "org.apache.commons"),
    ("commons-modeler", "commons-modeler"),
    ("commons-net", "commons-net"),
    ("commons-pool", "commons-pool"),
    ("commons-pool2", "org.apache.commons"),
    ("commons-text", "org.apache.commons"),
    ("commons-validator", "commons-validator"),
    ("commons-vfs2", "org.apache.commons"),
    ("derby", "org.apache.derby"),
    ("derbyclient", "org.apache.derby"),
    ("derbynet", "org.apache.derby"),
    ("derbytools", "org.apache.derby"),
    ("elasticsearch", "org.elasticsearch"),
    ("elasticsearch-rest-", "org.elasticsearch.client"),
    ("elasticsearch-", "org.elasticsearch"),
    ("fop", "org.apache.xmlgraphics"),
    ("guava", "com.google.guava"),
    ("guice", "com.google.inject"),
    ("h2", "com.h2database"),
    ("itext", "com.lowagie"),
    ("jdom2", "org.jdom"),
    ("jna", "net.java.dev.jna"),
    ("jna-platform", "net.java.dev.jna"),
    ("jsch", "com.jcraft"),
    ("junit", "junit"),
    ("kafka-clients", "org.apache.kafka"),
    ("kotlin-reflect", "org.jetbrains.kotlin"),
    ("kotlin-stdlib", "org.jetbrains.kotlin"),
    ("kotlin-stdlib-", "org.jetbrains.kotlin"),
    ("kotlinx-", "org.jetbrains.kotlinx"),
    ("log4j", "log4j"),
    ("lucene-", "org.apache.lucene"),
    ("micrometer-", "io.micrometer"),
    ("mockito-", "org.mockito"),
    ("mongo-java-driver", "org.mongodb"),
    ("mongodb-driver", "org.mongodb"),
    ("mongodb-driver-", "org.mongodb"),
    ("mysql-connector-j", "com.mysql"),
    ("mysql-connector-java", "mysql"),
    ("nekohtml", "net.sourceforge.nekohtml"),
    ("oro", "oro"),
    ("osgi.core", "org.osgi"),
    ("protobuf-java", "com.google.protobuf"),
    ("reactor-core", "io.projectreactor"),
    ("scala-actors", "org.scala-lang"),
    ("scala-library", "org.scala-lang"),
    ("scala-reflect", "org.scala-lang"),
    ("serializer", "xalan"),
    ("spring-aop", "org.springframework"),
    ("spring-aspects", "org.springframework"),
    ("spring-beans", "org.springframework"),
    ("spring-boot", "org.springframework.boot"),
    ("spring-boot-", "org.springframework.boot"),
    ("spring-cloud-", "org.springframework.cloud"),
    ("spring-context", "org.springframework"),
    ("spring-context-indexer", "org.springframework"),
    ("spring-context-support", "org.springframework"),
    ("spring-core", "org.springframework"),
    ("spring-data-", "org.springframework.data"),
    ("spring-expression", "org.springframework"),
    ("spring-instrument", "org.springframework"),
    ("spring-integration-", "org.springframework.integration"),
    ("spring-jcl", "org.springframework"),
    ("spring-jdbc", "org.springframework"),
    ("spring-jms", "org.springframework"),
    ("spring-messaging", "org.springframework"),
    ("spring-orm", "org.springframework"),
    ("spring-oxm", "org.springframework"),
    ("spring-security-", "org.springframework.security"),
    ("spring-session-", "org.springframework.session"),
    ("spring-test", "org.springframework"),
    ("spring-tx", "org.springframework"),
    ("spring-web", "org.springframework"),
    ("spring-webflux", "org.springframework"),
    ("spring-webmvc", "org.springframework"),
    ("spring-websocket", "org.springframework"),
    ("tomcat-embed-", "org.apache.tomcat.embed"),
    ("tomcat-", "org.apache.tomcat"),
    ("velocity", "velocity"),
    ("xalan", "xalan"),
    ("xercesImpl", "xerces"),
    ("xml-apis", "xml-apis"),
    ("xml-apis-ext", "xml-apis"),
    ("xml-resolver", "xml-resolver"),
    ("xmlbeans", "org.apache.xmlbeans"),
];

/// Under these domains many projects have groups of their own: none of them is a group of archives.
const SHARED: [&str; 8] = [
    "com.google",
    "com.sun",
    "net.sourceforge",
    "org.apache",
    "org.codehaus",
    "org.eclipse",
    "org.jboss",
    "org.sonatype",
];

/// The group that a well-known artifact has.
pub(super) fn known(artifact: &str) -> Option<&'static str> {
    let fits = |known: &str| artifact == known || (known.ends_with('-') && artifact.starts_with(known));
    GROUPS.iter().find(|(known, _)| fits(known)).map(|(_, group)| *group)
}

/// Group and artifact that Ivy's and Gradle's plug-ins make a title of: `group:artifact`, or `group#artifact;version`.
pub(super) fn in_title(title: &str) -> Option<(&str, &str)> {
    let title = title.split(';').next().unwrap_or_default();
    let (group, artifact) = title.split_once([':', '#'])?;
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(is_part);
    (is_name(group) && is_name(artifact)).then_some((group, artifact))
}

fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)
}

/// The group that a manifest tells, if there is but one way to read it.
pub(super) fn told(manifest: &Manifest, artifact: &str) -> Option<String> {
    let bundle = manifest.symbolic_name.as_deref().and_then(|name| of_bundle(name, artifact));
    let vendor = manifest.implementation_vendor_id.as_deref().filter(|id| is_of(id, artifact));
    bundle.or_else(|| vendor.map(str::to_owned)).filter(|group| !SHARED.contains(&group.as_str()))
}

/// The group in a bundle's name, as Maven's bundle plugin makes it of group and artifact: it joins them, and says only once
/// what ends the one and begins the other (`org.apache.maven.core` of `org.apache.maven` and `maven-core`). An artifact of
/// one word may be what ends the group or not, so that nothing can be said of it.
fn of_bundle(name: &str, artifact: &str) -> Option<String> {
    let (first, rest) = artifact.split_once('-')?;
    if let Some(group) = name.strip_suffix(artifact).and_then(|group| group.strip_suffix('.')) {
        return Some(group.to_owned());
    }
    let name = name.replace('-', ".");
    let group = name.strip_suffix(&rest.replace('-', "."))?.strip_suffix('.')?;
    group.strip_suffix(first)?.ends_with('.').then(|| group.to_owned())
}

/// Whether a vendor's id can be the group of an artifact, as Maven wrote it once: its end begins the artifact. Others have
/// the vendor's domain there.
fn is_of(vendor: &str, artifact: &str) -> bool {
    let last = vendor.rsplit('.').next().unwrap_or_default();
    let follows = artifact.strip_prefix(last);
    vendor.bytes().all(is_part)
        && !last.is_empty()
        && follows.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_names_go_before_beginnings() {
        for (artifact, expected) in [
            ("spring-boot", Some("org.springframework.boot")),
            ("spring-boot-actuator", Some("org.springframework.boot")),
            ("spring-core", Some("org.springframework")),
            ("commons-collections", Some("commons-collections")),
            ("commons-collections4", Some("org.apache.commons")),
            ("commons-logging-api", Some("commons-logging")),
            ("spring", None),
            // Of another project, with a group of its own.
            ("spring-kafka", None),
            ("app", None),
        ] {
            assert_eq!(known(artifact), expected, "{artifact}");
        }
    }

    #[test]
    fn a_title_may_have_the_coordinates() {
        assert_eq!(in_title("org.a:b"), Some(("org.a", "b")));
        assert_eq!(in_title("org.a#b;1.0"), Some(("org.a", "b")));
        for title in ["b", "http://b", "a:b:c", ":b", "a:", ""] {
            assert_eq!(in_title(title), None, "{title}");
        }
    }

    #[test]
    fn a_bundle_tells_its_group_where_there_is_one_way_to_read_it() {
        for (name, artifact, expected) in [
            ("org.apache.commons.commons-compress", "commons-compress", Some("org.apache.commons")),
            ("org.apache.maven.core", "maven-core", Some("org.apache.maven")),
            ("org.mongodb.driver-core", "mongodb-driver-core", Some("org.mongodb")),
            // `org.mongodb:bson` and `com.google.guava:guava` have the same form.
            ("org.mongodb.bson", "bson", None),
            ("com.google.guava", "guava", None),
            ("org.aspectj.runtime", "aspectj-rt", None),
            ("org.example.xmaven.core", "maven-core", None),
            ("commons-compress", "commons-compress", None),
        ] {
            assert_eq!(of_bundle(name, artifact).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn a_domain_that_many_share_is_no_group() {
        for (vendor, bundle, artifact, expected) in [
            (Some("org.apache.poi"), None, "poi-ooxml", Some("org.apache.poi")),
            (Some("org.postgresql"), None, "postgresql", Some("org.postgresql")),
            (Some("org.apache"), None, "apache-tool", None),
            (Some("org.w3c.css.sac"), None, "xml-apis-ext", None),
            (None, Some("org.eclipse.jdt.core"), "eclipse-jdt-core", None),
            (None, Some("org.apache.tomcat-api"), "tomcat-api", None),
        ] {
            let manifest = Manifest {
                implementation_vendor_id: vendor.map(str::to_owned),
                symbolic_name: bundle.map(str::to_owned),
                ..Manifest::default()
            };
            assert_eq!(told(&manifest, artifact).as_deref(), expected, "{artifact}");
        }
    }
}
