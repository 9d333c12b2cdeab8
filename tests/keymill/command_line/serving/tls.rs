//! TLS with certificates of clients, with curl and openssl.

use std::process::Command;

use super::client::{fresh_key, message, request};
use crate::command_line::fixtures::TINY;
use crate::command_line::program::{PATIENCE, Place};
use crate::skip::skip;

fn openssl(place: &Place, line: &str) -> bool {
    let mut command = Command::new("openssl");
    command.args(line.split_whitespace()).current_dir(place.path(""));
    command.output().is_ok_and(|output| output.status.success())
}

/// An authority `NAME-ca.pem`, and a certificate `NAME.pem` of it with the key `NAME.key`, valid for so many days from now.
fn certificate(place: &Place, name: &str, days: &str) -> bool {
    place.file("extensions", "subjectAltName=IP:127.0.0.1\n");
    let new_key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc";
    let authority = format!("req -x509 {new_key} -keyout {name}-ca.key -out {name}-ca.pem -days 2 -subj /CN={name}-ca");
    let request = format!("req {new_key} -keyout {name}.key -out {name}.csr -subj /CN={name}");
    let signed = format!(
        "x509 -req -in {name}.csr -CA {name}-ca.pem -CAkey {name}-ca.key -CAcreateserial -days {days} -extfile extensions -out \
         {name}.pem"
    );
    [authority, request, signed].iter().all(|line| openssl(place, line))
}

/// The status that curl is answered with, or its exit code if there is no answer.
fn curl(place: &Place, address: &str, flags: &str, public_key: &str) -> Result<String, Option<i32>> {
    let mut command = Command::new("curl");
    command
        .args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "10"])
        .args(flags.split_whitespace())
        .args(["-d", &request(1, &message(1)).to_string()])
        .arg(format!("{address}/api/v1/lean/sign/0x{public_key}"))
        .current_dir(place.path(""));
    let output = command.output().unwrap();
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(output.status.code())
    }
}

#[test]
fn a_client_signs_with_a_good_certificate_alone() {
    let place = Place::new();
    if Command::new("curl").arg("--version").output().is_err() {
        return skip("there is no curl here");
    }
    let names = [("server", "2"), ("client", "2"), ("stranger", "2")];
    if !names.iter().all(|(name, days)| certificate(&place, name, days)) {
        return skip("openssl is missing here, or is too old");
    }
    let public_key = fresh_key(&place, "key", TINY, "256");
    let tls = "--tls-cert server.pem --tls-key server.key --client-ca client-ca.pem";
    let line = format!("serve key --listen tcp:127.0.0.1:0 {tls}");
    let mut running = place.start(&[], &format!("{line} --json-log"));
    let port = listening_port(running.id());
    let address = format!("https://127.0.0.1:{port}");
    let ca = "--cacert server-ca.pem";
    assert_eq!(
        curl(
            &place,
            &address,
            &format!("{ca} --cert client.pem --key client.key"),
            &public_key
        ),
        Ok("200".to_owned())
    );
    assert!(curl(&place, &address, ca, &public_key).is_err(), "no certificate");
    let stranger = format!("{ca} --cert stranger.pem --key stranger.key");
    assert!(
        curl(&place, &address, &stranger, &public_key).is_err(),
        "a certificate of another authority"
    );
    let plain = format!("http://127.0.0.1:{port}");
    assert!(curl(&place, &plain, "", &public_key).is_err(), "no TLS");
    // An authority that is taken away is gone with the next reload, for new connections.
    std::fs::copy(place.path("stranger-ca.pem"), place.path("client-ca.pem")).unwrap();
    running.signal(rustix::process::Signal::HUP);
    let begun = std::time::Instant::now();
    while curl(&place, &address, &stranger, &public_key) != Ok("200".to_owned()) {
        assert!(begun.elapsed() < PATIENCE, "the certificates were not read again");
    }
    assert!(
        curl(
            &place,
            &address,
            &format!("{ca} --cert client.pem --key client.key"),
            &public_key
        )
        .is_err()
    );
    place
        .run(&line.replace("server.key", "client.key"))
        .exits(2)
        .says(&["server.pem"]);
    place
        .run(&line.replace("client-ca.pem", "server.key"))
        .exits(2)
        .says(&["server.key"]);
    place.run(&line.replace("--client-ca client-ca.pem", "")).exits(2);
    place
        .run("serve key --listen tcp:127.0.0.1:0")
        .exits(2)
        .says(&["--client-ca or --client-fingerprints"]);
}

