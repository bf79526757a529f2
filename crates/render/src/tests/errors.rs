//! Mistakes in templates: the template, the line, the field, what is wrong, and what to do.

use super::*;

/// A body with these lines in its text.
fn page(inner: &str) -> String {
    format!(
        "<mjml>\n<mj-body>\n<mj-section><mj-column>\n{inner}\n</mj-column></mj-section>\n</mj-body>\n</mjml>\n"
    )
}

#[test]
fn every_mistake_is_explained_to_its_author() {
    let text = |inner: &str| page(&format!("<mj-text>\n{inner}</mj-text>"));
    let mistakes = [
        (SUBJECT, "{{#if}}".to_owned()),
        (SUBJECT, "a\n\n{{#if data.status}}".to_owned()),
        (SUBJECT, "{{#each data.steps}}\n{{#if this}}\n{{/each}}".to_owned()),
        (SUBJECT, "a {{/if}}".to_owned()),
        (SUBJECT, "a {{else}} b".to_owned()),
        (SUBJECT, "{{upper (date data.status}}".to_owned()),
        (SUBJECT, "{{}}".to_owned()),
        (SUBJECT, "a\n{{upper data.status limit=}}".to_owned()),
        (SUBJECT, "{{data.status!}}".to_owned()),
        (SUBJECT, "a\n{{{data.status}}}".to_owned()),
        (SUBJECT, "a\nb {{&data.status}}".to_owned()),
        (SUBJECT, "{{#> row}}x{{/row}}".to_owned()),
        (SUBJECT, "a\n{{data.status".to_owned()),
        (SUBJECT, "a\n{{line \"x}}".to_owned()),
        (SUBJECT, "a\n{{> nowhere}}".to_owned()),
        (SUBJECT, "a\n{{nohelper data.status}}".to_owned()),
        (SUBJECT, "{{#nohelper data.status}}{{/nohelper}}".to_owned()),
        (SUBJECT, "\n{{data.sesion_id}}".to_owned()),
        (SUBJECT, "{{#if}}a{{/if}}".to_owned()),
        (SUBJECT, "{{#each}}a{{/each}}".to_owned()),
        (SUBJECT, "{{#each data.status}}a{{/each}}".to_owned()),
        (SUBJECT, "{{date data.status zone=\"Madrid\"}}".to_owned()),
        (SUBJECT, "{{badge data.status}}".to_owned()),
        (SUBJECT, "{{url data.status}}".to_owned()),
        (SUBJECT, "{{plural 2}}".to_owned()),
        (SUBJECT, "{{upper}}".to_owned()),
        (SUBJECT, "{{len}}".to_owned()),
        (SUBJECT, "{{#each (chunk data.status 2)}}a{{/each}}".to_owned()),
        (SUBJECT, "  \n".to_owned()),
        ("email/kyc.document.processed/subject.txt.hbs", "{{lookup data \"nope\"}}".to_owned()),
        ("email/kyc.session.completed/subject.txt.hbs", "{{data.steps.first}}".to_owned()),
        ("email/x/y.hbs", "x".to_owned()),
        (BODY, text("{{#if data.status}}")),
        (BODY, text("{{data.status}} and\n{{data.nope}}")),
        (BODY, text("{{data.status!}}")),
        (BODY, text("a<")),
        (BODY, page("<mj-spacer height=\"1px\">{{data.status}}</mj-spacer>")),
        (BODY, page("<mj-include path=\"x\" />")),
        (BODY, page("<mj-text>FanfareExpression</mj-text>")),
        (BODY, "<p>no MJML</p>".to_owned()),
        (
            SLACK,
            "{\n  \"text\": \"x\",\n  \"blocks\": [ { \"type\" \"divider\" } ]\n}\n".to_owned(),
        ),
        (SLACK, "{ \"blocks\": [{ \"type\": \"divider\" }] }".to_owned()),
        (SLACK, "{ \"text\": \"\", \"blocks\": [{ \"type\": \"divider\" }] }".to_owned()),
        (SLACK, "{ \"text\": \"x\", \"blocks\": [] }".to_owned()),
    ];
    let explained = mistakes.map(|(path, source)| {
        let error = refused(path, &source).to_string();
        for rule in ["hash_literal", "identifier", "helper_parameter", "expected "] {
            assert!(!error.contains(rule) || path == SLACK, "{error}");
        }
        format!("{}\n  {error}\n", source.escape_debug())
    });
    insta::assert_snapshot!(explained.concat());
}

