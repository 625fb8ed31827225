//! URLs as people may see them.

/// A URL for logs and lists: without user name, password, query and fragment.
pub fn without_secrets(url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let url = &url[..end];
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_show_no_secrets_of_a_url() {
        assert_eq!(without_secrets("https://u:p@app.example/a/b?token=x#y"), "https://app.example/a/b");
        assert_eq!(without_secrets("http://app.example"), "http://app.example");
        assert_eq!(without_secrets("nonsense?secret"), "nonsense");
        assert_eq!(without_secrets("http://h/a@b"), "http://h/a@b");
    }
}
