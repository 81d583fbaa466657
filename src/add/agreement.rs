//! Whether new sidecars get along with what is there, and with each other.

use std::path::PathBuf;

use super::places::Places;
use super::proposal::Proposal;
use crate::config::{Config, Error};
use crate::name::Name;
use crate::units::{Listen, Socket};

/// Says why the files of `proposals` would not work, or would stop somebody else.
pub fn agree(places: &Places, proposals: &[Proposal]) -> Result<(), String> {
    let before = Config::read_in(&places.configuration());
    let units = places.units();
    let others: Vec<_> = units.of_sidecars(|name| before.table(name).is_some()).collect();
    agree_on_containers(places, proposals, &before, &others)?;
    agree_on_sockets(places, proposals, &others)
}

fn agree_on_containers(
    places: &Places,
    proposals: &[Proposal],
    before: &Config,
    others: &[(Name, &Socket)],
) -> Result<(), String> {
    let tables: Vec<_> =
        proposals.iter().map(|proposal| (places.table(&proposal.name), proposal.table())).collect();
    let config = Config::read_with(&places.configuration(), &tables);
    for Proposal { name, .. } in proposals {
        config.sidecar(name).map_err(|errors| unusable(name, &errors))?;
    }
    // A sidecar that has a socket and no table is on the container of its own name.
    for (other, _) in others.iter().filter(|(other, _)| before.sidecar(other).is_ok()) {
        config.sidecar(other).map_err(|errors| unusable(other, &errors))?;
    }
    Ok(())
}

fn agree_on_sockets(
    places: &Places,
    proposals: &[Proposal],
    others: &[(Name, &Socket)],
) -> Result<(), String> {
    // What is about to be overwritten is in nobody's way.
    let own: Vec<PathBuf> = proposals.iter().map(|proposal| places.drop_in(&proposal.name)).collect();
    let mut taken: Vec<(&Listen, String)> = others
        .iter()
        .flat_map(|(_, socket)| {
            socket.listens().map(|(setting, listen)| (listen, &socket.unit, &setting.file))
        })
        .filter(|(.., file)| !own.contains(file))
        .map(|(listen, unit, file)| (listen, format!("{unit} listens ({})", file.display())))
        .collect();
    for proposal in proposals {
        for listen in proposal.listens() {
            if let Some((_, who)) = taken.iter().find(|(taken, _)| taken.clashes(listen)) {
                return Err(format!(
                    "{}: {listen} is where {who}: choose another place with --listen",
                    proposal.name
                ));
            }
        }
        let who = format!("rouse@{}.socket would listen", proposal.name);
        taken.extend(proposal.listens().map(|listen| (listen, who.clone())));
    }
    Ok(())
}

/// That the sidecar `name` cannot be because of `errors`.
pub fn unusable(name: &Name, errors: &[Error]) -> String {
    let errors: String = errors.iter().map(|error| format!("\n  {error}")).collect();
    format!("{name}: this would not work, so nothing was written:{errors}")
}
