//! Tenants' and servers' own templates: what they cover, and how a bad one is refused.

use super::*;

const SUBJECT: &str = "email/kyc.session.created/subject.txt.hbs";
const BODY: &str = "email/kyc.session.created/body.mjml.hbs";
const SLACK: &str = "slack/kyc.session.created.json.hbs";

fn with(files: &[(&str, &str)]) -> Result<Engine, Vec<TemplateError>> {
    let files = files.iter().map(|&(path, source)| (path.to_owned(), source.to_owned())).collect();
    Engine::with_overrides(BTreeMap::from([("acme".to_owned(), files)]))
}

fn refused(path: &str, source: &str) -> TemplateError {
    let mut errors = with(&[(path, source)]).expect_err("it is refused");
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0].tenant.as_deref(), Some("acme"));
    errors.remove(0)
}

#[test]
fn a_tenants_own_template_is_used_for_that_tenant_alone() {
    let engine = with(&[(SUBJECT, "Hello {{data.metadata.user_name}}\n")]).unwrap();
    let data = samples::sample("kyc.session.created").unwrap().data().clone();
    let subject =
        |tenant| one(&engine, &event(tenant, "kyc.session.created", &data), Part::Subject).unwrap();
    assert_eq!(subject("acme"), "Hello Jane Smith-Ōkubo");
    assert_eq!(subject("other"), "other: verification started (session 7f6c2a54)");
    let html = one(&engine, &event("acme", "kyc.session.created", &data), Part::Html).unwrap();
    assert!(html.contains("Verification started"), "the other parts stay as they are");
}

#[test]
fn a_tenants_default_does_not_cover_a_built_in_template() {
    let engine = with(&[("email/_default/subject.txt.hbs", "Something: {{title}}")]).unwrap();
    let subject = |kind| {
        let data = json!({ "session_id": "s" });
        one(&engine, &event("acme", kind, &data), Part::Subject).unwrap()
    };
    assert_eq!(subject("kyc.session.created"), "acme: verification started (session s)");
    assert_eq!(subject("order.shipped"), "Something: Order shipped");
}

#[test]
fn a_tenants_partial_changes_the_built_in_templates_that_use_it() {
    let brand = "<mj-section><mj-column><mj-text>ACME!</mj-text></mj-column></mj-section>";
    let engine = with(&[("email/partials/brand.mjml.hbs", brand)]).unwrap();
    let html = |tenant| one(&engine, &event(tenant, "any.thing", &json!({})), Part::Html).unwrap();
    assert!(html("acme").contains("ACME!"));
    assert!(!html("other").contains("ACME!"));
    let own =
        engine.names("acme").into_iter().filter(|l| l.origin == super::super::Origin::Builtin);
    assert!(own.count() > 0);
}

#[test]
fn a_tenants_partial_reaches_into_the_folders_templates() {
    let dir = tempfile::tempdir().unwrap();
    let write = |path: &str, source: &str| {
        let file = dir.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, source).unwrap();
    };
    write(SUBJECT, "{{> sign}} from the folder");
    write("email/partials/sign.txt.hbs", "F\n");
    // The built-in text uses the partial `footer`, this one does not: it stays.
    write("email/kyc.session.created/body.txt.hbs", "The folder's text");
    let overrides = BTreeMap::from([
        ("email/partials/sign.txt.hbs".to_owned(), "T\n".to_owned()),
        ("email/partials/footer.txt.hbs".to_owned(), "The tenant's footer\n".to_owned()),
    ]);
    let tenant = Tenant { overrides, ..Tenant::default() };
    let engine = Engine::load(&Sources {
        dir: Some(dir.path().to_owned()),
        tenants: BTreeMap::from([("acme".to_owned(), tenant)]),
        ..Sources::default()
    })
    .unwrap();
    let subject = |tenant| {
        let delivery = event(tenant, "kyc.session.created", &json!({ "session_id": "s" }));
        one(&engine, &delivery, Part::Subject).unwrap()
    };
    assert_eq!(subject("other"), "F from the folder");
    assert_eq!(subject("acme"), "T from the folder");
    let text = |kind| {
        let delivery = event("acme", kind, &json!({ "session_id": "s" }));
        one(&engine, &delivery, Part::Text).unwrap()
    };
    assert_eq!(text("kyc.session.created"), "The folder's text\n");
    assert!(text("kyc.session.approved").ends_with("The tenant's footer\n"));
}

