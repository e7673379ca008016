"""Answers to show: fixed held-out instructions and safety prompts, greedily answered."""

from collections.abc import Callable
from dataclasses import dataclass

from fmcycle.evaluation.generate import answers
from fmcycle.evaluation.held_out import held_out, per_group
from fmcycle.ranges import ExistingPath, PositiveInt


@dataclass
class Sample:
    """(model, processor) -> rows {"id", "task", "prompt", "answer", "expected"}; the first `each` of a task or kind by digest.

    Nobody picks them, so a bad answer shows as likely as a good one. prompts: safety prompts of the kinds harmful and harmless.
    """

    instructions: ExistingPath
    render: Callable
    prompts: ExistingPath | None = None
    split: str = "test"
    each: PositiveInt = 4
    max_new_tokens: PositiveInt = 96
    batch_size: PositiveInt = 16

    def __call__(self, model, processor) -> list[dict]:
        asked = [
            {"id": row["id"], "task": row["task"], "messages": row["messages"][:-1], "expected": row["messages"][-1]["content"]}
            for row in per_group(held_out(self.instructions, self.split), "task", self.each)
        ]
        if self.prompts is not None:
            asked += [
                {"id": row["id"], "task": row["kind"], "messages": [{"role": "user", "content": row["text"]}], "expected": ""}
                for row in per_group(held_out(self.prompts, self.split), "kind", self.each)
                if row["kind"] != "toxic"  # openings to continue, no questions
            ]
        asked.sort(key=lambda row: (row["task"], row["id"]))
        given = answers(
            model, processor, [row["messages"] for row in asked], render=self.render,
            max_new_tokens=self.max_new_tokens, batch_size=self.batch_size,
        )  # fmt: skip
        return [
            {"id": row["id"], "task": row["task"], "prompt": row["messages"][-1]["content"], "answer": answer, "expected": row["expected"]}
            for row, answer in zip(asked, given, strict=True)
        ]
