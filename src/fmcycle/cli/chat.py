"""`fmcycle chat MODEL`: a conversation with a model on the terminal, or with the lines of a pipe."""

import asyncio
import contextlib
import sys
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from fmcycle.cli import verbs
from fmcycle.cli.model_folder import served
from fmcycle.config.build import build
from fmcycle.errors import InputError
from fmcycle.serving.pipeline import Draft, Pipeline

HELP = "/reset begins anew, /system TEXT sets the system message, /quit or Ctrl-D ends; Ctrl-C stops an answer"


def main(arguments: list[str]) -> int:
    """Run the verb: answer each line of the terminal, or of standard input, until its end."""
    from fmcycle.runner.run import quiet

    given = verbs.parse("chat", arguments)
    folder, nodes = served(given.model, *given.overrides)
    quiet()
    from fmcycle.serving import place

    engine = place.engine(nodes["engine"], folder)
    if "chat" not in engine.tasks:
        why = "its tokenizer has no chat template" if "completion" in engine.tasks else f"it does {' and '.join(engine.tasks)}"
        raise InputError(f"{folder} does not chat: {why}; `fmcycle serve {given.model}` has a page for what it does")
    options = {"temperature": given.temperature} | ({"max_tokens": given.max_tokens} if given.max_tokens else {})
    chat = Chat(Pipeline(engine, build(nodes["guardrail"])), options)
    if given.system:
        chat.system(given.system)
    terminal = sys.stdin.isatty()
    if terminal:
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401  (input() then edits lines and remembers them)
        guards = sum(map(len, nodes["guardrail"].values()))
        print(f"{folder}, {f'behind {guards} guards' if guards else 'without guards'}; {HELP}")
    while (line := _read(terminal)) is not None and line != "/quit":
        chat.turn(line)
    return 0


def _read(terminal: bool) -> str | None:
    """Return the next line; None at the end. Ctrl-C at the prompt begins the line anew."""
    while True:
        try:
            line = input("> " if terminal else "").strip()
        except EOFError:
            return None
        except KeyboardInterrupt:
            if not terminal:
                raise
            print()
            continue
        if line:
            return line


@dataclass
class Chat:
    """A conversation. options: of a draft, `max_tokens` and fields of `Sampling`; messages: the turns so far."""

    pipeline: Pipeline
    options: dict[str, Any]
    messages: list[dict] = field(default_factory=list)

    def system(self, text: str) -> None:
        """Replace the system message; "" removes it."""
        rest = [message for message in self.messages if message["role"] != "system"]
        self.messages = ([{"role": "system", "content": text}] if text else []) + rest

    def turn(self, line: str) -> None:
        """Obey a command, or print the answer to a question as it is written. A question without an answer leaves the conversation."""
        command, _, rest = line.partition(" ")
        if command == "/reset":
            self.messages = [message for message in self.messages if message["role"] == "system"]
        elif command == "/system":
            self.system(rest.strip())
        elif command.startswith("/"):
            print(f"{command}: no such command; {HELP}", file=sys.stderr)
        else:
            self.ask(line)

    def ask(self, question: str) -> None:
        """Print the answer to a question and remember both."""
        asked = [*self.messages, {"role": "user", "content": question}]
        try:
            draft = self.pipeline.chat(asked, **self.options)
        except InputError as error:  # a template may refuse a system message, or another order of roles
            print(f"{error}", file=sys.stderr)
            return
        stopped = False
        try:
            asyncio.run(self._write(draft))
        except KeyboardInterrupt:
            stopped = True
        limit = len(draft.request.ids) + draft.request.sampling.max_tokens >= self.pipeline.engine.positions
        raised = "/reset makes room" if limit else "--max-tokens N allows more"
        cut = f" [cut at the limit of {draft.request.sampling.max_tokens} tokens; {raised}]" if draft.finish == "length" else ""
        print(" [stopped]" if stopped else cut, flush=True)
        if draft.text and not draft.refusals:
            self.messages = [*asked, {"role": "assistant", "content": draft.text.strip()}]

    async def _write(self, draft: Draft) -> None:
        """Print the pieces of an answer as the engine makes them; a cancelled call ends the engine's work on it."""
        engine = self.pipeline.engine
        print(draft.open(), end="", flush=True)
        if draft.done:
            return
        handle = await engine.submit(draft.request)
        try:
            async with aclosing(engine.stream(handle)) as tokens:
                async for token in tokens:
                    print(draft.push(token), end="", flush=True)
                    if draft.done:
                        break
        finally:
            await asyncio.shield(engine.abort(handle))
        print(draft.close(), end="", flush=True)
