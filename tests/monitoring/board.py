"""Draws docs/board.png: the queries of dashboard.json, put to a real Prometheus, drawn with matplotlib. It is not Grafana.

    python3 tests/monitoring/board.py http://127.0.0.1:9090 <minutes> docs/board.png
"""

import json
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

BOARD = Path(__file__).parents[2] / "deploy/monitoring/dashboard.json"
COLOURS = {"green": "#2f9e44", "orange": "#e8890c", "red": "#c92a2a"}


def ask(server, path, **parameters):
    url = f"{server}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)["data"]["result"]


def legend(text, labels):
    for name, value in labels.items():
        text = text.replace("{{" + name + "}}", value)
    return text.replace("/srv/", "")


def words(value, unit):
    if unit == "bytes":
        return f"{value / 1024:.0f} KiB"
    return f"{value:.3g} s" if unit == "s" else f"{value:.0f}"


def colour(panel, value):
    steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
    fitting = [step["color"] for step in steps if step["value"] is None or value >= step["value"]]
    return COLOURS.get(fitting[-1]) if fitting else "#495057"


def stat(axes, panel, server):
    mappings = panel["fieldConfig"]["defaults"].get("mappings", [])
    names = mappings[0]["options"] if mappings else {}
    axes.axis("off")
    target = panel["targets"][0]
    rows = ask(server, "query", query=target["expr"].replace("$database", ".*"))
    for row, series in enumerate(rows):
        value = float(series["value"][1])
        text = "?" if value != value else words(value, None)
        text = names.get(text, {}).get("text", text)
        height = 0.85 - row * 0.9 / max(len(rows), 1)
        axes.text(0.02, height, legend(target["legendFormat"], series["metric"]), va="top", fontsize=8)
        axes.text(0.98, height, text, va="top", ha="right", fontsize=11, weight="bold", color=colour(panel, value))


def table(axes, panel, server):
    axes.axis("off")
    ended, succeeded, names = (
        {one["metric"]["database"]: one for one in ask(server, "query", query=target["expr"].replace("$database", ".*"))}
        for target in panel["targets"]
    )
    rows = [["database", "outcome", "error", "last job, ago", "last success, ago", "revision"]]
    for database, series in ended.items():
        labels = series["metric"]
        success = succeeded.get(database, {"value": [0, "nan"]})
        revision = names.get(database, {"metric": {}})["metric"]
        rows.append([
            legend(database, {}),
            labels.get("outcome", ""),
            labels.get("error", ""),
            words(float(series["value"][1]), "s"),
            words(float(success["value"][1]), "s"),
            f"{revision.get('revision', '?')} {revision.get('description', '')}",
        ])
    drawn = axes.table(cellText=rows, loc="upper left", cellLoc="left", edges="horizontal")
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(7)
    drawn.auto_set_column_width(range(len(rows[0])))


def lines(axes, panel, server, minutes):
    unit = panel["fieldConfig"]["defaults"].get("unit")
    end = time.time()
    stacked = []
    for target in panel["targets"]:
        query = target["expr"].replace("$database", ".*").replace("[1h]", "[1m]")
        for series in ask(server, "query_range", query=query, start=end - 60 * minutes, end=end, step=2):
            times = [(at - end) / 60 for at, _ in series["values"]]
            values = [float(value) / (1024 if unit == "bytes" else 1) for _, value in series["values"]]
            stacked.append((times, values, legend(target["legendFormat"], series["metric"])))
    for number, (times, values, name) in enumerate(stacked):
        axes.plot(times, values, label=name, drawstyle="steps-post", linewidth=1.2, color=f"C{number % 10}")
    axes.set_ylabel({"s": "seconds", "bytes": "KiB"}.get(unit, "in a minute"), fontsize=7)
    axes.set_xlabel("minutes", fontsize=7)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.25)
    if stacked:
        axes.legend(fontsize=5.5, loc="upper left", ncols=2, framealpha=0.6)


def main():
    server, minutes, target = sys.argv[1], float(sys.argv[2]), sys.argv[3]
    panels = json.loads(BOARD.read_text())["panels"]
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    figure = plt.figure(figsize=(14, height * 0.48))
    grid = figure.add_gridspec(height, 24, hspace=1.6, wspace=2.2, left=0.04, right=0.98, top=0.955, bottom=0.02)
    for panel in panels:
        place = panel["gridPos"]
        axes = figure.add_subplot(grid[place["y"] : place["y"] + place["h"] - 1, place["x"] : place["x"] + place["w"]])
        axes.set_title(panel["title"], loc="left", fontsize=9, weight="bold")
        if panel["type"] == "stat":
            stat(axes, panel, server)
        elif panel["type"] == "table":
            table(axes, panel, server)
        else:
            lines(axes, panel, server, minutes)
    figure.suptitle("safestep: the queries of dashboard.json, answered by Prometheus, drawn with matplotlib (not by Grafana)", fontsize=10)
    figure.savefig(target, dpi=90)


main()
