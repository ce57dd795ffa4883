//! Whole systems, as the tools of distributions set them up.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::rc::Rc;

use agentless_core::fs::Directory;
use tempfile::TempDir;

use super::*;
use crate::limits::Limits;

/// A system of these files.
fn system(files: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, content) in files {
        write(root.path(), path, content);
    }
    root
}

fn write(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

fn default(root: &TempDir) -> Option<String> {
    started(root).unwrap()
}

fn started(root: &TempDir) -> Result<Option<String>, Doubt> {
    let limits = Limits::default();
    let tree = Tree::new(Rc::new(Directory::open(root.path(), &limits).unwrap()), limits);
    default_kernel(&tree)
}

/// The file that makes it uncertain what is started, and why.
#[track_caller]
fn doubt(root: &TempDir) -> String {
    let Doubt { path, reason } = started(root).unwrap_err();
    format!("{path}: {reason}")
}

/// What `grub-mkconfig` writes before the entries (`00_header`), with what it has for the default in between.
fn header(default: &str) -> String {
    format!(
        r#"### BEGIN /etc/grub.d/00_header ###
if [ -s $prefix/grubenv ]; then
  set have_grubenv=true
  load_env
fi
if [ "${{next_entry}}" ] ; then
   set default="${{next_entry}}"
   set next_entry=
   save_env next_entry
   set boot_once=true
else
   set default="{default}"
fi

if [ x"${{feature_menuentry_id}}" = xy ]; then
  menuentry_id_option="--id"
else
  menuentry_id_option=""
fi
export menuentry_id_option
function savedefault {{
  if [ -z "${{boot_once}}" ]; then
    saved_entry="${{chosen}}"
    save_env saved_entry
  fi
}}
function load_video {{
  if [ x$feature_all_video_module = xy ]; then
    insmod all_video
  else
    insmod efi_gop
  fi
}}
if loadfont unicode ; then
  set gfxmode=auto
fi
"#
    )
}

/// The entries of Debian: the newest kernel, and a menu with all of them.
const DEBIAN: &str = r"### BEGIN /etc/grub.d/10_linux ###
menuentry 'Debian GNU/Linux' --class debian --class os $menuentry_id_option 'gnulinux-simple-7f3a' {
	load_video
	if [ x$grub_platform = xxen ]; then insmod xzio; insmod lzopio; fi
	search --no-floppy --fs-uuid --set=root 7f3a
	echo	'Loading Linux 6.1.0-18-amd64 ...'
	linux	/boot/vmlinuz-6.1.0-18-amd64 root=UUID=7f3a ro  quiet
	initrd	/boot/initrd.img-6.1.0-18-amd64
}
submenu 'Advanced options for Debian GNU/Linux' $menuentry_id_option 'gnulinux-advanced-7f3a' {
	menuentry 'Debian GNU/Linux, with Linux 6.1.0-18-amd64' --class debian $menuentry_id_option 'gnulinux-6.1.0-18-amd64-advanced-7f3a' {
		linux	/boot/vmlinuz-6.1.0-18-amd64 root=UUID=7f3a ro  quiet
	}
	menuentry 'Debian GNU/Linux, with Linux 6.1.0-17-amd64' --class debian $menuentry_id_option 'gnulinux-6.1.0-17-amd64-advanced-7f3a' {
		linux	/boot/vmlinuz-6.1.0-17-amd64 root=UUID=7f3a ro  quiet
	}
}
### BEGIN /etc/grub.d/30_uefi-firmware ###
menuentry 'UEFI Firmware Settings' $menuentry_id_option 'uefi-firmware' {
	fwsetup
}
if [ -f  ${config_directory}/custom.cfg ]; then
  source ${config_directory}/custom.cfg
fi
";

fn grub(default: &str, environment: &str) -> TempDir {
    let environment = format!("# GRUB Environment Block\n{environment}{}", "#".repeat(100));
    system(&[
        ("boot/grub/grub.cfg", &format!("{}{DEBIAN}", header(default))),
        ("boot/grub/grubenv", &environment),
    ])
}

#[test]
fn the_entry_that_grub_starts_is_found_by_number_id_and_title() {
    let old = Some("6.1.0-17-amd64");
    let new = Some("6.1.0-18-amd64");
    for (default_entry, environment, expected) in [
        ("0", "", new),
        ("1>1", "", old),
        ("1", "", new),
        ("gnulinux-advanced-7f3a>gnulinux-6.1.0-17-amd64-advanced-7f3a", "", old),
        ("Advanced options for Debian GNU/Linux>Debian GNU/Linux, with Linux 6.1.0-17-amd64", "", old),
        ("${saved_entry}", "saved_entry=1>1\n", old),
        ("${saved_entry}", "", new),
        ("0", "next_entry=1>1\n", old),
        ("none of them", "", new),
        // Firmware settings are no kernel.
        ("uefi-firmware", "", None),
    ] {
        let root = grub(default_entry, environment);
        assert_eq!(default(&root).as_deref(), expected, "{default_entry} {environment}");
    }
    let root = grub("own", "");
    write(root.path(), "boot/grub/custom.cfg", "menuentry 'own' {\n linux ($root)/boot/vmlinuz-own\n}\n");
    assert_eq!(default(&root).as_deref(), Some("own"));
}

#[test]
fn entries_of_the_specification_are_shown_by_grub_the_newest_first() {
    let id = "0123456789abcdef0123456789abcdef";
    let root = system(&[
        ("boot/grub2/grub.cfg", &format!("{}insmod blscfg\nblscfg\n", header("${saved_entry}"))),
        ("boot/grub2/grubenv", "# GRUB Environment Block\n"),
    ]);
    for version in ["5.14.0-70.13.1.el9_0.x86_64", "5.14.0-362.8.1.el9_3.x86_64", "0-rescue"] {
        let entry =
            format!("title Linux ({version})\nversion {version}\nlinux /vmlinuz-{version}\ninitrd /i\n");
        write(root.path(), &format!("boot/loader/entries/{id}-{version}.conf"), &entry);
    }
    assert_eq!(default(&root).as_deref(), Some("5.14.0-362.8.1.el9_3.x86_64"));
    let saved = format!("saved_entry={id}-5.14.0-70.13.1.el9_0.x86_64\n");
    write(root.path(), "boot/grub2/grubenv", &saved);
    assert_eq!(default(&root).as_deref(), Some("5.14.0-70.13.1.el9_0.x86_64"));
    write(root.path(), "boot/grub2/grubenv", "saved_entry=1\n");
    assert_eq!(default(&root).as_deref(), Some("5.14.0-70.13.1.el9_0.x86_64"));
}

#[test]
fn a_kernel_in_a_variable_of_another_file_is_found() {
    let root = system(&[
        (
            "boot/grub2/grub.cfg",
            "set default=0\nif [ -f /photon.cfg ]; then\n load_env -f /photon.cfg\nelse\n load_env -f /boot/photon.cfg\nfi\n\
             menuentry \"Photon\" {\n linux /$photon_linux root=$rootpartition $photon_cmdline\n}\n",
        ),
        (
            "boot/photon.cfg",
            "# GRUB Environment Block\nphoton_cmdline=init=x\nphoton_linux=vmlinuz-5.10.205-1.ph4\n",
        ),
    ]);
    assert_eq!(default(&root).as_deref(), Some("5.10.205-1.ph4"));
}

#[test]
fn systemd_boot_starts_what_its_pattern_names_or_the_newest() {
    let root = system(&[("efi/loader/loader.conf", "timeout 3\n")]);
    for (name, version, more) in [
        ("a-6.6.1", "6.6.1-1-default", ""),
        ("a-6.10.2", "6.10.2-1-default", ""),
        ("a-6.11.0+0-3", "6.11.0-1-default", ""),
    ] {
        let entry = format!("title A\nversion {version}\nsort-key a\nlinux /a/{version}/linux\n{more}");
        write(root.path(), &format!("efi/loader/entries/{name}.conf"), &entry);
    }
    assert_eq!(default(&root).as_deref(), Some("6.10.2-1-default"));
    write(root.path(), "efi/loader/loader.conf", "default a-6.6.*\n");
    assert_eq!(default(&root).as_deref(), Some("6.6.1-1-default"));
    write(root.path(), "efi/loader/loader.conf", "default @saved\n");
    assert_eq!(default(&root), None);
}

#[test]
fn without_a_boot_loader_links_are_followed_and_then_the_newest_is_taken() {
    let root = system(&[("boot/vmlinuz-6.1.0-9-amd64", ""), ("boot/vmlinuz-6.1.0-18-amd64", "")]);
    assert_eq!(default(&root).as_deref(), Some("6.1.0-18-amd64"));
    symlink("boot/vmlinuz-6.1.0-9-amd64", root.path().join("vmlinuz")).unwrap();
    assert_eq!(default(&root).as_deref(), Some("6.1.0-9-amd64"));
    assert_eq!(default(&system(&[])), None);
}

#[test]
fn a_boot_loader_may_start_a_link() {
    let root = system(&[
        ("boot/extlinux/extlinux.conf", "default l0\nlabel l0\n\tlinux /vmlinuz\n"),
        ("boot/vmlinuz-6.1.0-9-amd64", ""),
    ]);
    symlink("vmlinuz-6.1.0-9-amd64", root.path().join("boot/vmlinuz")).unwrap();
    assert_eq!(default(&root).as_deref(), Some("6.1.0-9-amd64"));
}

#[test]
fn variables_and_names_without_end_cost_little() {
    let long = format!("set a={}\n", "x".repeat(4000));
    // Each word stands for four kilobytes: all of them together for more than a gigabyte.
    let words = format!("x {}\n", "$a ".repeat(300_000));
    let entry = "menuentry a {\nlinux /boot/vmlinuz-1\n}\n";
    let root = system(&[("boot/grub/grub.cfg", &format!("{long}{words}{entry}")), ("boot/vmlinuz-1", "")]);
    assert_eq!(default(&root).as_deref(), Some("1"));
    // Each name is looked for among as many others.
    let names = (0..100_000).map(|number| format!("n{number:06}")).collect::<Vec<_>>().join(" ");
    let lines = (0..80_000).map(|number| format!("m{number:06}=")).collect::<Vec<_>>().join("\n");
    let root = system(&[
        ("boot/grub/grub.cfg", &format!("load_env {names}\n{entry}")),
        ("boot/grub/grubenv", &lines),
        ("boot/vmlinuz-1", ""),
    ]);
    let began = std::time::Instant::now();
    assert_eq!(default(&root).as_deref(), Some("1"));
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
}

#[test]
fn a_damaged_configuration_does_not_tell_what_is_started() {
    let whole = format!("{}{DEBIAN}", header("0"));
    let cut = |end: &str| &whole[..whole.find(end).unwrap()];
    for (content, expected) in [
        ("", "it has no entry"),
        (&whole.replace("quiet", "\0\0\0\0"), "it has zeros in it"),
        // Within the header there is no entry yet, and within the menus some are missing.
        (cut("set default="), "it ends within an entry, a menu or a condition"),
        (cut("### BEGIN /etc/grub.d/10_linux"), "it has no entry"),
        (cut("menuentry 'Debian GNU/Linux, with Linux 6.1.0-17"), "it ends within an entry, a menu"),
        (cut("fwsetup"), "it ends within an entry, a menu"),
        (&"menuentry a {\nlinux /vmlinuz-1\n}\n".repeat(10_001), "its menu has more than 10000 entries"),
        (&"x\n".repeat(100_001), "it has more statements than are read"),
        (&format!("{}menuentry a {{\n}}\n", "source /a\n".repeat(65)), "it reads more than 64 files"),
        (&format!("{}menuentry a {{\n", "submenu m {\n".repeat(17)), "it has more than 16 menus"),
        (
            &format!("set x={}\n{}", "x".repeat(4000), "set a=$x\n".repeat(300)),
            "its variables have more than",
        ),
    ] {
        // An older configuration of another loader, and kernels, do not tell either.
        let root = system(&[
            ("boot/grub/grub.cfg", content),
            ("boot/extlinux/extlinux.conf", "default l\nlabel l\nlinux /vmlinuz-2\n"),
            ("boot/vmlinuz-3", ""),
        ]);
        let found = doubt(&root);
        assert!(found.starts_with(&format!("/boot/grub/grub.cfg: {expected}")), "{found}");
    }
    for (path, content) in [
        ("boot/grub/grubenv", "# GRUB Environment Block\nsaved_entry=\0\0"),
        ("boot/grub/custom.cfg", "menuentry \0 {"),
    ] {
        let root = grub("${saved_entry}", "");
        write(root.path(), path, content);
        assert_eq!(doubt(&root), format!("/{path}: it has zeros in it: it was not written to its end"));
    }
    let root = grub("0", "");
    let environment = std::fs::OpenOptions::new().write(true).open(root.path().join("boot/grub/grubenv"));
    environment.unwrap().set_len(2 << 20).unwrap();
    assert!(doubt(&root).starts_with("/boot/grub/grubenv: the size of a small file"), "{}", doubt(&root));
}

#[test]
fn damaged_entries_and_other_loaders_do_not_tell_either() {
    let entry = "boot/loader/entries/a-1-1.conf";
    let blscfg = ("boot/grub2/grub.cfg", "blscfg\n");
    for files in [
        &[blscfg, (entry, "title a\nlinux /vmlinuz-1\n"), ("boot/loader/entries/b-2-1.conf", "\0")][..],
        &[("boot/loader/loader.conf", "timeout 1\n"), ("boot/loader/entries/b-2-1.conf", "\0")],
        &[("boot/extlinux.conf", "DEFAULT a\n\0")],
        &[("boot/grub/menu.lst", "default saved\n"), ("boot/grub/default", "\0")],
    ] {
        let root = system(files);
        write(root.path(), "boot/vmlinuz-9", "");
        assert!(doubt(&root).contains("it has zeros in it"), "{files:?}");
    }
    let root = system(&[blscfg]);
    for number in 0..=1000 {
        write(root.path(), &format!("boot/loader/entries/{number}.conf"), "linux /vmlinuz-1\n");
    }
    assert_eq!(doubt(&root), "/boot/loader/entries: it has more than 1000 entries");
}
