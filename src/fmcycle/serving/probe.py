"""Asks the engine and the guards of a package once, in a process of its own, before it replaces a deployed one."""

import json
import math
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from fmcycle.config.build import build
from fmcycle.engine import protocol
from fmcycle.errors import InputError, Refused
from fmcycle.processor import components, media, store
from fmcycle.serving import place
from fmcycle.serving.pipeline import Pipeline

SECONDS = 300
SPARE = 8 << 30  # bytes of memory beyond the weights
HELLO = [{"role": "user", "content": "Hello"}]


def probe(folder: str | Path, served: dict, *, seconds: int = SECONDS) -> None:
    """Load the model in `folder` as `served` {"engine", "guardrail"} says, in a child process, and ask it once.

    Raises InputError with the child's own sentence if the model does not answer, takes longer than `seconds`, or needs much more memory
    than its weights.
    """
    command = [sys.executable, "-m", "fmcycle.serving.probe", str(folder)]
    known = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}  # so that the child imports the same modules
    try:
        done = subprocess.run(command, input=json.dumps(served), capture_output=True, text=True, timeout=seconds, env=known)
    except subprocess.TimeoutExpired:
        raise InputError(f"{folder}: the model gave no answer within {seconds} s, so it can't be served") from None
    if done.returncode:
        lines = [line for line in done.stderr.strip().splitlines() if line.strip()] or [f"the process ended with {done.returncode}"]
        raise InputError(f"{folder}: the model can't be served: {lines[-1]}")


def ask(folder: str | Path, served: dict) -> None:
    """Build engine and guards and ask them; the child calls this."""
    engine, guards = place.engine(served["engine"], folder), build(served["guardrail"])
    answers(engine, [*guards.get("input", []), *guards.get("output", [])])


def answers(engine: Any, guards: list) -> None:
    """Warm an engine up and ask it once. Raises InputError if it breaks `fmcycle.engine.protocol` or an answer is invalid."""
    protocol.check(engine)
    engine.warm_up()
    finite(getattr(engine, "model", None))
    asks = {"chat": _chat, "completion": _completion, "embed": _embed, "classify": _classify}
    asks |= {"generate_image": _generate_image, "transcribe": _transcribe}
    for task in engine.tasks:
        asks[task](engine)
    for guard in guards:
        try:
            answer = guard("Hello")
        except Refused:
            continue
        if not isinstance(answer, str):
            raise InputError(f"{type(guard).__name__}: a guard gives a text or refuses one; this one gave a {type(answer).__name__}")


def finite(model: Any) -> None:
    """Raise InputError if a weight of a torch model is not a finite number."""
    import torch

    for name, weight in model.named_parameters() if isinstance(model, torch.nn.Module) else ():
        if not torch.isfinite(weight.float().sum()):
            raise InputError(f"the weight {name} is not finite")


def _chat(engine) -> None:
    _tokens(engine, Pipeline(engine).chat(HELLO, max_tokens=2).request)


def _completion(engine) -> None:
    _tokens(engine, Pipeline(engine).completion("Hello", max_tokens=2).request)


def _tokens(engine, request: protocol.Request) -> None:
    ids, limit = list(request.ids), request.sampling.max_tokens
    if limit < 1:
        raise InputError(f"a prompt of {len(ids)} tokens leaves no room for an answer in the model's {engine.positions} positions")
    _finite_row(getattr(engine, "model", None), ids)
    size = len(components.tokenizer_of(engine.processor))
    (tokens,) = protocol.generate(engine, [request])
    for token in tokens:
        if not isinstance(token, int) or not 0 <= token < size:
            raise InputError(f"the engine gave {token!r}, which is no token of the {size} that the processor has")
    if len(tokens) > limit:
        raise InputError(f"the engine gave {len(tokens)} tokens, and {limit} were asked for")


def _finite_row(model: Any, ids: list[int]) -> None:
    import torch

    if not isinstance(model, torch.nn.Module) or getattr(getattr(model, "config", None), "is_encoder_decoder", False):
        return
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([ids or [0]]).to(next(model.parameters(), torch.empty(0)).device)).logits
    if not torch.isfinite(logits).all():
        raise InputError("the logits of a first row are not finite")


def _embed(engine) -> None:
    vectors, _ = engine.embed([_item(engine)])
    if not all(math.isfinite(value) for value in vectors[0]):
        raise InputError("the vector of a first input is not finite")


def _classify(engine) -> None:
    (answer,) = engine.classify([_item(engine)])
    if not answer or not all(math.isfinite(value) and -1e-6 <= value <= 1 + 1e-6 for value in answer.values()):
        raise InputError("the probabilities of a first input are no probabilities")


def _item(engine):
    """Return an input of a kind that the engine takes."""
    return {"text": "Hello", "image": _picture(), "audio": _sound()}[engine.takes[0]]


def _picture() -> bytes:
    import numpy as np

    return media.as_png(np.zeros((3, 32, 32), dtype=np.float32))


def _sound() -> bytes:
    import numpy as np

    return media.as_wav(0.1 * np.sin(np.arange(4_000) * 0.17), 16_000)  # 0.25 s, because some models hear less than a second


def _generate_image(engine) -> None:
    prompt = (getattr(engine, "classes", None) or [""])[0]
    try:
        drawn = engine.generate_image(prompt, n=1, seed=0, steps=1, guidance=None)
    except InputError:  # the engine takes no steps
        drawn = engine.generate_image(prompt, n=1, seed=0, steps=None, guidance=None)
    media.picture(drawn[0])


def _transcribe(engine) -> None:
    if not isinstance(engine.transcribe(_sound()), str):
        raise InputError("a transcript is a text")


def limit_memory(folder: Path, device: Any) -> None:
    """Limit this process to SPARE and six times the weights, on a GPU too; a model that needs more ends with an error."""
    import torch

    weights = sum(file.stat().st_size for file in folder.rglob("*.safetensors"))
    if device.type == "cuda":  # its driver reserves many times its memory as addresses, which do not count as the model's
        torch.zeros(1, device=device)
        whole = torch.cuda.mem_get_info(device)[1]
        torch.cuda.set_per_process_memory_fraction(min(1.0, (SPARE + 6 * weights) / whole), device)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() if Path("/proc/self/statm").exists() else 16 << 30
    resource.setrlimit(resource.RLIMIT_AS, (used + SPARE + 6 * weights,) * 2)


def main() -> int:
    """Probe the folder in the arguments with `served` from standard input. Exits with 2 and a sentence if the model can't be served."""
    import transformers.models.auto  # noqa: F401  (imported first, so that it does not count as the model's memory)

    folder = Path(sys.argv[1])
    try:
        limit_memory(folder, place.machine().device)
        store.load_processor(folder)
        ask(folder, json.load(sys.stdin))
    except InputError as error:
        print(str(error).replace("\n", "; "), file=sys.stderr)
        return 2
    except Exception as error:
        print(f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:300]}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
