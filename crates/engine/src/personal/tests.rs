use super::*;

fn part(name: &str, content_type: &str, text: &str) -> Part {
    let id = PartId::generate(mmsgw_domain::Timestamp::from_secs(1));
    Part { id, name: name.into(), content_type: content_type.into(), content: PartContent::Text(text.into()) }
}

fn content(subject: &str, parts: Vec<Part>) -> TemplateContent {
    let mut content = TemplateContent::new("54321".parse().unwrap());
    (content.subject, content.parts, content.personal) = (Some(subject.into()), parts, true);
    content
}

fn text(value: &str) -> Variable {
    Variable::Text(value.into())
}

fn variables(list: &[(&str, &str)]) -> Variables {
    list.iter().map(|(name, value)| ((*name).to_owned(), text(value))).collect()
}

fn words(content: &TemplateContent, variables: &Variables) -> Result<Words, Speechless> {
    Personal::compile(content, 1_000).unwrap().words(variables)
}

/// One text part rendered.
fn rendered(source: &str, list: &[(&str, &str)]) -> Result<String, Speechless> {
    let content = content("s", vec![part("a.txt", "text/plain", source)]);
    words(&content, &variables(list)).map(|mut words| words.parts.remove(0).1)
}

fn missing(names: &[&str]) -> Speechless {
    Speechless::Missing(names.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn only_what_has_variables_is_rendered_and_all_else_is_kept_to_the_letter() {
    let content = content(
        "Hi {{ name }}",
        vec![
            part("s.smil", "application/smil", "<text alt=\"{{ name }}\"/>\n"),
            part("plain.txt", "text/plain", "{ % # }\n"),
            part("a.txt", "text/plain", "{{ name }} owes {{ sum }}\r\n\n"),
        ],
    );
    let mut given = variables(&[("name", "O'Neil & <Co> \"x\"/")]);
    given.insert("sum".into(), Variable::Integer(-3));
    let words = words(&content, &given).unwrap();
    assert_eq!(words.subject.as_deref(), Some("Hi O'Neil & <Co> \"x\"/"));
    let markup = "<text alt=\"O&#39;Neil &amp; &lt;Co&gt; &quot;x&quot;/\"/>\n".to_owned();
    let plain = "O'Neil & <Co> \"x\"/ owes -3\r\n\n".to_owned();
    assert_eq!(words.parts, [(content.parts[0].id, markup), (content.parts[2].id, plain)]);
}

#[test]
fn conditions_and_defaults_work() {
    assert_eq!(
        rendered("{% if city == 'Rome' %}Ciao{% else %}Hi{% endif %}", &[("city", "Rome")]).unwrap(),
        "Ciao"
    );
    assert_eq!(rendered("{{ a | default('you') }}{{ b | upper }}", &[("b", "x")]).unwrap(), "youX");
    let mut with_default = content("s", vec![part("a.txt", "text/plain", "{{ a }}{{ b }}")]);
    with_default.defaults = variables(&[("a", "one"), ("b", "two")]);
    let words = words(&with_default, &variables(&[("b", "2")])).unwrap();
    assert_eq!(words.parts[0].1, "one2");
}

#[test]
fn what_is_missing_is_named_and_nothing_else() {
    assert_eq!(rendered("Hi {{ name }}", &[]), Err(missing(&["name"])));
    assert_eq!(rendered("{{ b }}{{ a }}{{ c }}", &[("c", "")]), Err(missing(&["a", "b"])));
    assert_eq!(
        rendered("{{ a | default(1) }}{% if b is defined %}{% endif %}{{ c }}", &[]),
        Err(missing(&["c"]))
    );
    assert_eq!(rendered("{% if vip %}x{% endif %}", &[]), Err(missing(&["vip"])));
    assert_eq!(
        missing(&["a", "b"]).to_string(),
        "no value is given for `a`, `b`, and the template has no default"
    );
}

#[test]
fn a_template_cannot_run_away_or_reach_anything() {
    for endless in [
        "{% for i in range(100000) %}{% for j in range(100000) %}{{ j }}{% endfor %}{% endfor %}",
        "{% for i in range(100000) %}{% set x = i * i %}{% endfor %}",
        "{{ 'x' * 1000000000 }}",
        "{{ a }}{{ a }}{{ a }}",
    ] {
        let refused = rendered(endless, &[("a", &"x".repeat(500))]).unwrap_err();
        assert!(matches!(refused, Speechless::Unfit(_)), "{endless}: {refused:?}");
    }
    for secret in [
        "{{ self }}",
        "{{ config }}",
        "{{ env }}",
        "{{ a.__class__.__mro__ }}",
        "{{ a['__class__'] }}",
        "{{ debug() }}",
        "{{ ''.join.__globals__ }}",
        "{{ a | attr('__class__') }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ namespace.__init__ }}",
        "{{ a.format(a) }}",
    ] {
        // It says nothing, or only what the application gave.
        if let Ok(text) = rendered(secret, &[("a", "given")]) {
            let known = ["", "given"].contains(&text.as_str()) || text.contains("\"a\": \"given\"");
            assert!(known, "{secret}: {text}");
        }
    }
    for reaching in ["{% include '/etc/passwd' %}", "{% extends 'x' %}", "{% import 'x' as y %}"] {
        let content = content("s", vec![part("a.txt", "text/plain", reaching)]);
        assert!(Personal::compile(&content, 1_000).is_err(), "{reaching}");
    }
}

#[test]
fn values_are_never_rendered_themselves() {
    assert_eq!(rendered("{{ a }}", &[("a", "{{ b }}{% raw %}")]).unwrap(), "{{ b }}{% raw %}");
}

#[test]
fn no_value_breaks_the_subject() {
    let content = content("Hi {{ name }}", vec![]);
    for bad in ["a\nBcc: x", "a\r", "a\u{2028}"] {
        let refused = words(&content, &variables(&[("name", bad)])).unwrap_err();
        assert!(refused.to_string().contains("may not stand in the subject"), "{refused}");
    }
    let long = words(&content, &variables(&[("name", &"x".repeat(2_000))])).unwrap_err();
    assert!(long.to_string().contains("more than 1024 octets"), "{long}");
}

#[test]
fn values_do_not_become_markup() {
    let smil = "<smil><body><text src='a' alt=\"{{ a }}\"/>{{ a }}</body></smil>";
    for bad in
        ["<img src='x'/>", "\"/><audio src=\"x", "'><ref/>", "]]><x/>", "<!-- ", "&e;", "<![CDATA[", "<?x ?>"]
    {
        let content = content("s", vec![part("s.smil", "application/smil", smil)]);
        let words = words(&content, &variables(&[("a", bad)])).unwrap();
        let plain = words.parts[0].1.replace(smil.split("{{ a }}").next().unwrap(), "");
        let inside = plain.trim_end_matches("</body></smil>").replace("\"/>", "");
        assert!(!inside.contains(['<', '>', '"', '\'']), "{bad}: {}", words.parts[0].1);
    }
}
