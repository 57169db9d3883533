//! The spans of annotated functions: names, nesting, tags, outcomes.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use traced_runtime::testing::Tracer;
use traced_runtime::traced;

/// Runs a future that is always ready.
fn now<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(out) = future.as_mut().poll(&mut context) {
            return out;
        }
    }
}

fn ignore<T>(_: T) {}

#[traced]
fn leaf() {}

mod names {
    use super::*;

    struct Cart<T>(T);

    impl<T> Cart<T> {
        #[traced]
        fn method(&self) {
            leaf();
            ignore(&self.0);
        }

        #[traced]
        async fn method_async(&self) {
            leaf();
        }

        #[traced]
        #[must_use]
        async fn wrapped(&self) -> u8 {
            1
        }

        #[traced]
        fn associated() -> Result<(), String> {
            Ok(())
        }

        #[traced]
        fn r#type() -> Pin<Box<dyn Future<Output = ()>>> {
            Box::pin(async { leaf() })
        }
    }

    trait Basket {
        #[traced]
        fn given(&self) {}
        fn needed(&self);
        async fn needed_async(&self);
    }

    impl<T> Basket for Cart<T> {
        #[traced]
        fn needed(&self) {}
        #[traced]
        async fn needed_async(&self) {}
    }

    const NAME: &str = "from a constant";

    #[traced(name = "spoken for")]
    fn literal() {}

    #[traced(name = NAME)]
    async fn constant() {}

    #[traced(name = concat!("a", ".", "b"))]
    fn composed() -> Result<(), ()> {
        Ok(())
    }

    #[test]
    fn are_those_of_type_and_function() {
        let tracer = Tracer::new();
        tracer.run(|| outer(&Cart(1)));
        tracer.assert_tree(
            "
            outer
            ├─ Cart::method
            │  └─ leaf
            ├─ Cart::method_async
            │  └─ leaf
            ├─ Cart::wrapped
            ├─ Cart::associated
            ├─ Cart::type
            │  └─ leaf
            ├─ Basket::given
            ├─ Cart::needed
            └─ Cart::needed_async
            ",
        );
    }

    #[traced]
    fn outer(cart: &Cart<i32>) {
        cart.method();
        now(cart.method_async());
        assert_eq!(now(cart.wrapped()), 1);
        assert!(Cart::<i32>::associated().is_ok());
        now(Cart::<i32>::r#type());
        cart.given();
        cart.needed();
        now(cart.needed_async());
    }

    #[traced]
    fn named() {
        literal();
        now(constant());
        assert!(composed().is_ok());
    }

    #[test]
    fn may_be_any_constant_expression() {
        let tracer = Tracer::new();
        tracer.run(named);
        let expected = ["named", "spoken for", "from a constant", "a.b"];
        let mut names = span_names(&tracer);
        names.sort_unstable();
        let mut expected = expected.map(str::to_owned);
        expected.sort_unstable();
        assert_eq!(names, expected);
    }
}

/// The names of all spans, in no order.
fn span_names(tracer: &Tracer) -> Vec<String> {
    tracer.spans().iter().map(|span| span.name().into_owned()).collect()
}

mod tags {
    use super::*;

    struct Order {
        id: u32,
        items: Vec<&'static str>,
    }

    #[traced(tags(count, "order.id" = order.id, items = ?order.items, first = %order.items[0], %note, ?note2, none))]
    fn values(count: u32, order: Order, note: &str, note2: &str, none: Option<u32>) -> Order {
        assert!(none.is_none());
        order
    }

    #[traced(tags(count, twice = count * 2))]
    fn fails(mut count: u32) -> Result<u32, String> {
        count += 1;
        Err(count.to_string())
    }

    #[traced(tags(count, text = %text))]
    async fn waits(count: u32, (text, _): (String, u32)) -> String {
        leaf();
        text
    }

    #[traced(tags(text))]
    fn returns_future(text: String) -> impl Future<Output = String> {
        async move { text }
    }

    #[traced(tags(text = text.len()))]
    fn returns_boxed(text: String) -> Pin<Box<dyn Future<Output = String> + Send>> {
        Box::pin(async move { text })
    }

