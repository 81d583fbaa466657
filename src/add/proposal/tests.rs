#![allow(clippy::unwrap_used)]

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::config::Config;

const FILE: &str = "/nonexistent/rouse.d/web.toml";

/// The settings of `web` under these files, of which the last is that of its table.
fn read(tables: &[&str]) -> Result<Sidecar, String> {
    let files: Vec<_> = tables
        .iter()
        .enumerate()
        .map(|(number, text)| (Path::new(FILE).with_file_name(format!("{number}.toml")), text.to_string()))
        .collect();
    let config = Config::read_with(Path::new("/nonexistent"), &files);
    config.sidecar(&Name::new("web").unwrap()).map_err(|errors| format!("{errors:?}"))
}

fn container(config: Json, host: Json) -> Container {
    let networks = json!({ "bridge": { "IPAddress": "" } });
    let whole = json!({ "Id": "abc", "Name": "/web", "State": {}, "Config": config, "HostConfig": host,
                        "NetworkSettings": { "Networks": networks } });
    serde_json::from_value(whole).unwrap()
}

/// One that exposes `exposed` and publishes `published`, each "IP:PORT:INSIDE".
fn web(exposed: &[u16], published: &[(&str, &str, u16)]) -> Container {
    let exposed: Json = exposed
        .iter()
        .map(|port| (format!("{port}/tcp"), json!({})))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let mut bindings = serde_json::Map::new();
    for (ip, port, inside) in published {
        let list = bindings.entry(format!("{inside}/tcp")).or_insert_with(|| json!([]));
        list.as_array_mut().unwrap().push(json!({ "HostIp": ip, "HostPort": port }));
    }
    container(
        json!({ "ExposedPorts": exposed }),
        json!({ "PortBindings": bindings, "NetworkMode": "default" }),
    )
}

fn with_mode(mode: &str) -> Container {
    let bindings = json!({ "80/tcp": [{ "HostIp": "", "HostPort": "8080" }] });
    container(
        json!({ "ExposedPorts": { "80/tcp": {} } }),
        json!({ "PortBindings": bindings, "NetworkMode": mode }),
    )
}

fn listen(texts: &[&str]) -> Wishes {
    Wishes {
        listen: texts.iter().map(|text| crate::add::listen(text).unwrap()).collect(),
        ..Wishes::default()
    }
}

/// The drop-in's addresses and the table's keys, each in one line; or why not.
fn proposed(container: &Container, wishes: &Wishes) -> Result<(String, String), String> {
    let proposal = propose(container, &read(&[]).unwrap(), wishes)?;
    read(&[&proposal.table()]).unwrap();
    let lines = |text: &str, without: &str| {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with(['#', '[']));
        lines.map(|line| line.replacen(without, "", 1)).collect::<Vec<_>>().join(" ")
    };
    Ok((lines(&proposal.drop_in(), "ListenStream="), lines(&proposal.table(), "")))
}

fn is_proposed(container: &Container, wishes: &Wishes, listens: &str, keys: &str) {
    assert_eq!(proposed(container, wishes), Ok((listens.to_owned(), keys.to_owned())));
}

#[test]
fn what_is_published_is_listened_on() {
    let plain = Wishes::default();
    is_proposed(&web(&[80], &[("127.0.0.1", "8080", 80)]), &plain, "127.0.0.1:8080", "port = 80");
    is_proposed(&web(&[80], &[("", "80", 80)]), &plain, "80", "");
    is_proposed(&web(&[80], &[("0.0.0.0", "80", 80), ("::", "80", 80)]), &plain, "80", "");
    is_proposed(&web(&[80], &[("::1", "80", 80)]), &plain, "[::1]:80", "");
    is_proposed(
        &web(&[80, 90, 443], &[("", "8080", 80), ("", "8443", 443)]),
        &plain,
        "8080 8443",
        "port = { 8080 = 80, 8443 = 443 }",
    );
    is_proposed(
        &web(&[80], &[("127.0.0.1", "8080", 80), ("10.0.0.1", "9090", 80)]),
        &plain,
        "127.0.0.1:8080 10.0.0.1:9090",
        "port = 80",
    );
}

#[test]
fn what_is_exposed_or_published_anywhere_is_listened_on_at_loopback() {
    let plain = Wishes::default();
    is_proposed(&web(&[11434], &[]), &plain, "127.0.0.1:11434", "");
    is_proposed(&web(&[443, 80], &[]), &plain, "127.0.0.1:80 127.0.0.1:443", "");
    is_proposed(&web(&[80], &[("", "", 80)]), &plain, "127.0.0.1:80", "");
    is_proposed(&web(&[80], &[("", "8000-8010", 80)]), &plain, "127.0.0.1:80", "");
}

