//! The resolver with a paused clock and name servers that answer, fail or stay silent.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Names that begin with `silent` get no answer, others get one after 10 ms.
#[derive(Default)]
struct Scripted {
    asked: AtomicUsize,
    running: AtomicUsize,
    most: AtomicUsize,
}

struct Count<'a>(&'a AtomicUsize);

impl Drop for Count<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Upstream for Scripted {
    async fn lookup(&self, name: &str) -> Found {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(running, Ordering::SeqCst);
        let _running = Count(&self.running);
        if name.starts_with("silent") {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(!name.starts_with("broken"), "as in a library");
        Found::Addresses([[192, 0, 2, 1].into()].into(), Duration::from_mins(1))
    }
}

fn scene(options: &Options) -> (Resolver, Arc<Scripted>) {
    let upstream = Arc::new(Scripted::default());
    (Resolver::over(options, Arc::clone(&upstream) as _), upstream)
}

fn tenant(name: &str) -> Asker {
    Asker::Tenant(name.into())
}

#[tokio::test(start_paused = true)]
async fn silent_name_servers_of_one_tenant_delay_no_other() {
    let (resolver, upstream) = scene(&Options::default());
    let asks: Vec<_> = (0..600)
        .map(|n| {
            let resolver = resolver.clone();
            tokio::spawn(async move {
                resolver.resolve(tenant("hostile"), &format!("silent{n}.example")).await
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(upstream.most.load(Ordering::SeqCst), 8, "the limit of a tenant");
    let began = Instant::now();
    resolver.resolve(tenant("healthy"), "hooks.example").await.unwrap();
    resolver.resolve(Asker::Operator, "mail.example").await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(50), "{:?}", began.elapsed());
    for ask in asks {
        assert_eq!(ask.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
    assert!(began.elapsed() <= Duration::from_secs(9), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn askers_of_one_name_share_one_query_and_its_answer_is_kept() {
    let (resolver, upstream) = scene(&Options::default());
    let asks = (0..100).map(|n| {
        let (resolver, asker) = (resolver.clone(), tenant(&format!("t{}", n % 3)));
        tokio::spawn(async move { resolver.resolve(asker, "Hooks.example").await })
    });
    for ask in asks.collect::<Vec<_>>() {
        assert_eq!(ask.await.unwrap().unwrap().len(), 1);
    }
    resolver.resolve(tenant("t9"), "hooks.example").await.unwrap();
    assert_eq!(upstream.asked.load(Ordering::SeqCst), 1);
    tokio::time::advance(Duration::from_secs(61)).await;
    resolver.resolve(tenant("t9"), "hooks.example").await.unwrap();
    assert_eq!(upstream.asked.load(Ordering::SeqCst), 2, "asked again after its TTL");
    assert!(resolver.inner.lock().running.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_lookup_that_its_first_asker_abandons_goes_on_for_the_others() {
    let (resolver, upstream) = scene(&Options::default());
    let one = resolver.clone();
    let first = tokio::spawn(async move { one.resolve(tenant("a"), "hooks.example").await });
    tokio::time::sleep(Duration::from_millis(1)).await;
    let second = resolver.resolve(tenant("b"), "hooks.example");
    first.abort();
    second.await.unwrap();
    assert_eq!(upstream.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_known_for_a_moment_and_then_asked_again() {
    let (resolver, upstream) = scene(&Options::default());
    let began = Instant::now();
    for _ in 0..10 {
        resolver.resolve(tenant("a"), "silent.example").await.unwrap_err();
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(upstream.asked.load(Ordering::SeqCst), 1);
    tokio::time::advance(Duration::from_secs(6)).await;
    resolver.resolve(tenant("a"), "silent.example").await.unwrap_err();
    assert_eq!(upstream.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_lookup_that_panics_blocks_neither_its_name_nor_a_place() {
    let options = Options { lookups: 1, ..Options::default() };
    let (resolver, upstream) = scene(&options);
    for _ in 0..3 {
        resolver.resolve(tenant("a"), "broken.example").await.unwrap_err();
    }
    assert_eq!(upstream.asked.load(Ordering::SeqCst), 3);
    resolver.resolve(tenant("a"), "hooks.example").await.unwrap();
}
