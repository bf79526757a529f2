//! Templates of tenants and of the server's folder replace the built-in ones.

use super::*;

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
fn a_tenants_default_does_not_replace_a_built_in_template() {
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
fn a_tenants_partial_changes_the_folders_templates_that_use_it() {
    let dir = tempfile::tempdir().unwrap();
    let write = |path: &str, source: &str| {
        let file = dir.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, source).unwrap();
    };
    write(SUBJECT, "{{> sign}} from the folder");
    write("email/partials/sign.txt.hbs", "F\n");
    // The built-in text uses the partial `footer`. This one does not, so it stays the same.
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
fn a_folder_replaces_built_in_templates_and_a_tenant_replaces_both() {
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
fn values_in_attributes_are_escaped() {
    let body = "<mjml><mj-body><mj-section><mj-column><mj-text><a title=\"{{data.status}}\" \
                href=\"https://x.example/?a=1&amp;s={{data.status}}\">x</a></mj-text>\
                </mj-column></mj-section></mj-body></mjml>";
    let engine = with(&[(BODY, body)]).unwrap();
    let delivery = event("acme", "kyc.session.created", &json!({ "status": "\"><b>&" }));
    let html = one(&engine, &delivery, Part::Html).unwrap();
    assert!(html.contains("title=\"&quot;&gt;&lt;b&gt;&amp;\""), "{html}");
    assert!(html.contains("?a=1&amp;s=&quot;&gt;&lt;b&gt;&amp;\""), "{html}");
}
