//! Whether new sidecars get along with what is there, and with each other.

use super::listen::Listen;
use super::places::Places;
use super::proposal::Proposal;
use super::sockets::{Socket, sockets};
use crate::config::{Config, Error};
use crate::name::Name;

/// Says why the files of `proposals` would not work, or would stop somebody else.
pub fn agree(places: &Places, proposals: &[Proposal]) -> Result<(), String> {
    let own: Vec<_> = proposals.iter().map(|proposal| places.drop_in(&proposal.name)).collect();
    let others = sockets(places, &own);
    agree_on_containers(places, proposals, &others)?;
    agree_on_sockets(proposals, &others)
}

fn agree_on_containers(places: &Places, proposals: &[Proposal], others: &[Socket]) -> Result<(), String> {
    let tables: Vec<_> =
        proposals.iter().map(|proposal| (places.table(&proposal.name), proposal.table())).collect();
    let before = Config::read_in(&places.configuration());
    let config = Config::read_with(&places.configuration(), &tables);
    for Proposal { name, .. } in proposals {
        config.sidecar(name).map_err(|errors| unusable(name, &errors))?;
    }
    // A sidecar that has a socket and no table is on the container of its own name.
    for Socket { sidecar, .. } in others.iter().filter(|other| before.sidecar(&other.sidecar).is_ok()) {
        config.sidecar(sidecar).map_err(|errors| unusable(sidecar, &errors))?;
    }
    Ok(())
}

fn agree_on_sockets(proposals: &[Proposal], others: &[Socket]) -> Result<(), String> {
    let theirs = others.iter().map(|Socket { sidecar, listen, file }| (sidecar, listen, Some(file)));
    let mut taken: Vec<(&Name, &Listen, _)> = theirs.collect();
    for proposal in proposals {
        for listen in proposal.listens() {
            if let Some((other, _, file)) = taken.iter().find(|(_, taken, _)| taken.excludes(listen)) {
                let place = file.map(|file| format!(" ({})", file.display())).unwrap_or_default();
                return Err(format!(
                    "{}: {listen} is where rouse@{other}.socket listens{place}: choose another place with --listen",
                    proposal.name
                ));
            }
        }
        taken.extend(proposal.listens().map(|listen| (&proposal.name, listen, None)));
    }
    Ok(())
}

/// That the sidecar `name` cannot be because of `errors`.
pub fn unusable(name: &Name, errors: &[Error]) -> String {
    let errors: String = errors.iter().map(|error| format!("\n  {error}")).collect();
    format!("{name}: this would not work, so nothing was written:{errors}")
}
