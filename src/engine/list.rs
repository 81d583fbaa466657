//! Containers as `GET /containers/json` lists them.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use hyper::StatusCode;
use serde::Deserialize;

use super::call::Call;
use super::docker::{DEADLINE, escape, parse, refusal};
use super::inspect::means;
use super::origin::SERVICE;
use super::{Docker, Error};

/// One of them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Listed {
    /// The engine's id.
    pub id: String,
    names: Option<Vec<String>>,
    state: Option<String>,
    ports: Option<Vec<Published>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Published {
    #[serde(rename = "IP")]
    ip: Option<String>,
    public_port: Option<u16>,
    #[serde(rename = "Type")]
    protocol: Option<String>,
}

impl Listed {
    /// What it is called; its id where nothing is known.
    pub fn name(&self) -> &str {
        // A name with a second slash is that of a link to it.
        let names = self.names.iter().flatten().map(|name| name.strip_prefix('/').unwrap_or(name));
        names.min_by_key(|name| name.contains('/')).unwrap_or(&self.id)
    }

    fn is_up(&self) -> bool {
        matches!(self.state.as_deref(), Some("running" | "paused" | "restarting"))
    }

    /// Whether it is meant by `name`, as a container that is inspected.
    pub fn is_called(&self, name: &str) -> bool {
        means(name, self.name(), &self.id)
    }

    /// The TCP addresses of this host where it is published.
    pub fn published(&self) -> impl Iterator<Item = SocketAddr> {
        let tcp = self.ports.iter().flatten().filter(|port| port.protocol.as_deref() == Some("tcp"));
        tcp.filter_map(|port| {
            let ip = match port.ip.as_deref().unwrap_or_default() {
                "" => IpAddr::from(Ipv6Addr::UNSPECIFIED),
                ip => ip.parse().ok()?,
            };
            Some(SocketAddr::new(ip, port.public_port?))
        })
    }
}

impl Docker {
    /// The containers that run or are paused. Podman's own choice leaves out those that are paused, and it refuses a filter
    /// that names Docker's “restarting”, so they are chosen here.
    pub async fn running(&self) -> Result<Vec<Listed>, Error> {
        let mut listed = self.list("all=true").await?;
        listed.retain(Listed::is_up);
        Ok(listed)
    }

    /// The containers that Compose has made for a service of that name, whether they run or not.
    pub async fn of_service(&self, service: &str) -> Result<Vec<Listed>, Error> {
        let filters = escape(&format!(r#"{{"label":["{SERVICE}={service}"]}}"#));
        self.list(&format!("all=true&filters={filters}")).await
    }

    async fn list(&self, query: &str) -> Result<Vec<Listed>, Error> {
        let (call, answer) = self.call(Call::List(query), DEADLINE).await?;
        match answer.status {
            StatusCode::OK => parse(call, &answer),
            _ => Err(refusal(call, &answer)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::Listed;

    #[test]
    fn a_container_is_listed_with_its_name_and_what_it_publishes() {
        let text = r#"{"Id":"abc","Names":["/other/alias","/web"],"State":"paused","Ports":[
            {"PrivatePort":80,"Type":"tcp"},{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,"Type":"tcp"},
            {"IP":"::","PrivatePort":53,"PublicPort":53,"Type":"udp"}]}"#;
        let web: Listed = serde_json::from_str(text).unwrap();
        let published: Vec<_> = web.published().map(|address| address.to_string()).collect();
        assert_eq!((web.name(), published), ("web", vec!["0.0.0.0:8080".to_owned()]));
        assert!(web.is_up());
        assert!(web.is_called("web") && !web.is_called("abc"), "too little of an id");
        let bare: Listed = serde_json::from_str(r#"{"Id":"abc","Names":null,"Ports":null}"#).unwrap();
        assert_eq!((bare.name(), bare.published().count()), ("abc", 0));
    }
}
