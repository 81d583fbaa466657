//! Records to metrics. The names follow OpenMetrics: a counter's ends in its unit, and `_total` comes after that.

use std::fmt;
use std::iter;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::Sidecar;
use crate::record::{State, Totals, WAKE_BOUNDS_MS};

/// All sidecars at one moment. prometheus-client's own metrics begin at zero and count by themselves; these were counted before.
#[derive(Debug)]
pub struct Collected(pub Vec<Sidecar>);

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page { encoder: &mut encoder, sidecars: &self.0 };
        // A gauge, since prometheus-client knows no state sets (nor does promtool).
        page.gauges("rouse_sidecar_state", None, "Whether the sidecar is in this state.", |sidecar| {
            State::ALL.map(|state| ([("state", state.name())], u64::from(state == sidecar.state)))
        })?;
        let help = "Whether a helper looks after the sidecar now; none does while it is asleep.";
        page.gauges("rouse_helper_up", None, help, |sidecar| [([], u64::from(sidecar.has_helper))])?;
        let help = "Wakes, by how they ended: ready, late (clients were let through all the same) or failed.";
        page.counters(
            "rouse_wakes",
            None,
            help,
            |Totals { wakes_ready, wakes_late, wakes_failed, .. }| {
                [("ready", *wakes_ready), ("late", *wakes_late), ("failed", *wakes_failed)]
                    .map(|(result, count)| ([("result", result)], count))
            },
        )?;
        page.wake_times()?;
        page.counters("rouse_connections", None, "Connections, the open ones included.", |totals| {
            [([], totals.connections)]
        })?;
        page.gauges("rouse_open_connections", None, "Connections that are open now.", |sidecar| {
            [([], sidecar.open_connections as u64)]
        })?;
        let help = "Bytes passed on to the container (up) and from it (down).";
        page.counters("rouse", Some(Unit::Bytes), help, |totals| {
            [("up", totals.bytes_up), ("down", totals.bytes_down)]
                .map(|(direction, bytes)| ([("direction", direction)], bytes))
        })?;
        page.counters("rouse_awake", Some(Unit::Seconds), "How long the sidecar was awake.", |totals| {
            [([], seconds(totals.awake_ms))]
        })?;
        page.counters("rouse_paused", Some(Unit::Seconds), "How long the sidecar was paused.", |totals| {
            [([], seconds(totals.paused_ms))]
        })?;
        let help =
            "When a wake last failed or the container died, in Unix time; absent if neither ever happened.";
        page.gauges("rouse_last_failure_timestamp", Some(Unit::Seconds), help, |sidecar| {
            sidecar.record.last_failure.as_ref().map(|failure| ([], seconds(failure.at_ms)))
        })
    }
}

/// Where metrics are written, family after family.
struct Page<'a, 'e> {
    encoder: &'a mut DescriptorEncoder<'e>,
    sidecars: &'a [Sidecar],
}

impl Page<'_, '_> {
    fn gauges<const N: usize, V: EncodeGaugeValue, S: IntoIterator<Item = Sample<N, V>>>(
        &mut self,
        name: &str,
        unit: Option<Unit>,
        help: &str,
        samples: impl Fn(&Sidecar) -> S,
    ) -> fmt::Result {
        let mut family = self.encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
        for sidecar in self.sidecars {
            for (labels, value) in samples(sidecar) {
                sample(&mut family, sidecar, labels, |metric| metric.encode_gauge(&value))?;
            }
        }
        Ok(())
    }

    fn counters<const N: usize, V: EncodeCounterValue, S: IntoIterator<Item = Sample<N, V>>>(
        &mut self,
        name: &str,
        unit: Option<Unit>,
        help: &str,
        samples: impl Fn(&Totals) -> S,
    ) -> fmt::Result {
        let mut family = self.encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Counter)?;
        for sidecar in self.sidecars {
            for (labels, value) in samples(&sidecar.record.totals) {
                sample(&mut family, sidecar, labels, |metric| {
                    metric.encode_counter::<NoLabelSet, _, f64>(&value, None)
                })?;
            }
        }
        Ok(())
    }

    fn wake_times(&mut self) -> fmt::Result {
        let help = "How long the wakes took that ended ready.";
        let kind = MetricType::Histogram;
        let mut family =
            self.encoder.encode_descriptor("rouse_wake_duration", help, Some(&Unit::Seconds), kind)?;
        let bounds = || WAKE_BOUNDS_MS.map(seconds).into_iter().chain(iter::once(f64::INFINITY));
        for sidecar in self.sidecars {
            let Totals { wake_times, wake_time_ms, .. } = &sidecar.record.totals;
            // prometheus-client adds the buckets up, and a file may hold any number.
            let mut count = 0u64;
            let fitting = wake_times.iter().map(|times| {
                let before = count;
                count = count.saturating_add(*times);
                count - before
            });
            let buckets: Vec<(f64, u64)> = bounds().zip(fitting).collect();
            sample(&mut family, sidecar, [], |metric| {
                metric.encode_histogram::<NoLabelSet>(seconds(*wake_time_ms), count, &buckets, None)
            })?;
        }
        Ok(())
    }
}

/// A value, and the labels that it has besides that of its sidecar.
type Sample<const N: usize, V> = ([(&'static str, &'static str); N], V);

fn sample<const N: usize>(
    family: &mut MetricEncoder<'_>,
    sidecar: &Sidecar,
    labels: [(&'static str, &'static str); N],
    write: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
) -> fmt::Result {
    let labels = ([("sidecar", sidecar.name.as_str())], labels);
    write(&mut family.encode_family(&labels)?)
}

fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1000.0
}
