//! What comes out, as text: a reader of `cargo expand` sees this.

/// Compares without regard to spaces; `SITE` stands for the block of the static.
#[track_caller]
fn assert_expands(args: &str, item: &str, expected: &str) {
    let compact = |text: &str| text.split_whitespace().collect::<String>();
    let name = item.split("fn ").nth(1).and_then(|rest| rest.split(['(', '<']).next()).expect("a function");
    let site = format!(
        "{{
            use ::traced_runtime::__private as __traced;
            static __SITE: __traced::Callsite = __traced::Callsite::new({name:?}, || ());
            &__SITE
        }}"
    );
    let judge = "
        {
            use ::traced_runtime::__private::Judge as _;
            (&&&&&&::traced_runtime::__private::Probe(__out)).__traced_judge(__outcome);
        }";
    let expected = expected.replace("private::", "::traced_runtime::__private::");
    let expected = expected.replace("SITE", &site).replace("JUDGE", judge);
    let args = args.parse().expect("tokens");
    let expanded = crate::attribute(args, item.parse().expect("tokens"));
    assert_eq!(compact(&expanded.to_string()), compact(&expected), "{expanded}");
}

#[test]
fn a_function_gets_one_statement() {
    assert_expands(
        "",
        "/// Loads.\n pub fn load(id: u64) -> User { #![allow(unused)] body }",
        "#[doc = \"Loads.\"] pub fn load(id: u64) -> User {
            #![allow(unused)]
            let __span = private::enter(SITE);
            body
        }",
    );
}

#[test]
fn tags_are_one_more() {
    assert_expands(
        r#"tags(id, "user.name" = %name, all = ?(id, name))"#,
        "fn load(id: u64, name: &str) { }",
        r#"fn load(id: u64, name: &str) {
            let __span = private::enter(SITE);
            if let ::core::option::Option::Some(__tags) = private::Enter::tags(&__span) {
                __tags.value("id", &(id));
                __tags.display("user.name", &(name));
                __tags.debug("all", &((id, name)));
            }
        }"#,
    );
}

#[test]
fn a_result_is_looked_at() {
    assert_expands(
        "",
        "fn load(self, mut id: Id, (a, _): P, _x: X) -> io::Result<impl Iterator<Item = u8>> { body }",
        "fn load(self, id: Id, a: P, _x: X) -> io::Result<impl Iterator<Item = u8>> {
            let __span = private::enter(SITE);
            let __out = private::call(move || -> io::Result<_> {
                let _ = &self;
                let mut id = id;
                let __held = a;
                let (a, _) = __held;
                let (_x,) = (_x,);
                { ; body }
            });
            if let ::core::option::Option::Some(__outcome) = private::Enter::outcome(&__span) {
                let __out = &__out;
                JUDGE
            }
            return __out;
        }",
    );
}

#[test]
fn async_becomes_impl_future() {
    assert_expands(
        "",
        "async fn load(&self, id: u64) -> User { body }",
        "fn load(&self, id: u64) -> impl ::core::future::Future<Output = User> {
            return private::in_span(SITE, async move {
                let _ = &self;
                let id = id;
                if false { return private::never::<User>(); }
                { ; body }
            }, |__out, __outcome| { JUDGE });
        }",
    );
}

#[test]
fn async_stays_for_attributes_below() {
    assert_expands(
        "err(skip)",
        "#[tokio::main] async fn load() { body }",
        "#[tokio::main] async fn load() {
            return private::in_span(SITE, async move {
                if false { return private::never::<()>(); }
                { ; body }
            }, |_, _| {}).await;
        }",
    );
}

#[test]
fn a_returned_future_is_wrapped_whatever_the_body_looks_like() {
    assert_expands(
        "err(type)",
        "fn load(id: u64) -> Pin<Box<dyn Future<Output = User> + Send>> { before(); Box::pin(async move { id }) }",
        "fn load(id: u64) -> Pin<Box<dyn Future<Output = User> + Send>> {
            return private::boxed(
                private::in_span(SITE, private::call(move || -> Pin<Box<dyn Future<Output = User> + Send>> {
                    let id = id;
                    { ; before(); Box::pin(async move { id }) }
                }), |__out, __outcome| { private::error_type(__out, __outcome); })
            );
        }",
    );
}

#[test]
fn a_body_that_is_not_finished_still_expands() {
    assert_expands(
        "",
        "fn load(id: u64) { let x = id.; match }",
        "fn load(id: u64) { let __span = private::enter(SITE); let x = id.; match }",
    );
}

#[test]
fn an_error_stands_beside_the_untouched_item() {
    let expanded = crate::attribute("nope".parse().expect("tokens"), "fn f() { body }".parse().expect("tokens"));
    let text = expanded.to_string();
    assert!(text.contains("compile_error"), "{text}");
    assert!(text.ends_with("fn f () { body }"), "{text}");
}