    #[test]
    fn are_evaluated_before_the_body_and_moved_from_nothing() {
        let tracer = Tracer::new();
        tracer.run(|| values(3, Order { id: 7, items: vec!["a", "b"] }, "n", "m", None));
        assert!(tracer.run(|| fails(1)).is_err());
        tracer.run(|| now(waits(2, ("x".to_owned(), 0))));
        tracer.run(|| now(returns_future("y".to_owned())));
        tracer.run(|| now(returns_boxed("z".to_owned())));
        tracer.assert_tree(
            r#"
            values  count=3  order.id=7  items="[\"a\", \"b\"]"  first=a  note=n  note2="\"m\""
            fails  count=1  twice=2  error: 2
            waits  count=2  text=x
            └─ leaf
            returns_future  text=y
            returns_boxed  text=1
            "#,
        );
    }
}

mod outcomes {
    use super::*;

    type Fallible = Result<(), Failure>;

    #[derive(Debug)]
    struct Failure(Option<Box<Failure>>);

    impl fmt::Display for Failure {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(if self.0.is_some() { "outer" } else { "inner" })
        }
    }

    impl std::error::Error for Failure {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            self.0.as_deref().map(|source| source as _)
        }
    }

    struct Shown;

    impl fmt::Display for Shown {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("shown")
        }
    }

    #[derive(Debug)]
    struct Debugged;

    struct Silent;

    fn failure() -> Failure {
        Failure(Some(Box::new(Failure(None))))
    }

    #[traced]
    fn chain() -> Result<(), Failure> {
        Err(failure())
    }

    #[traced]
    async fn alias() -> Fallible {
        leaf();
        Err(failure())
    }

    #[traced(err)]
    fn asked() -> Fallible {
        Err(failure())
    }

    #[traced]
    fn dynamic() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Err(failure())?;
        Ok(())
    }

    #[traced]
    fn shown() -> Result<(), Shown> {
        Err(Shown)
    }

    #[traced]
    fn debugged() -> Result<(), Debugged> {
        Err(Debugged)
    }

    #[traced(err(Debug))]
    fn as_debug() -> Result<(), Failure> {
        Err(Failure(None))
    }

    #[traced(err(skip))]
    async fn skipped() -> Result<(), Failure> {
        Err(failure())
    }

    #[traced]
    fn generic<E: fmt::Display>(error: E) -> Result<(), E> {
        Err(error)
    }

    #[traced]
    fn boxed() -> Pin<Box<dyn Future<Output = Result<(), Failure>>>> {
        Box::pin(async { Err(failure()) })
    }

    #[traced]
    fn fine() -> Result<(), Failure> {
        Ok(())
    }

    #[traced(ret)]
    fn returned(fails: bool) -> Result<&'static str, Failure> {
        if fails { Err(Failure(None)) } else { Ok("text") }
    }

    #[traced(ret(Display))]
    async fn returned_shown() -> Shown {
        Shown
    }

    #[test]
    fn errors_are_told_as_well_as_their_type_can() {
        let tracer = Tracer::new();
        tracer.run(|| {
            ignore(chain());
            ignore(now(alias()));
            ignore(asked());
            ignore(dynamic());
            ignore(shown());
            ignore(debugged());
            ignore(as_debug());
            ignore(now(skipped()));
            ignore(generic("text"));
            ignore(now(boxed()));
            ignore(fine());
            ignore(returned(true));
            ignore(returned(false));
            now(returned_shown());
        });
        tracer.assert_tree(
            r#"
            chain  error: outer: inner
            alias  error: outer: inner
            └─ leaf
            asked  error: outer: inner
            dynamic  error: outer: inner
            shown  error: shown
            debugged  error: Debugged
            as_debug  error: Failure(None)
            skipped
            generic  error: text
            boxed  error: outer: inner
            fine
            returned  error: inner
            returned  return="\"text\""
            returned_shown  return=shown
            "#,
        );
    }

    #[traced]
    fn silent() -> Result<(), Silent> {
        Err(Silent)
    }

    #[traced(err(type))]
    async fn by_type() -> Result<(), Failure> {
        Err(failure())
    }

    #[traced]
    fn unbounded<E>(error: E) -> Result<(), E> {
        Err(error)
    }

    #[test]
    fn a_type_that_cannot_be_printed_leaves_its_name() {
        let tracer = Tracer::new();
        tracer.run(|| {
            ignore(silent());
            ignore(now(by_type()));
            ignore(unbounded(1_u8));
        });
        let module = module_path!();
        tracer.assert_tree(&format!(
            "
            silent  error: {module}::Silent
            by_type  error: {module}::Failure
            unbounded  error: u8
            "
        ));
    }
}

