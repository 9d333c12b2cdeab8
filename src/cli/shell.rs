//! Commands as they can be pasted into a shell, whatever the paths in them are.

use std::borrow::Cow;
use std::path::Path;

/// A command between the marks in which messages show one, with `{}` where its path is. They are backquotes where the path
/// has to be quoted for the shell, so that its own quotes are the only ones.
pub fn command(template: &str, path: &Path) -> String {
    quoted(&template.replace("{}", &word(path)))
}

/// As [`command`], with the path of a directory for `{set}` too.
pub fn command_with_set(template: &str, path: &Path, set: &Path) -> String {
    quoted(&template.replace("{set}", &word(set)).replace("{}", &word(path)))
}

fn quoted(line: &str) -> String {
    if line.contains(['\'', '"']) {
        format!("`{line}`")
    } else {
        format!("'{line}'")
    }
}

/// A path as one word of a command line that is not taken for a flag.
pub fn word(path: &Path) -> String {
    let path = path.to_string_lossy();
    let name = if path.starts_with('-') {
        Cow::Owned(format!("./{path}"))
    } else {
        path
    };
    // A path has no NUL, which alone cannot be quoted.
    shlex::try_quote(&name).map_or_else(|_| name.to_string(), Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_pasted_whatever_its_path_is_and_a_plain_path_stays_as_it_is() {
        let shown = |path: &str| command("keymill repair {}", Path::new(path));
        for plain in ["key", "/tmp/set_1/key-2.b", "../a@b:c", "DIR"] {
            assert_eq!(shown(plain), format!("'keymill repair {plain}'"));
        }
        assert_eq!(shown("-x"), "'keymill repair ./-x'");
        assert_eq!(shown("my key"), "`keymill repair 'my key'`");
        for path in [
            "my key", "it's", "a\"b", "$HOME", "-a b", "~", "a;b", "a`b", "a\\b", "*",
        ] {
            let line = shown(path);
            let words = shlex::split(&line[1..line.len() - 1]).unwrap();
            let name = words.last().unwrap();
            assert_eq!(
                (words.len(), name.strip_prefix("./").unwrap_or(name)),
                (3, path),
                "{line}"
            );
        }
    }
}
