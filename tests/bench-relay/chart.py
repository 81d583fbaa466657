"""The figures as a picture: one panel for each load, one bar for each proxy."""

from xml.sax.saxutils import escape

import loads
from report import added, medians, peers

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 }
.note { fill: #6e7781 }
rect { fill: #afb8c1 }
rect.rouse { fill: #1a7f37 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .note { fill: #8b949e } rect { fill: #484f58 } rect.rouse { fill: #3fb950 }
}
"""
PANEL, BAR, LABEL, LENGTH, GAP = 400, 18, 110, 200, 24


def panels(figures):
    """Title, unit, and the values by name: rouse first, then its peers."""
    for load, rows in figures["rounds"].items():
        yield load, loads.ROUNDS[load][0], medians(rows)
    if "direct" in figures.get("latency", {}):
        yield "one connection: added latency", "µs, less is better", added(figures["latency"])


def svg(figures):
    drawn, height = [], 0
    shown = list(panels(figures))
    for number, (title, unit, values) in enumerate(shown):
        names = ["rouse", *peers(values)]
        x, y = (number % 2) * PANEL, (number // 2) * (len(names) * BAR + 2 * GAP)
        height = y + len(names) * BAR + 2 * GAP
        drawn.append(f'<text x="{x}" y="{y + 14}"><tspan class="title">{escape(title)}</tspan>'
                     f'<tspan class="note" dx="8">{escape(unit)}</tspan></text>')
        most = max(values[name] for name in names)
        for row, name in enumerate(names):
            top = y + GAP + row * BAR
            width = max(1, values[name] / most * LENGTH)
            drawn.append(f'<text x="{x}" y="{top + 13}">{escape(name)}</text>'
                         f'<rect class="{escape(name)}" x="{x + LABEL}" y="{top + 3}" width="{width:.1f}" height="{BAR - 5}"/>'
                         f'<text x="{x + LABEL + width + 6:.1f}" y="{top + 13}">{values[name]:.1f}</text>')
    body = "\n".join(drawn)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * PANEL} {height}" width="{2 * PANEL}">\n'
            f"<style>{STYLE}</style>\n{body}\n</svg>\n")