mod blocks {
    use super::*;

    struct Cart;

    #[traced(tags("component" = "cart"))]
    impl Cart {
        const LIMIT: u32 = 3;

        const fn constant() -> u32 {
            Self::LIMIT
        }

        fn add(&self) -> u32 {
            self.len() + Self::constant()
        }

        #[traced(tags(amount, "component" = "till"))]
        async fn pay(&self, amount: u32) {
            self.add();
        }

        #[traced(skip)]
        fn len(&self) -> u32 {
            0
        }

        #[cfg_attr(all(), traced(skip), inline)]
        fn skipped_if(&self) {}

        #[cfg_attr(any(), traced(skip))]
        fn not_skipped(&self) {}
    }

    #[traced]
    mod inner {
        pub(super) fn function() {
            nested::Type.method();
        }

        mod nested {
            pub(super) struct Type;

            impl Type {
                pub(super) fn method(&self) {
                    super::super::leaf();
                }
            }
        }
    }

    #[traced]
    trait Basket {
        fn given(&self) {
            self.needed();
        }
        fn needed(&self);
    }

    #[traced]
    impl Basket for Cart {
        fn needed(&self) {}
    }

    #[test]
    fn cover_every_function_inside() {
        let tracer = Tracer::new();
        tracer.run(|| {
            now(Cart.pay(2));
            Cart.skipped_if();
            Cart.not_skipped();
            inner::function();
            Cart.given();
        });
        tracer.assert_tree(
            "
            Cart::pay  amount=2  component=till
            └─ Cart::add  component=cart
            Cart::not_skipped  component=cart
            function
            └─ Type::method
               └─ leaf
            Basket::given
            └─ Cart::needed
            ",
        );
    }
}

mod inheritance {
    use traced_runtime::Kind;

    use super::*;

    #[traced(kind = client, remote = "db", tags("a" = "block", "b" = "block"), err(type), require_parent, ret)]
    mod outer {
        pub(super) fn all() -> u8 {
            1
        }

        #[super::traced(kind = server, tags("b" = "own"), root, err(skip))]
        pub(super) fn own() -> Result<u8, String> {
            Err("text".to_owned())
        }

        #[cfg_attr(all(), super::traced(name = "conditional", remote = "cache"))]
        pub(super) async fn named() -> Result<u8, String> {
            Err("text".to_owned())
        }

        pub(super) mod inner {
            pub(in super::super) struct Type;

            #[traced_runtime::traced(tags("c" = "impl", "a" = "impl"))]
            impl Type {
                pub(in super::super) fn method(&self) {}

                #[cfg_attr(any(), inline)]
                #[cfg_attr(all(), traced(skip))]
                pub(in super::super) fn skipped(&self) {}
            }

            #[cfg_attr(all(), traced(skip))]
            impl Type {
                pub(in super::super) fn skipped_too(&self) {}
            }
        }
    }

    #[traced]
    fn calls() {
        ignore(outer::all());
        ignore(outer::own());
        ignore(now(outer::named()));
        outer::inner::Type.method();
        outer::inner::Type.skipped();
        outer::inner::Type.skipped_too();
    }

