"""Answers to show: fixed held-out instructions and safety prompts, greedily answered."""

from dataclasses import dataclass, field

from fmcycle.evaluation import need
from fmcycle.evaluation.generate import answers, asking
from fmcycle.evaluation.held_out import held_out, per_group
from fmcycle.processor.chat import answer_text
from fmcycle.ranges import ExistingPath, PositiveInt


@dataclass
class Sample:
    """(model, processor) -> rows {"id", "task", "prompt", "answer", "expected"}; the first `each` of a task or kind by digest.

    Nobody picks them, so a bad answer shows as likely as a good one. prompts: safety prompts of the kinds harmful and harmless.
    """

    instructions: ExistingPath
    prompts: ExistingPath | None = None
    split: str = "test"
    each: PositiveInt = 4
    max_new_tokens: PositiveInt = 96
    batch_size: PositiveInt = 16
    guardrail: dict | None = None
    stop: list[str] = field(default_factory=list)

    def check(self, model, processor) -> str:
        """Return "". Raises InputError if the model can't be asked."""
        need.chats(model, processor)
        return ""

    def __call__(self, model, processor) -> list[dict]:
        asked = [
            {"id": row["id"], "task": row["task"], "messages": row["messages"][:-1], "expected": answer_text(processor, row["messages"])}
            for row in per_group(held_out(self.instructions, self.split), "task", self.each)
        ]
        if self.prompts is not None:
            asked += [
                {"id": row["id"], "task": row["kind"], "messages": [{"role": "user", "content": row["text"]}], "expected": ""}
                for row in per_group(held_out(self.prompts, self.split), "kind", self.each)
                if row["kind"] != "toxic"  # openings to continue, no questions
            ]
        asked.sort(key=lambda row: (row["task"], row["id"]))
        given = answers(model, processor, [row["messages"] for row in asked], **asking(self))
        shown = [
            {"id": row["id"], "task": row["task"], "prompt": row["messages"][-1]["content"], "expected": row["expected"]} for row in asked
        ]
        return [row | {"answer": answer.text, "refused": bool(answer.refusals)} for row, answer in zip(shown, given, strict=True)]
