"""The figures as a table, and whether they are what they must be."""

from statistics import geometric_mean, median

import loads

LEAST = 0.95


def peers(named):
    """Those that run with as many threads as rouse."""
    return [name for name in named if name not in ("direct", "rouse", "other") and "," not in name]


def medians(rows, key="value"):
    return {name: median(row[key] for row in rounds) for name, rounds in rows.items() if rounds}


def to_best(rows):
    """Rouse's rate over the best peer's: the median of the rounds' ratios, whose two sides meet the same machine."""
    values = medians(rows)
    best = max(peers(values), key=values.get, default=None)
    if best is None or "rouse" not in rows:
        return None, None
    ratios = [own["value"] / other["value"] for own, other in zip(rows["rouse"], rows[best])]
    return best, median(ratios)


def table(figures):
    """Prints everything and says whether it is good enough."""
    ratios = {}
    for load, rows in figures["rounds"].items():
        ratios[load] = rates(load, rows)
    if "latency" in figures:
        ratios["one connection"] = latency(figures["latency"])
    if "idle" in figures:
        idle(figures["idle"])
    if "fairness" in figures:
        fairness(figures["fairness"])
    return verdict({load: ratio for load, ratio in ratios.items() if ratio})


def rates(load, rows):
    unit, per, _ = loads.ROUNDS[load]
    values, cpu = medians(rows), medians(rows, "cpu")
    best, ratio = to_best(rows)
    print(f"\n{load:24}{unit:>14}{'lowest':>9}{'highest':>9}{'to direct':>11}{'to best':>9}   CPU s / {per}")
    for name, value in values.items():
        all_values = [row["value"] for row in rows[name]]
        direct = f"{value / values['direct']:11.2f}" if "direct" in values else f"{'':11}"
        to_peer = f"{value / values[best]:9.2f}" if best else f"{'':9}"
        own = "" if name == "direct" else f"{cpu[name]:10.3f}"
        print(f"  {name:22}{value:14.2f}{min(all_values):9.2f}{max(all_values):9.2f}{direct}{to_peer}{own}")
    return ratio


def added(rows):
    """What each adds to the direct connection's latency, in microseconds."""
    direct = rows.get("direct", {"p50_us": 0})["p50_us"]
    return {name: row["p50_us"] - direct for name, row in rows.items()}


def latency(rows):
    by = added(rows)
    print(f"\n{'one connection':24}{'p50 µs':>14}{'added':>9}{'p99 µs':>9}")
    for name, row in rows.items():
        print(f"  {name:22}{row['p50_us']:14.1f}{by[name]:9.1f}{row['p99_us']:9.1f}")
    if "rouse" in by and peers(by):
        return min(by[name] for name in peers(by)) / by["rouse"]
    return None


def idle(rows):
    print(f"\n{loads.IDLE} open connections     bytes each  fds each  CPU idle  64 busy beside, to alone")
    for name, row in rows.items():
        print(f"  {name:22}{row['rss']:10.0f}{row['fds']:10.2f}{row['cpu']:9.1%}{row['beside']:26.2f}")


def fairness(rows):
    print(f"\n{'64 beside a bulk stream':24}{'p99 µs alone':>14}{'beside':>9}{'ratio':>9}")
    values = {key: medians(rows, key) for key in ("alone_p99_us", "beside_p99_us", "ratio")}
    for name in rows:
        alone, beside, ratio = (values[key][name] for key in values)
        print(f"  {name:22}{alone:14.0f}{beside:9.0f}{ratio:9.2f}")


def verdict(ratios):
    if not ratios:
        return True
    print("\nrouse to the best peer:")
    for load, ratio in ratios.items():
        print(f"  {'PASS' if ratio >= LEAST else 'FAIL'}  {load:26}{ratio:6.2f}   (at least {LEAST})")
    mean = geometric_mean(ratios.values())
    print(f"  {'PASS' if mean >= 1 else 'FAIL'}  {'geometric mean':26}{mean:6.2f}   (at least 1.00)")
    return mean >= 1 and min(ratios.values()) >= LEAST