#[test]
fn who_names_the_address_gets_the_port_that_is_meant() {
    is_proposed(&web(&[80], &[]), &listen(&["8080"]), "8080", "port = 80");
    is_proposed(&web(&[80, 443], &[]), &listen(&["443"]), "443", "");
    is_proposed(
        &web(&[80, 443], &[("", "9000", 443), ("", "9001", 80)]),
        &listen(&["127.0.0.1:9000"]),
        "127.0.0.1:9000",
        "port = 443",
    );
    is_proposed(&web(&[], &[]), &listen(&["9000"]), "9000", "");
    is_proposed(&web(&[80], &[]), &listen(&["/run/web.sock"]), "/run/web.sock RemoveOnStop=yes", "port = 80");
    is_proposed(
        &web(&[80], &[]),
        &listen(&["/run/50%.sock", "80"]),
        "/run/50%%.sock 80 RemoveOnStop=yes",
        "port = 80",
    );
    let both = Wishes { port: Some(7), ..listen(&["9000", "9001"]) };
    is_proposed(&web(&[80, 443], &[]), &both, "9000 9001", "port = 7");
}

#[test]
fn who_names_the_port_gets_its_address() {
    let port = |port| Wishes { port: Some(port), ..Wishes::default() };
    is_proposed(&web(&[80], &[("", "8080", 80)]), &port(80), "8080", "port = 80");
    is_proposed(&web(&[80], &[("", "8080", 80)]), &port(90), "127.0.0.1:90", "");
    is_proposed(&web(&[], &[]), &port(90), "127.0.0.1:90", "");
}

#[test]
fn what_nobody_can_tell_is_asked_for() {
    for (container, wishes, option) in [
        (web(&[], &[]), Wishes::default(), "--port"),
        (web(&[80, 443], &[]), listen(&["9000"]), "--port 80"),
        (web(&[], &[]), listen(&["/run/web.sock"]), "--port"),
        (web(&[80, 443], &[]), listen(&["/run/web.sock", "80"]), "--port"),
        (web(&[], &[("127.0.0.1", "80", 80), ("127.0.0.2", "80", 81)]), Wishes::default(), "--listen"),
        (web(&[80], &[]), listen(&["80", "127.0.0.1:80", "0.0.0.0:81"]), ""),
    ] {
        match option {
            "" => assert!(proposed(&container, &wishes).is_ok(), "one address that another includes"),
            _ => {
                let what = proposed(&container, &wishes).unwrap_err();
                assert!(what.contains(option), "{option}: {what}");
            }
        }
    }
}

#[test]
fn a_container_without_an_address_of_its_own_is_dialled_where_it_can_be() {
    let host = with_mode("host");
    let what = proposed(&host, &Wishes::default()).unwrap_err();
    assert!(what.contains("--listen 127.0.0.1:10080 --port 80"), "{what}");
    assert!(proposed(&host, &listen(&["80"])).unwrap_err().contains("listen on another"));
    is_proposed(&host, &listen(&["81"]), "81", "address = \"127.0.0.1:80\"");
    let pasta = with_mode("pasta");
    is_proposed(&pasta, &Wishes::default(), "127.0.0.1:80", "address = \"127.0.0.1:8080\"");
    assert!(proposed(&pasta, &listen(&["8080"])).unwrap_err().contains("--listen"));
    assert!(proposed(&with_mode("none"), &Wishes::default()).unwrap_err().contains("give it a network"));
}

#[test]
fn one_of_several_networks_is_named_the_one_it_was_made_in_first() {
    let two = json!({ "Id": "abc", "State": {}, "Config": { "ExposedPorts": { "80/tcp": {} } }, "HostConfig": { "NetworkMode": "shop" },
                      "NetworkSettings": { "Networks": { "extra": {}, "shop": {} } } });
    let two: Container = serde_json::from_value(two).unwrap();
    is_proposed(&two, &Wishes::default(), "127.0.0.1:80", "network = \"shop\"");
}

#[test]
fn a_healthcheck_is_what_tells_only_if_it_is_asked_soon() {
    let checked = |seconds: i64| {
        let check = json!({ "Test": ["CMD", "true"], "Interval": seconds * 1_000_000_000 });
        container(json!({ "ExposedPorts": { "80/tcp": {} }, "Healthcheck": check }), json!({}))
    };
    is_proposed(&checked(1), &Wishes::default(), "127.0.0.1:80", "ready = \"healthy\"");
    is_proposed(&checked(30), &Wishes::default(), "127.0.0.1:80", "");
    let table = propose(&checked(30), &read(&[]).unwrap(), &Wishes::default()).unwrap().table();
    assert!(
        table.contains("first asked 30s after a start") && table.contains("\n#ready = \"healthy\"\n"),
        "{table}"
    );
    let wish = Wishes { ready: Some(r"log:ready \d".into()), ..Wishes::default() };
    is_proposed(&checked(1), &wish, "127.0.0.1:80", r"ready = 'log:ready \d'");
}

