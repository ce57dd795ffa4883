//! Syslinux and those that read its configuration: EXTLINUX, which Alpine uses, and U-Boot.

use super::{Configured, Doubt, first_file};
use crate::fs::Tree;

const PATHS: &[&str] = &[
    "/boot/extlinux.conf",
    "/boot/extlinux/extlinux.conf",
    "/boot/syslinux/syslinux.cfg",
    "/boot/syslinux/extlinux.conf",
];

/// The kernel of the label that is started.
pub(super) fn configured(tree: &Tree) -> Result<Configured, Doubt> {
    let file = first_file(tree, PATHS)?;
    Ok(file.map_or(Configured::Not, |(_, content)| Configured::or_unknown(kernel(&content))))
}

/// The kernel that is started: by the menu that is marked so in it, or else its first label; without a menu by what `DEFAULT`
/// names, a label or a file. Keywords are written in any case.
pub(super) fn kernel(content: &[u8]) -> Option<String> {
    let content = String::from_utf8_lossy(content);
    let (mut default, mut on_timeout, mut marked) = (None, None, None);
    let mut labels: Vec<(&str, Option<&str>)> = Vec::new();
    for line in content.lines() {
        let line = line.trim();
        let (keyword, value) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let value = value.trim();
        match keyword.to_ascii_uppercase().as_str() {
            "DEFAULT" => default = Some(value),
            "ONTIMEOUT" => on_timeout = Some(value),
            "LABEL" => labels.push((value, None)),
            "MENU" if value.eq_ignore_ascii_case("default") => {
                marked = labels.last().map(|(label, _)| *label);
            }
            "KERNEL" | "LINUX" => {
                if let Some((_, kernel)) = labels.last_mut() {
                    *kernel = Some(value);
                }
            }
            _ => {}
        }
    }
    let first_word = |text: &str| text.split_ascii_whitespace().next().map(str::to_owned);
    let default = default.and_then(|default: &str| default.split_ascii_whitespace().next());
    // A module of Syslinux, such as one that shows a menu.
    let is_module = |name: &str| name.rsplit('.').next().is_some_and(|end| end.eq_ignore_ascii_case("c32"));
    let default = default.filter(|default| !is_module(default));
    match on_timeout.or(marked).or(default) {
        Some(chosen) => match labels.iter().find(|(label, _)| *label == chosen) {
            Some((_, kernel)) => kernel.and_then(first_word),
            None => first_word(chosen),
        },
        None => labels.first().and_then(|(_, kernel)| kernel.and_then(first_word)),
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn the_label_that_is_started_is_found() {
        let labels = "LABEL virt\n  MENU LABEL Linux virt\n  LINUX vmlinuz-virt\n  INITRD i\n\
                      label lts\n  MENU DEFAULT\n  kernel /boot/vmlinuz-lts quiet\n";
        for (before, expected) in
            [("DEFAULT menu.c32\nPROMPT 0\n", "/boot/vmlinuz-lts"), ("ONTIMEOUT virt\n", "vmlinuz-virt")]
        {
            assert_eq!(kernel(format!("{before}{labels}").as_bytes()).as_deref(), Some(expected));
        }
        let unmarked = labels.replace("MENU DEFAULT", "");
        for (before, expected) in [
            ("DEFAULT menu.c32\n", "vmlinuz-virt"),
            ("DEFAULT lts\n", "/boot/vmlinuz-lts"),
            ("default /vmlinuz-own root=/dev/sda\n", "/vmlinuz-own"),
            ("", "vmlinuz-virt"),
        ] {
            assert_eq!(
                kernel(format!("{before}{unmarked}").as_bytes()).as_deref(),
                Some(expected),
                "{before}"
            );
        }
        assert_eq!(kernel(b"LABEL x\n  COM32 chain.c32\n\xff"), None);
    }
}