#[test]
fn a_certificate_that_has_run_out_is_refused() {
    let place = Place::new();
    let is_made = certificate(&place, "server", "2") && certificate(&place, "client", "2");
    // Another one of the same key and the same authority, which runs out in the second in which it is made.
    let again = "x509 -req -in client.csr -CA client-ca.pem -CAkey client-ca.key -CAcreateserial -days 0 -extfile extensions -out \
                 over.pem";
    let is_made = is_made && openssl(&place, again);
    if !is_made || Command::new("curl").arg("--version").output().is_err() {
        return skip("curl or openssl is missing here, or openssl is too old");
    }
    let public_key = fresh_key(&place, "key", TINY, "256");
    let line =
        "serve key --listen tcp:127.0.0.1:0 --tls-cert server.pem --tls-key server.key --client-ca client-ca.pem";
    let running = place.start(&[], line);
    let port = listening_port(running.id());
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let address = format!("https://127.0.0.1:{port}");
    let with = |certificate: &str| {
        let flags = format!("--cacert server-ca.pem --cert {certificate} --key client.key");
        curl(&place, &address, &flags, &public_key)
    };
    assert_eq!(with("client.pem"), Ok("200".to_owned()));
    // Received by the client as an alert of TLS (curl's code 56), or as a connection that is closed.
    assert!(with("over.pem").is_err());
    assert_eq!(with("client.pem"), Ok("200".to_owned()));
}