#[test]
fn what_the_defaults_say_is_not_said_again_and_what_they_get_wrong_is_put_right() {
    let table = |defaults: &str| {
        let usual = read(&[defaults, ""]).unwrap();
        let table = propose(&web(&[80], &[]), &usual, &Wishes::default()).unwrap().table();
        let settings = read(&[defaults, &table]).unwrap();
        assert_eq!(settings.container, "web", "{table}");
        assert!(matches!(settings.port, Port::Connected | Port::One(80)), "{table}");
        table.lines().skip(3).map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(table("[defaults]\nport = 80\nnetwork = \"x\"\nready = \"http:/\""), "");
    assert_eq!(table("[defaults]\nport = 90\ncontainer = \"other\""), "container = \"web\" port = 80");
}

#[test]
fn what_is_in_the_way_comes_with_its_cure() {
    let advice = |config: Json, mut host: Json| {
        let binding = json!({ "80/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "8080" }] });
        host.as_object_mut().unwrap().entry("PortBindings").or_insert(binding);
        let container = container(config, host);
        propose(&container, &read(&[]).unwrap(), &Wishes::default()).unwrap().advice.join("\n")
    };
    let published = advice(json!({}), json!({}));
    assert!(
        published.contains("127.0.0.1:8080:80") && published.contains("recreate it without -p"),
        "{published}"
    );
    let labels = json!({ "Labels": { "com.docker.compose.service": "front", "com.docker.compose.project.working_dir": "/srv/my shop" } });
    let compose = advice(labels, json!({}));
    assert!(compose.contains("cd '/srv/my shop' && docker compose up --no-start front"), "{compose}");
    assert!(advice(json!({}), json!({ "AutoRemove": true })).contains("--rm"));
    let always = json!({ "RestartPolicy": { "Name": "always" } });
    assert!(advice(json!({}), always).contains("docker update --restart unless-stopped web"));
    let quadlet = json!({ "Labels": { "PODMAN_SYSTEMD_UNIT": "web.service" } });
    assert!(advice(quadlet, json!({ "AutoRemove": true })).contains("web.service makes it anew"));
    assert!(advice(json!({ "ExposedPorts": { "53/udp": {} } }), json!({})).contains("53/udp"));
    let alone = json!({ "PortBindings": {} });
    assert_eq!(advice(json!({ "ExposedPorts": { "80/tcp": {} } }), alone), "");
}

fn a_listen() -> impl Strategy<Value = Listen> {
    prop_oneof![
        (1..6u16).prop_map(|port| Listen::at(None, port)),
        (prop_oneof![Just("127.0.0.1"), Just("0.0.0.0"), Just("::1")], 1..6u16)
            .prop_map(|(ip, port)| Listen::at(ip.parse().ok(), port)),
        "/[a-z%\"'\\\\]{1,9}".prop_map(|path| crate::add::listen(&path).unwrap()),
    ]
}

proptest! {
    /// With few different ports, so that many are the same.
    #[test]
    fn whatever_is_proposed_leads_from_each_socket_to_its_port(
        exposed in prop::collection::vec(1..6u16, 0..4),
        published in prop::collection::vec((prop_oneof![Just(""), Just("127.0.0.1"), Just("::")], 0..6u16, 1..6u16), 0..4),
        listen in prop::collection::vec(a_listen(), 0..3),
        port in prop::option::of(1..6u16),
        defaults in prop_oneof![Just(""), Just("[defaults]\nport = 3"), Just("[defaults]\nport = { 1 = 2, 2 = 2 }")],
    ) {
        let ports: Vec<String> = published.iter().map(|(_, port, _)| port.to_string()).collect();
        let published: Vec<_> = published.iter().zip(&ports).map(|((ip, _, inside), port)| (*ip, port.as_str(), *inside)).collect();
        let container = web(&exposed, &published);
        let wishes = Wishes { listen: listen.clone(), port, ..Wishes::default() };
        let usual = read(&[defaults, ""]).unwrap();
        if let Ok(proposal) = propose(&container, &usual, &wishes) {
            let settings = read(&[defaults, &proposal.table()]).unwrap();
            let known = container.exposed();
            prop_assert!(!proposal.ways.is_empty());
            for way in &proposal.ways {
                let dialled = match (&settings.port, way.listen.port()) {
                    (Port::One(port), _) => Some(*port),
                    (Port::Connected, port) => port,
                    (Port::Map(map), port) => port.and_then(|port| map.get(&port).copied()),
                };
                prop_assert_eq!(dialled, Some(way.inside));
                prop_assert!(port.is_none_or(|port| port == way.inside));
                prop_assert!(port.is_some() || known.is_empty() || known.contains(&way.inside));
                let others = proposal.listens().filter(|other| other.clashes(&way.listen));
                prop_assert_eq!(others.count(), 1, "itself");
            }
            for wanted in &listen {
                prop_assert!(proposal.listens().any(|listen| listen.covers(wanted)));
            }
            let lines = proposal.drop_in().lines().filter(|line| line.starts_with("ListenStream=")).count();
            prop_assert_eq!(lines, proposal.ways.len());
        }
    }
}
