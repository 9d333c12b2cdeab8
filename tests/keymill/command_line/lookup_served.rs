//! `tools/lookup.py --url`, beside real web servers: nginx, and one that does not know ranges.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::fixtures::{LONG, finished_key, flip_byte};
use super::lookup::{has_python, look_up};
use super::program::{PATIENCE, Place};
use crate::skip::skip;

const LEANVM: &str = "leanvm-blake2s-l32-ts-v42-w8";

/// A server that is ended with the test.
pub struct Server {
    child: Child,
    pub port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        // nginx has a process of its own for the work, which ends when it is asked to, and not when this one is killed.
        let asked = Command::new("kill").arg(self.child.id().to_string()).status();
        if !asked.is_ok_and(|status| status.success()) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

fn wait_until_it_listens(port: u16) {
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begun.elapsed() < PATIENCE, "nothing listens at port {port}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A port that was free just now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The lines of nginx that docs/FORMAT.md shows, with this port and this directory.
fn documented_lines(port: u16, root: &Path) -> String {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/FORMAT.md")).unwrap();
    let lines = page.split("```nginx\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(
        lines.contains("listen 80;") && lines.contains("root /srv/keys;"),
        "{lines}"
    );
    lines
        .replace("listen 80;", &format!("listen 127.0.0.1:{port};"))
        .replace("root /srv/keys;", &format!("root {};", root.display()))
}

/// nginx with the keys of a place, as the documents say that it serves them; none where it is not installed.
pub fn nginx(place: &Place) -> Option<Server> {
    let program = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"];
    let Some(program) = program.into_iter().find(|path| Path::new(path).exists()) else {
        skip("there is no nginx");
        return None;
    };
    let port = free_port();
    let own = place.path("nginx");
    fs::create_dir_all(&own).unwrap();
    let folders: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {}/{name};\n", own.display()))
        .concat();
    let user = if rustix::process::geteuid().is_root() {
        "user root;\n"
    } else {
        ""
    };
    let lines = documented_lines(port, &place.path("."));
    let text = format!(
        "{user}daemon off;\nworker_processes 1;\npid {0}/pid;\nevents {{}}\nhttp {{\naccess_log {0}/access.log;\n{folders}{lines}}}\n",
        own.display()
    );
    place.file("nginx/nginx.conf", text);
    let mut command = Command::new(program);
    command
        .arg("-e")
        .arg(own.join("error.log"))
        .arg("-c")
        .arg(own.join("nginx.conf"));
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until_it_listens(port);
    Some(Server { child, port })
}

#[test]
fn lookup_reads_from_nginx_what_it_reads_from_the_directory_and_little_more() {
    if !has_python() {
        return;
    }
    let place = Place::new();
    let public_key = place.run(&format!(
        "keygen of-leanvm --scheme {LEANVM} --epochs 9000 --activation-epoch 4999"
    ));
    let public_key = public_key.exits(0).line();
    place
        .run(&format!(
            "keygen of-leansig --scheme {LONG} --epochs 1000 --activation-epoch 5000"
        ))
        .exits(0);
    let Some(server) = nginx(&place) else {
        return;
    };
    for (key, epochs, said) in [
        (
            "of-leanvm",
            "4999 --count 3",
            "verified: each of these paths leads to the root",
        ),
        ("of-leanvm", "13998", "verified: each"),
        (
            "of-leansig",
            "5119 --count 2",
            "not verified: lookup.py computes no Poseidon hash",
        ),
    ] {
        for form in ["", " --json"] {
            let local = look_up(&place, &format!("{key} --epoch {epochs}{form}")).exits(0);
            let line = format!("--url http://127.0.0.1:{}/{key}/ --epoch {epochs}{form}", server.port);
            let served = look_up(&place, &line).exits(0).says(&[said]);
            assert_eq!(served.text(), local.text(), "{line}");
        }
    }
    let url = format!("--url http://127.0.0.1:{}", server.port);
    look_up(&place, &format!("{url}/of-leanvm --check"))
        .exits(0)
        .says(&["no damage found"]);
    look_up(
        &place,
        &format!("{url}/of-leanvm --epoch 5000 --public-key 0x{public_key}"),
    )
    .exits(0)
    .says(&["leads to the root of the public key that was given"]);
    look_up(
        &place,
        &format!("{url}/of-leansig --epoch 5000 --public-key {public_key}"),
    )
    .exits(3)
    .prints_nothing()
    .says(&["manifest.toml, offset", "not the one that was asked for"]);
    look_up(&place, &format!("{url}/of-leanvm --epoch 1"))
        .exits(2)
        .says(&["the key stores the epochs [4999, 13999)"]);
    look_up(&place, &format!("{url}/nothing --epoch 1"))
        .exits(3)
        .says(&["nothing/manifest.toml", "404"]);
    // A path is some bytes of each level, not the level.
    let log = fs::read_to_string(place.path("nginx/access.log")).unwrap();
    let long = log
        .lines()
        .filter(|line| line.contains("00.nodes") && line.contains("\" 206 "));
    assert!(long.clone().count() >= 8, "{log}");
    // Nothing else of a key is given out.
    for file in [
        "secret",
        "ledger.mark",
        "LOCK",
        "history.jsonl",
        "state/CURRENT",
        "layers/",
        "layers/00.nodes/..%2f..%2fsecret",
    ] {
        let mut connection = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        write!(connection, "GET /of-leanvm/{file} HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        BufReader::new(connection).read_line(&mut answer).unwrap();
        assert!(answer.contains(" 404 "), "{file}: {answer}");
    }
}

#[test]
fn lookup_finds_what_a_server_serves_wrong() {
    if !has_python() {
        return;
    }
    let place = Place::new();
    place
        .run(&format!("keygen key --scheme {LEANVM} --epochs 5000"))
        .exits(0);
    let Some(server) = nginx(&place) else {
        return;
    };
    let line = format!("--url http://127.0.0.1:{}/key --epoch 4000", server.port);
    for (file, offset, said) in [
        (
            "00.nodes",
            4096 + 4000 * 16,
            "00.nodes, offset 68096: the path of epoch 4000 does not lead to the root",
        ),
        (
            "07.nodes",
            4096 + 16 * (4000 >> 7 ^ 1),
            "the path of epoch 4000 does not lead to the root",
        ),
        (
            "07.nodes",
            20,
            "07.nodes, offset 16: key id is not what the manifest demands",
        ),
    ] {
        let path = place.path("key/layers").join(file);
        let sound = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, &sound).unwrap();
        flip_byte(&path, offset);
        look_up(&place, &line)
            .exits(3)
            .prints_nothing()
            .says(&["http://127.0.0.1", said]);
        fs::write(&path, &sound[..sound.len() - 1]).unwrap();
        look_up(&place, &line).exits(3).says(&[file, "and should have"]);
        fs::write(&path, sound).unwrap();
    }
    look_up(&place, &line).exits(0);
    fs::remove_file(place.path("key/layers/31.nodes")).unwrap();
    look_up(&place, &line)
        .exits(3)
        .says(&["key/layers/31.nodes: the server has no such file"]);
}

#[test]
fn lookup_refuses_a_server_that_would_send_whole_files() {
    if !has_python() {
        return;
    }
    let place = Place::new();
    place
        .run(&format!("keygen key --scheme {LEANVM} --epochs 5000"))
        .exits(0);
    // A key whose files are short is taken as it comes.
    finished_key_beside(&place);
    let mut command = Command::new("python3");
    command
        .args(["-I", "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"])
        .current_dir(place.path("."));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    let port = line
        .split("port ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let server = Server { child, port };
    look_up(&place, &format!("--url http://127.0.0.1:{}/key --epoch 1", server.port))
        .exits(4)
        .prints_nothing()
        .says(&["00.nodes: the server ignores ranges", "sends all 84096 bytes"]);
    let local = look_up(&place, "small/key --epoch 77").exits(0);
    let served = look_up(
        &place,
        &format!("--url http://127.0.0.1:{}/small/key --epoch 77", server.port),
    )
    .exits(0);
    assert_eq!(served.text(), local.text());
}

/// The key of 256 epochs in `small/key`.
fn finished_key_beside(place: &Place) {
    let other = Place::new();
    finished_key(&other, super::fixtures::TINY);
    fs::create_dir(place.path("small")).unwrap();
    super::fixtures::copy(&other.path("key"), &place.path("small/key"));
}

/// Answers every request with these bytes, until the test ends.
fn answers(answer: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut request = [0; 4096];
            let _ = connection.read(&mut request);
            let _ = connection.write_all(answer.as_bytes());
            if answer.is_empty() {
                // It stays open, and nothing comes.
                std::mem::forget(connection);
            }
        }
    });
    port
}

