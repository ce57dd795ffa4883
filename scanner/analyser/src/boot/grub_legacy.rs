//! GRUB Legacy, 0.97: `menu.lst`. Also what Amazon's loader for paravirtual machines reads, of Amazon Linux 1.

use super::{Configured, Doubt, first_file};
use crate::fs::Tree;

/// The second is what Red Hat calls it.
const PATHS: &[&str] = &["/boot/grub/menu.lst", "/boot/grub/grub.conf"];
/// The number of the entry that was started last, for `default saved`.
const SAVED: &str = "/boot/grub/default";

/// The kernel of the entry that is started.
pub(super) fn configured(tree: &Tree) -> Result<Configured, Doubt> {
    let Some((_, content)) = first_file(tree, PATHS)? else { return Ok(Configured::Not) };
    let saved = first_file(tree, &[SAVED])?.map(|(_, saved)| saved).unwrap_or_default();
    Ok(Configured::or_unknown(kernel(&content, &saved)))
}

/// The kernel of the entry whose number `default` gives, from zero; of the first if it does not say.
pub(super) fn kernel(content: &[u8], saved: &[u8]) -> Option<String> {
    let content = String::from_utf8_lossy(content);
    let mut default = 0_usize;
    let mut entries: Vec<Option<&str>> = Vec::new();
    for line in content.lines() {
        let line = line.trim();
        let (keyword, value) = line.split_once([' ', '\t', '=']).unwrap_or((line, ""));
        let value = value.trim();
        match keyword {
            "default" if value == "saved" => {
                let saved = String::from_utf8_lossy(saved);
                let first = saved.split_ascii_whitespace().next();
                default = first.and_then(|number| number.parse().ok()).unwrap_or(0);
            }
            "default" => default = value.parse().unwrap_or(0),
            "title" => entries.push(None),
            // Of Xen, the kernel is the first of the modules.
            "kernel" | "module" => {
                if let Some(entry) = entries.last_mut() {
                    // Options of the command come before the file, which may name its disk: `(hd0,0)/vmlinuz`.
                    let file = value.split_ascii_whitespace().find(|word| !word.starts_with("--"));
                    let path = file.map(|file| file.split_once(')').map_or(file, |(_, path)| path));
                    let is_xen =
                        |path: &&str| path.rsplit('/').next().is_some_and(|name| name.starts_with("xen"));
                    *entry = entry.or(path.filter(|path| !is_xen(path)));
                }
            }
            _ => {}
        }
    }
    entries.get(default).or_else(|| entries.first()).copied().flatten().map(str::to_owned)
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn the_entry_that_is_started_is_found() {
        let entries = "title CentOS (2.6.18-400.el5)\n\troot (hd0,0)\n\tkernel /vmlinuz-2.6.18-400.el5 ro\n\
                       title CentOS (2.6.18-398.el5)\n\tkernel --no-mem-option (hd0,0)/vmlinuz-2.6.18-398.el5 ro\n\
                       title Xen\n\tkernel /xen.gz-2.6.18\n\tmodule /vmlinuz-2.6.18-1.el5xen ro\n\tmodule /initrd\n";
        for (before, saved, expected) in [
            ("#default=1\ndefault=0\ntimeout=5\n", "", "/vmlinuz-2.6.18-400.el5"),
            ("default 1\n", "", "/vmlinuz-2.6.18-398.el5"),
            ("default=2\n", "", "/vmlinuz-2.6.18-1.el5xen"),
            ("default saved\n", "1\n#\n#", "/vmlinuz-2.6.18-398.el5"),
            ("default=9\n", "", "/vmlinuz-2.6.18-400.el5"),
        ] {
            let content = format!("{before}{entries}");
            assert_eq!(kernel(content.as_bytes(), saved.as_bytes()).as_deref(), Some(expected), "{before}");
        }
        assert_eq!(kernel(b"title Windows\nchainloader +1\n", b""), None);
        assert_eq!(kernel(b"", b""), None);
    }
}
