use crate::client::Running;

#[tokio::test(flavor = "multi_thread")]
async fn the_page_comes_whole_and_may_ask_this_server_alone() {
    let running = Running::start(&[]).await;
    for (path, media_type) in [
        ("/", "text/html"),
        ("/page.css", "text/css"),
        ("/page.js", "text/javascript"),
    ] {
        let answer = running.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(
            answer
                .head
                .contains(&format!("content-type: {media_type}; charset=utf-8")),
            "{}",
            answer.head
        );
        assert!(
            answer
                .head
                .contains("content-security-policy: default-src 'self'"),
            "{}",
            answer.head
        );
        // Nothing is loaded from elsewhere, and nothing from the broker becomes markup.
        let body = answer.body.replace("http://www.w3.org/2000/svg", "");
        for forbidden in [
            "http:",
            "https:",
            "//cdn",
            "innerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
        ] {
            assert!(!body.contains(forbidden), "{path} has {forbidden}");
        }
    }
    running.stop().await;
}