#[test]
fn a_folder_covers_the_built_in_and_a_tenant_covers_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(SUBJECT);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "From the folder").unwrap();
    std::fs::write(dir.path().join("README.md"), "not a template").unwrap();
    let overrides = BTreeMap::from([(SUBJECT.to_owned(), "The tenant's".to_owned())]);
    let tenant = Tenant { overrides, ..Tenant::default() };
    let sources = Sources {
        dir: Some(dir.path().to_owned()),
        tenants: BTreeMap::from([("acme".to_owned(), tenant)]),
        ..Sources::default()
    };
    let engine = Engine::load(&sources).unwrap();
    let data = json!({ "session_id": "s" });
    let subject =
        |tenant| one(&engine, &event(tenant, "kyc.session.created", &data), Part::Subject).unwrap();
    assert_eq!(subject("other"), "From the folder");
    assert_eq!(subject("acme"), "The tenant's");

    std::fs::write(dir.path().join("email/oops.hbs"), "x").unwrap();
    let errors = Engine::with_dir(dir.path()).unwrap_err();
    assert_eq!(errors[0].template, "email/oops.hbs");
    assert!(Engine::with_dir(&dir.path().join("nope")).is_err());
}

#[test]
fn a_missing_field_names_template_line_and_field_when_sending() {
    let delivery = event("acme", "kyc.session.created", &json!({ "status": "CREATED" }));
    for (part, template) in [
        (Part::Subject, "email/kyc.session.created/subject"),
        (Part::Html, "email/partials/session.mjml.hbs"),
        (Part::Slack, "slack/kyc.session.created"),
    ] {
        let error = one(&ENGINE, &delivery, part).unwrap_err();
        assert_eq!(error.field.as_deref(), Some("data.session_id"), "{error}");
        assert!(error.message.contains("is missing in the event"), "{error}");
        assert!(error.line.is_some(), "{error}");
        // The preview in the head of the HTML is where it is first needed.
        assert!(error.template == template || part == Part::Html, "{error}");
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
fn a_missing_field_in_a_condition_a_helper_or_a_comparison_is_no_less_an_error() {
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
    let page = |inner: &str| {
        format!(
            "<mjml>\n<mj-body>\n<mj-section><mj-column>\n{inner}\n</mj-column></mj-section>\n</mj-body>\n</mjml>\n"
        )
    };
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
fn attributes_are_escaped_and_keep_their_place() {
    let body = "<mjml><mj-body><mj-section><mj-column><mj-text><a title=\"{{data.status}}\" \
                href=\"https://x.example/?a=1&amp;s={{data.status}}\">x</a></mj-text>\
                </mj-column></mj-section></mj-body></mjml>";
    let engine = with(&[(BODY, body)]).unwrap();
    let delivery = event("acme", "kyc.session.created", &json!({ "status": "\"><b>&" }));
    let html = one(&engine, &delivery, Part::Html).unwrap();
    assert!(html.contains("title=\"&quot;&gt;&lt;b&gt;&amp;\""), "{html}");
    assert!(html.contains("?a=1&amp;s=&quot;&gt;&lt;b&gt;&amp;\""), "{html}");
}

#[test]
fn unescaped_output_and_broken_syntax_are_refused() {
    assert_eq!(refused(SUBJECT, "a\n{{{data.status}}}").line, Some(2));
    assert_eq!(refused(SUBJECT, "a\nb {{&data.status}}").line, Some(2));
    assert_eq!(refused(SUBJECT, "a\n\n{{#if x}}").line.map(|line| line >= 3), Some(true));
    assert_eq!(refused(SUBJECT, "a\n{{> nowhere}}").line, Some(2));
    assert_eq!(refused(SUBJECT, "a\n{{nohelper data.status}}").line, Some(2));
    assert!(refused(SUBJECT, "  \n").message.contains("empty"));
    assert!(refused("email/x/y.hbs", "x").message.contains("path"));
}

#[test]
fn a_slack_template_that_is_not_json_is_refused_with_its_line() {
    let error =
        refused(SLACK, "{\n  \"text\": \"x\",\n  \"blocks\": [ { \"type\" \"divider\" } ]\n}\n");
    assert_eq!(error.line, Some(3), "{error}");
    assert!(error.message.contains("not JSON"), "{error}");
    assert!(refused(SLACK, "{ \"blocks\": [{ \"type\": \"divider\" }] }").message.contains("text"));
}

#[test]
fn all_faults_of_all_tenants_are_told_at_once() {
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