#[test]
fn lookup_answers_hostile_servers_and_addresses_in_words() {
    if !has_python() {
        return;
    }
    let place = Place::new();
    for (answer, code, said) in [
        (
            "HTTP/1.1 500 no\r\nContent-Length: 0\r\n\r\n",
            4,
            "the server answers 500",
        ),
        (
            "HTTP/1.1 403 no\r\nContent-Length: 0\r\n\r\n",
            4,
            "the server answers 403",
        ),
        (
            "HTTP/1.1 301 x\r\nLocation: https://elsewhere/\r\n\r\n",
            4,
            "it is elsewhere: 'https://elsewhere/'",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", 4, "compressed"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
            3,
            "offset 3: what is sent ends here",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\nabc",
            3,
            "manifest.toml, offset 0: what is sent",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabc",
            3,
            "manifest.toml, offset",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            4,
            "does not answer as HTTP has it",
        ),
        ("SSH-2.0-x\r\n", 4, "does not answer as HTTP has it"),
        ("", 4, "no answer within 1 seconds"),
    ] {
        let port = answers(answer);
        look_up(
            &place,
            &format!("--url http://127.0.0.1:{port}/key --epoch 1 --timeout 1"),
        )
        .exits(code)
        .prints_nothing()
        .says(&[&format!("http://127.0.0.1:{port}/key/manifest.toml"), said]);
    }
    let nobody = free_port();
    look_up(&place, &format!("--url http://127.0.0.1:{nobody}/key --epoch 1"))
        .exits(4)
        .says(&["refused"]);
    look_up(
        &place,
        &format!("--url https://127.0.0.1:{}/key --epoch 1", answers("no TLS")),
    )
    .exits(4);
    for url in [
        "key",
        "ftp://a/b",
        "http://",
        "http://a:b/c",
        "http://a:99999/c",
        "http://me:word@a/b",
        "http://a/b#c",
        "http://a/\u{e9}",
    ] {
        look_up(&place, &format!("--url {url} --epoch 1"))
            .exits(2)
            .prints_nothing();
    }
    look_up(&place, "key --url http://a/b --epoch 1").exits(2);
    look_up(&place, "--url http://a/b --epoch 1 --timeout 0").exits(2);
}