    #[test]
    fn goes_from_block_to_block_to_function() {
        let tracer = Tracer::new();
        tracer.run(|| {
            outer::all();
            calls();
        });
        let spans = tracer.spans();
        let span = |name: &str| spans.iter().find(|span| span.name() == name).expect("it was called");
        let mut names = span_names(&tracer);
        names.sort_unstable();
        assert_eq!(names, ["Type::method", "all", "calls", "conditional", "own"]);
        let tags = |name: &str| -> Vec<String> {
            let mut tags: Vec<_> = span(name).tags().map(|(key, value)| format!("{key}={value}")).collect();
            tags.sort_unstable();
            tags
        };
        assert_eq!(tags("all"), ["a=block", "b=block", "return=1"]);
        assert_eq!(tags("own"), ["a=block", "b=own"]);
        assert_eq!(tags("Type::method"), ["a=impl", "b=block", "c=impl"]);
        assert_eq!(span("own").kind(), Some(Kind::Server));
        assert_eq!(span("conditional").kind(), Some(Kind::Client));
        assert_ne!(span("own").trace_id(), span("calls").trace_id());
    }
}

mod async_trait_blocks {
    use super::*;

    #[async_trait::async_trait]
    trait Store {
        #[traced]
        async fn given(&self, key: &str) -> usize {
            self.load(key).await.unwrap_or_default()
        }
        async fn load(&self, key: &str) -> Result<usize, String>;
    }

    struct Inside;
    struct Above;
    struct Below;

    #[async_trait::async_trait]
    impl Store for Inside {
        #[traced(tags(key))]
        async fn load(&self, key: &str) -> Result<usize, String> {
            leaf();
            Err(key.to_owned())
        }
    }

    #[traced(tags("of" = "block"))]
    #[async_trait::async_trait]
    impl Store for Above {
        async fn load(&self, key: &str) -> Result<usize, String> {
            leaf();
            Err(key.to_owned())
        }
    }

    #[async_trait::async_trait]
    #[traced(tags("of" = "block"))]
    impl Store for Below {
        async fn load(&self, key: &str) -> Result<usize, String> {
            leaf();
            Err(key.to_owned())
        }
    }

    #[test]
    fn work_from_either_side() {
        let tracer = Tracer::new();
        tracer.run(|| {
            now(Inside.given("a"));
            now(Above.given("b"));
            now(Below.given("c"));
        });
        tracer.assert_tree(
            "
            Store::given
            └─ Inside::load  key=a  error: a
               └─ leaf
            Store::given
            └─ Above::load  of=block  error: b
               └─ leaf
            Store::given
            └─ Below::load  of=block  error: c
               └─ leaf
            ",
        );
    }
}

mod endings {
    use std::panic::catch_unwind;

    use super::*;

    #[traced]
    fn panics() {
        leaf();
        std::panic::resume_unwind(Box::new(()));
    }

    #[traced]
    fn panics_in_closure() -> Result<(), String> {
        panics();
        Ok(())
    }

    #[traced]
    async fn panics_async() {
        panics();
    }

    #[traced]
    async fn cancelled() {
        leaf();
        std::future::pending::<()>().await;
    }

    #[test]
    fn panics_and_cancellation_are_told() {
        let tracer = Tracer::new();
        tracer.run(|| {
            ignore(catch_unwind(panics_in_closure));
            ignore(catch_unwind(|| now(panics_async())));
            let mut future = Box::pin(cancelled());
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(future.as_mut().poll(&mut context).is_pending());
        });
        tracer.assert_tree(
            "
            panics_in_closure  panicked
            └─ panics  panicked
               └─ leaf
            panics_async  panicked
            └─ panics  panicked
               └─ leaf
            cancelled  cancelled
            └─ leaf
            ",
        );
    }

    #[test]
    fn a_future_that_is_never_polled_is_no_span() {
        let tracer = Tracer::new();
        tracer.run(|| drop(cancelled()));
        tracer.assert_tree("");
    }
}

mod laziness {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        static EVALUATED: Cell<u32> = const { Cell::new(0) };
    }

    fn evaluate() -> u32 {
        EVALUATED.set(EVALUATED.get() + 1);
        EVALUATED.get()
    }

    #[traced(tags(count = evaluate()))]
    fn statement() {}

    #[traced(tags(count = evaluate()))]
    fn closure() -> Result<(), String> {
        Ok(())
    }

    #[traced(tags(count = evaluate()))]
    async fn asynchronous() {}

    #[traced(tags(count = evaluate()))]
    fn future() -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(async {})
    }

    fn all() {
        statement();
        assert!(closure().is_ok());
        now(asynchronous());
        now(future());
    }

    #[test]
    fn tags_are_evaluated_once_if_the_span_records_and_else_not_at_all() {
        all();
        assert_eq!(EVALUATED.get(), 0, "nothing records here");
        let tracer = Tracer::new();
        tracer.run(all);
        assert_eq!(EVALUATED.get(), 4);
    }
}