/// The port of the only TCP socket at which a process listens (proc_pid_net(5)).
fn listening_port(process: u32) -> u16 {
    let begun = std::time::Instant::now();
    loop {
        let own: Vec<_> = std::fs::read_dir(format!("/proc/{process}/fd"))
            .into_iter()
            .flatten()
            .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
            .collect();
        let table = std::fs::read_to_string(format!("/proc/{process}/net/tcp")).unwrap_or_default();
        for line in table.lines().skip(1) {
            let fields: Vec<_> = line.split_whitespace().collect();
            let socket = format!("socket:[{}]", fields[9]);
            // 0A is TCP_LISTEN.
            if fields[3] == "0A" && own.iter().any(|link| link.as_os_str() == socket.as_str()) {
                return u16::from_str_radix(fields[1].split(':').nth(1).unwrap(), 16).unwrap();
            }
        }
        assert!(begun.elapsed() < PATIENCE, "it does not listen");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// The fingerprint of a certificate, as openssl writes it.
fn fingerprint(place: &Place, name: &str) -> String {
    let mut command = Command::new("openssl");
    let line = format!("x509 -in {name}.pem -noout -fingerprint -sha256");
    command.args(line.split_whitespace()).current_dir(place.path(""));
    let output = command.output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_client_signs_whose_fingerprint_is_in_the_list_for_as_long_as_it_is() {
    let place = Place::new();
    if Command::new("curl").arg("--version").output().is_err() {
        return skip("there is no curl here");
    }
    let names = [("server", "2"), ("client", "2"), ("stranger", "2"), ("over", "0")];
    if !names.iter().all(|(name, days)| certificate(&place, name, days)) {
        return skip("openssl is missing here, or is too old");
    }
    let public_key = fresh_key(&place, "key", TINY, "256");
    let [client, stranger, over] = ["client", "stranger", "over"].map(|name| fingerprint(&place, name));
    // Web3Signer's form has a name and the pairs alone.
    let pairs = client.split('=').nth(1).unwrap();
    place.file("clients", format!("# of the first node\nclient {pairs}{over}"));
    let line =
        "serve key --listen tcp:127.0.0.1:0 --tls-cert server.pem --tls-key server.key --client-fingerprints clients";
    let mut running = place.start(&[], &format!("{line} --json-log"));
    let address = format!("https://127.0.0.1:{}", listening_port(running.id()));
    let with = |name: &str| {
        let flags = format!("--cacert server-ca.pem --cert {name}.pem --key {name}.key");
        curl(&place, &address, &flags, &public_key)
    };
    // The last second of the certificate that is over passes meanwhile.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(with("client"), Ok("200".to_owned()));
    assert!(with("stranger").is_err(), "a certificate that is not in the list");
    assert!(with("over").is_err(), "a certificate of the list that has run out");
    assert!(
        curl(&place, &address, "--cacert server-ca.pem", &public_key).is_err(),
        "no certificate"
    );
    // With the next reload the list is another one, for new connections.
    place.file("clients", &stranger);
    running.signal(rustix::process::Signal::HUP);
    let begun = std::time::Instant::now();
    while with("stranger") != Ok("200".to_owned()) {
        assert!(begun.elapsed() < PATIENCE, "the list was not read again");
    }
    assert!(with("client").is_err(), "a certificate that was in the list");
}

#[test]
fn a_list_of_fingerprints_that_cannot_be_used_is_refused_with_its_line_and_what_belongs_there() {
    let place = Place::new();
    if !certificate(&place, "server", "2") {
        return skip("openssl is missing here, or is too old");
    }
    fresh_key(&place, "key", TINY, "256");
    let tls = "--tls-cert server.pem --tls-key server.key";
    let line = format!("serve key --listen tcp:127.0.0.1:0 {tls} --client-fingerprints clients");
    place.run(&line).exits(2).says(&["'clients'", "No such file"]);
    let remedy = "write into 'clients' what 'openssl x509 -in CERTIFICATE -noout -fingerprint -sha256' prints";
    for (list, says) in [
        ("", "there is no fingerprint in it"),
        (
            "client 00:11\n",
            "line 1 does not end with the SHA-256 fingerprint of a certificate",
        ),
    ] {
        place.file("clients", list);
        place.run(&line).exits(2).says(&["'clients'", says, remedy]);
    }
    // A line may be a secret that somebody has mistaken for a list.
    place.file("clients", "seed 0f0e0d0c0b0a09080706050403020100\n");
    let outcome = place.run(&line).exits(2);
    assert!(!outcome.all().contains("0f0e0d0c"), "{}", outcome.all());
    place
        .run(&format!("{line} --client-ca server-ca.pem"))
        .exits(2)
        .says(&["--client-ca", "--client-fingerprints"]);
    place
        .run(&format!("serve key --listen tcp:127.0.0.1:0 {tls}"))
        .exits(2)
        .says(&["--client-fingerprints"]);
}

#[test]
fn a_private_key_that_others_can_read_is_told_of() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    if !certificate(&place, "server", "2") || !certificate(&place, "client", "2") {
        return skip("openssl is missing here, or is too old");
    }
    let line =
        "serve absent --listen tcp:127.0.0.1:0 --tls-cert server.pem --tls-key server.key --client-ca client-ca.pem";
    for (mode, is_told) in [(0o600, false), (0o644, true)] {
        std::fs::set_permissions(place.path("server.key"), std::fs::Permissions::from_mode(mode)).unwrap();
        let outcome = place.run(line).exits(3);
        let says = "--tls-key 'server.key' can be read by others (its mode is 644); anyone who has read it can pass for this service";
        assert_eq!(outcome.stderr.contains(says), is_told, "{}", outcome.all());
    }
}
