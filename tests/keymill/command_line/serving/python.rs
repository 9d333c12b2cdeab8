//! Refusals as Python's http.client sees them, which sends head and body apart and reads the answer when all is sent.

use std::process::Command;

use super::client::{Service, fresh_key, message, request};
use crate::command_line::fixtures::TINY;
use crate::command_line::program::Place;
use crate::skip::skip;

/// Asks for everything on one connection, which is opened again where the service has closed it, and prints a line each.
const SCRIPT: &str = r#"
import http.client, json, socket, sys

class Keymill(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect("socket")

sign, body = sys.argv[1], sys.argv[2]
token = {"Authorization": "bearer 0123456789abcdef-token"}
origin = {"Origin": "https://page.example"}
large, larger, huge = b" " * 200_000, b" " * 3_000_000, b" " * 6_000_000
connection = Keymill("keymill")
for method, path, content, headers in [
    ("POST", sign, body, {}),
    ("POST", sign, large, {}),
    ("POST", sign, larger, {}),
    ("POST", sign, body, token | origin),
    ("POST", sign, large, token | origin),
    ("POST", "/nowhere", body, token),
    ("POST", "/nowhere", larger, token),
    ("POST", "/upcheck", large, token),
    ("GET", "/upcheck", large, token),
    ("POST", sign, large, token),
    ("POST", sign, larger, token),
    ("POST", "/api/v1/lean/sign", huge, token),
    ("POST", sign + "00", body, token),
    ("POST", sign, (large[:1000] for _ in range(200)), token),
    ("POST", sign, body, token),
]:
    connection.request(method, path, content, headers)
    answer = connection.getresponse()
    text = answer.read()
    word = json.loads(text).get("reason", "") if text != b"OK" else ""
    print(answer.status, word, answer.getheader("WWW-Authenticate", ""))
"#;

#[test]
fn a_client_that_sends_head_and_body_apart_gets_the_answer_of_whatever_is_refused() {
    if Command::new("python3").arg("--version").output().is_err() {
        return skip("there is no python3 here");
    }
    let place = Place::new();
    let public_key = fresh_key(&place, "key", TINY, "256");
    place.file("token", "0123456789abcdef-token\n");
    let _service = Service::start(&place, "key --token-file token");
    let mut script = Command::new("python3");
    script
        .args(["-c", SCRIPT, &format!("/api/v1/lean/sign/0x{public_key}")])
        .arg(request(1, &message(1)).to_string())
        .current_dir(place.path(""));
    let output = script.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let answers = String::from_utf8_lossy(&output.stdout).into_owned();
    let answers: Vec<_> = answers.lines().map(str::trim).collect();
    assert_eq!(
        answers,
        [
            "401 unauthorized Bearer",
            "401 unauthorized Bearer",
            "401 unauthorized Bearer",
            "403 browser",
            "403 browser",
            "404 unknown_path",
            "404 unknown_path",
            "405 method",
            "200",
            "413 too_large",
            "413 too_large",
            "413 too_large",
            "404 unknown_key",
            "413 too_large",
            "200",
        ],
        "{said}"
    );
}
