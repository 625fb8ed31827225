//! Names of parts made safe to use as file names.

/// Octets of the longest safe name.
pub const MAX_NAME: usize = 120;

/// A file name out of whatever a message offers: the last path component, without controls,
/// characters that shells or file systems give a meaning, or leading dots; at most [`MAX_NAME`]
/// octets, an extension kept where it is short. `None` where nothing is left.
pub fn safe_name(text: &str) -> Option<String> {
    let last = text.trim().rsplit(['/', '\\']).find(|part| !part.trim().is_empty())?;
    let clean: String = last.chars().filter(|c| !is_unsafe(*c)).collect();
    let clean = clean.trim_start_matches(|c: char| c == '.' || c.is_whitespace()).trim_end();
    let clean = clean.trim_end_matches('.');
    (!clean.is_empty()).then(|| shorten(clean))
}

/// Controls, directional and other invisible marks, and the reserved characters of file systems.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || "<>:\"|?*/\\".contains(c)
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn shorten(name: &str) -> String {
    if name.len() <= MAX_NAME {
        return name.to_owned();
    }
    let extension = match name.rfind('.') {
        Some(dot) if name.len() - dot <= 12 => &name[dot..],
        _ => "",
    };
    let mut end = MAX_NAME - extension.len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{extension}", &name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_and_dots_are_cut() {
        assert_eq!(safe_name("../../etc/passwd").as_deref(), Some("passwd"));
        assert_eq!(safe_name("C:\\dir\\a b.jpg").as_deref(), Some("a b.jpg"));
        assert_eq!(safe_name("..hidden").as_deref(), Some("hidden"));
        assert_eq!(safe_name("a\r\n\0b.gif").as_deref(), Some("ab.gif"));
        for nothing in ["", "..", "///", " . ", "\u{202e}"] {
            assert_eq!(safe_name(nothing), None, "{nothing:?}");
        }
    }

    proptest! {
        #[test]
        fn always_safe(text in any::<String>(), long in "[a-zé/.]{100,300}") {
            for name in [safe_name(&text), safe_name(&long)].into_iter().flatten() {
                prop_assert!(!name.is_empty() && name.len() <= MAX_NAME && !name.starts_with('.'));
                prop_assert!(!name.contains(is_unsafe));
            }
        }
    }
}
