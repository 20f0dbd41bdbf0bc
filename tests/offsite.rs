//! Copies on real S3 servers: what goes there comes back, and whatever goes wrong on the way loses nothing.
#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;

use support::Sandbox;
use support::s3::{BUCKET, Fault, Kind, LOCKED, Proxy, Server, VERSIONED, Which};

#[test]
fn both_servers_start_take_an_object_and_give_it_back_through_the_proxy() {
    for which in Which::BOTH {
        let server = Server::get(which);
        let sandbox = Sandbox::new();
        let (file, back) = (sandbox.path("file"), sandbox.path("back"));
        fs::write(&file, "content").unwrap();
        for bucket in [BUCKET, VERSIONED, LOCKED] {
            server.upload(bucket, "start/file", &file);
            server.download(bucket, "start/file", &back);
            assert_eq!(fs::read(&back).unwrap(), b"content");
            assert_eq!(
                server.objects(bucket, "start/"),
                [("start/file".to_owned(), 7)]
            );
            assert_eq!(server.uploads(bucket, "start/"), Vec::<String>::new());
        }
        let proxy = Proxy::to(&server.address(), Fault::None);
        let run = support::Run::of(
            &std::process::Command::new("curl")
                .args(["-s", &format!("{}/{BUCKET}/start/file", proxy.endpoint())])
                .output()
                .unwrap(),
        );
        assert_eq!(run.code, 0);
        assert_eq!(proxy.seen(Kind::Get), 1);
    }
}
