//! Prometheus' text format 0.0.4, made of OpenMetrics. The samples are the same; what is said of them differs: a counter is called
//! what its samples are called, and there are neither units nor an end.

/// The same metrics in the older format.
pub fn from_open_metrics(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let is_counter = |name: &str| lines.contains(&format!("# TYPE {name} counter").as_str());
    let mut classic = String::new();
    for line in &lines {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(what @ ("HELP" | "TYPE")), Some(name), Some(rest)) => {
                let total = if is_counter(name) { "_total" } else { "" };
                classic += &format!("# {what} {name}{total} {rest}\n");
            }
            (Some("#"), ..) => {}
            _ => classic += &format!("{line}\n"),
        }
    }
    classic
}