mod places {
    use traced_runtime::Context;

    use super::*;

    #[traced(root)]
    fn root() {
        leaf();
    }

    #[traced(root)]
    async fn root_async() -> Result<(), String> {
        leaf();
        Ok(())
    }

    #[traced(root)]
    fn root_result() -> Result<(), String> {
        leaf();
        Ok(())
    }

    #[traced]
    fn outer() {
        root();
        assert!(now(root_async()).is_ok());
        assert!(root_result().is_ok());
        leaf();
    }

    #[test]
    fn roots_start_traces_of_their_own() {
        let tracer = Tracer::new();
        tracer.run(outer);
        let spans = tracer.spans();
        let trace_of = |name: &str| spans.iter().find(|span| span.name() == name).map(|span| span.trace_id());
        assert_eq!(spans.len(), 8);
        assert_ne!(trace_of("outer"), trace_of("root"));
        assert_ne!(trace_of("outer"), trace_of("root_async"));
        assert_ne!(trace_of("root"), trace_of("root_async"));
        assert_ne!(trace_of("root"), trace_of("root_result"));
    }

    #[traced(require_parent)]
    fn only_inside() {}

    #[traced(require_parent)]
    async fn only_inside_async() {}

    #[traced]
    fn around() {
        only_inside();
        now(only_inside_async());
    }

    #[test]
    fn some_functions_never_start_a_trace() {
        let tracer = Tracer::new();
        tracer.run(|| {
            only_inside();
            now(only_inside_async());
            around();
        });
        tracer.assert_tree(
            "
            around
            ├─ only_inside
            └─ only_inside_async
            ",
        );
    }

    #[traced(parent = context)]
    fn below(context: &Context) {
        leaf();
        ignore(context);
    }

    #[traced(parent = context)]
    async fn below_async((context, _): (Context, u8)) -> Context {
        leaf();
        context
    }

    #[traced(parent = context)]
    fn below_future(context: Option<Context>) -> impl Future<Output = Option<Context>> {
        async { context }
    }

    #[traced]
    fn gives() -> Context {
        Context::current()
    }

    #[traced]
    fn elsewhere(context: &Context) {
        below(context);
        now(below_async((context.clone(), 1)));
        now(below_future(Some(context.clone())));
    }

    #[test]
    fn a_parent_may_be_named() {
        let tracer = Tracer::new();
        tracer.run(|| elsewhere(&gives()));
        tracer.assert_tree(
            "
            gives
            ├─ below
            │  └─ leaf
            ├─ below_async
            │  └─ leaf
            └─ below_future
            elsewhere
            ",
        );
    }
}

mod location {
    use super::*;

    #[rustfmt::skip]
    #[traced(tags(
        several = "lines",
    ))]
    /// Documented.
    extern "C"
    fn described() -> u32 { line!() }

    #[test]
    fn is_the_line_of_the_function_s_name() {
        let tracer = Tracer::new();
        let line = tracer.run(|| described());
        let spans = tracer.spans();
        assert_eq!(spans[0].line(), Some(line));
        assert_eq!(spans[0].file(), Some(file!()));
    }

    #[traced(kind = client, remote = "mysql")]
    async fn query() {}

    #[test]
    fn kind_and_remote_are_those_of_the_attribute() {
        let tracer = Tracer::new();
        tracer.run(|| now(query()));
        let spans = tracer.spans();
        assert_eq!(spans[0].kind(), Some(traced_runtime::Kind::Client));
        let remote = spans[0].remote_endpoint();
        assert_eq!(remote.and_then(|remote| remote.service_name().map(str::to_owned)).as_deref(), Some("mysql"));
    }
}
