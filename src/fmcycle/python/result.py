"""The result of a stage: its folder, figures and curve; a notebook shows them with a picture."""

from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path

from fmcycle.artifact import folder as artifact
from fmcycle.evaluation.report import Row, drawing, interval, number, rows
from fmcycle.tracking import run_record

STYLE = """<style>
.fmcycle { --line: #8884; --c0: #3a7bd5; --c1: #d5663a; } .fmcycle td, .fmcycle th { text-align: left; }
.fmcycle svg text { font-size: 12px; fill: currentColor; } .fmcycle svg .axis { opacity: .7; } .fmcycle svg .grid { stroke: var(--line); }
.fmcycle svg .line { fill: none; stroke-width: 1.6; } .fmcycle polyline.c0 { stroke: var(--c0); }
.fmcycle polyline.c1 { stroke: var(--c1); }
.fmcycle circle.c0, .fmcycle svg text.c0 { fill: var(--c0); } .fmcycle circle.c1, .fmcycle svg text.c1 { fill: var(--c1); }
</style>"""


@dataclass(frozen=True, repr=False)
class Result:
    """out: the folder that a stage wrote; metrics: the content of its metrics.json, {} if it has none."""

    out: Path
    metrics: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, out: Path) -> "Result":
        """Read the result in `out`."""
        file = out / "metrics.json"
        return cls(out, artifact.read_json(file) if file.is_file() else {})

    @cached_property
    def curve(self) -> dict[str, list]:
        """The losses of a training by step: {"step", "loss", "validation_step", "validation_loss", ...}; {} if the stage trains nothing."""
        file = self.out / "curve.json"
        return artifact.read_json(file) if file.is_file() else {}

    @cached_property
    def answers(self) -> list[dict]:
        """The answers of an evaluation: rows {"prompt", "answer", "expected", ...}; [] for other stages."""
        return list(run_record.lines(self.out / "samples.jsonl"))

    @property
    def page(self) -> Path | None:
        """The page that the stage wrote, None if it wrote none."""
        return next((file for name in ("report.html", "profile.html", "monitor.html") if (file := self.out / name).is_file()), None)

    def __repr__(self) -> str:
        return "\n".join([str(self.out), *(f"  {row.key:<32} {shown(row)}" for row in rows(self.metrics))])

    def _repr_html_(self) -> str:
        told = "".join(f"<tr><td>{escape(row.key)}</td><td>{escape(shown(row))}</td></tr>" for row in rows(self.metrics))
        table = f"<table><tr><th>figure</th><th>value</th></tr>{told}</table>" if told else ""
        page = f"<p>page: <code>{escape(str(self.page))}</code></p>" if self.page else ""
        chart = drawing(self.curve) if self.curve.get("loss") else ""
        return f'{STYLE}<div class="fmcycle"><p><code>{escape(str(self.out))}</code></p>{table}{chart}{page}</div>'


def shown(row: Row) -> str:
    """Format a figure as `value [low, high]`; one without an interval as its value."""
    return f"{number(row.value)} {interval(row)}" if row.low is not None else number(row.value)