#[test]
fn a_missing_field_is_reported_with_template_line_and_field_when_sending() {
    let delivery = event("acme", "kyc.session.created", &json!({ "status": "CREATED" }));
    for (part, template) in [
        (Part::Subject, "email/kyc.session.created/subject"),
        (Part::Html, "email/kyc.session.created/html"),
        (Part::Slack, "slack/kyc.session.created"),
    ] {
        let error = one(&ENGINE, &delivery, part).unwrap_err();
        assert_eq!(error.field.as_deref(), Some("data.session_id"), "{error}");
        assert!(error.message.contains("is missing in the event"), "{error}");
        assert!(error.line.is_some(), "{error}");
        assert_eq!(error.template, template, "{error}");
    }
}

#[test]
fn a_missing_field_is_refused_at_load_with_its_line() {
    let error = refused(SUBJECT, "One\n{{tenant.name}} {{data.sesion_id}}");
    assert_eq!(error.template, "email/kyc.session.created/subject");
    assert_eq!((error.line, error.field.as_deref()), (Some(2), Some("data.sesion_id")));
    assert!(error.message.contains("(opt data.sesion_id)"), "{error}");
    assert!(
        error
            .to_string()
            .starts_with("tenant acme, template email/kyc.session.created/subject, line 2")
    );
}

#[test]
fn a_missing_field_is_an_error_in_conditions_helpers_and_comparisons_too() {
    for source in [
        "\n{{#if data.nope}}x{{/if}}",
        "\n{{#unless data.nope}}x{{/unless}}",
        "\n{{humanize data.nope}}",
        "\n{{date (first data.nope)}}",
        "\n{{#if (eq data.nope 1)}}x{{/if}}",
        "\n{{#each data.nope}}x{{/each}}",
        "\nx{{#if true}}\n{{data.nope}}{{/if}}",
    ] {
        let error = refused(SUBJECT, &format!("{source}\n"));
        let line = if source.contains("true") { 3 } else { 2 };
        assert_eq!(
            (error.line, error.field.as_deref()),
            (Some(line), Some("data.nope")),
            "{source}"
        );
    }
    for fine in ["{{#if (opt data.nope)}}x{{else}}y{{/if}}", "{{default data.nope \"y\"}}"] {
        let engine = with(&[(SUBJECT, fine)]).unwrap();
        let delivery = event("acme", "kyc.session.created", &json!({}));
        assert_eq!(one(&engine, &delivery, Part::Subject).unwrap(), "y");
    }
}

#[test]
fn errors_in_mjml_have_the_line_of_the_source() {
    let error = refused(
        BODY,
        &page("<mj-text>{{data.status}} and\n{{data.nope}} {{data.status}}</mj-text>"),
    );
    assert_eq!((error.line, error.field.as_deref()), (Some(5), Some("data.nope")));
    let error = refused(BODY, &page("<mj-text>a<"));
    assert!(error.message.contains("MJML"), "{error}");
    let error = refused(BODY, &page("<mj-text>\n{{#if data.status}}</mj-text>"));
    assert!(error.line.is_some_and(|line| line >= 5), "{error}");
    let error = refused(
        BODY,
        &page("<mj-text>\n</mj-text><mj-spacer height=\"1px\">{{data.status}}</mj-spacer>"),
    );
    assert_eq!(error.line, Some(5), "{error}");
    let error = refused(BODY, "<p>no MJML</p>");
    assert!(error.message.contains("MJML"), "{error}");
}

#[test]
fn all_mistakes_of_all_tenants_are_reported_together() {
    let files = |source: &str| {
        BTreeMap::from([
            (SUBJECT.to_owned(), source.to_owned()),
            (SLACK.to_owned(), source.to_owned()),
        ])
    };
    let tenants = [("acme", "{{data.nope}}"), ("other", "{{#if}}")];
    let tenants = tenants.map(|(tenant, source)| (tenant.to_owned(), files(source)));
    let errors = Engine::with_overrides(BTreeMap::from(tenants)).unwrap_err();
    assert_eq!(errors.len(), 4, "{errors:#?}");
}
