"""Answers requests with the deployed model, behind its guardrails, and stores every answer."""

from collections.abc import Sequence
from pathlib import Path

from fmcycle.config.build import build
from fmcycle.errors import InputError
from fmcycle.processor import components, media
from fmcycle.processor.chat import plain_ids
from fmcycle.serving import metrics, place
from fmcycle.serving.answer import Answer
from fmcycle.serving.api_error import ApiError
from fmcycle.serving.keeper import Keeper
from fmcycle.serving.pipeline import Pipeline
from fmcycle.serving.schema import Chat, Completion
from fmcycle.serving.store import Store

FAR = 32  # characters for each token of the context; a longer text is counted piece by piece first
PIECE = 4096  # characters

CAN = {  # task of an engine: what the error message says of it
    "chat": "chats at /v1/chat/completions",
    "completion": "writes a text at /v1/completions",
    "embed": "gives vectors at /v1/embeddings",
    "classify": "names classes at /classify",
    "generate_image": "draws at /v1/images/generations",
    "transcribe": "writes down speech at /v1/audio/transcriptions",
}


class Assistant:
    """Answers requests with the engine and the guardrails that the package names."""

    def __init__(self, model: str | Path, package: dict, store: Store):
        """`model`: the folder of the model, already verified; `package`: the content of its package.json."""
        self.engine = place.engine(package["engine"], model)
        self.pipeline = Pipeline(self.engine, build(package["guardrail"]))
        self.package, self.store, self.keeper = package, store, Keeper(store)
        self.tokenizer = components.tokenizer_of(self.engine.processor)

    @property
    def name(self) -> str:
        """The name of the deployed model at /v1/models."""
        return f"fmcycle:{self.package['tag']}"

    def need(self, task: str, model: str = "") -> None:
        """Raise ApiError 404 if the deployed model is not `model` or lacks `task`; the message says which model and tasks there are."""
        if model not in ("", "fmcycle", self.name):
            raise ApiError(404, f"no such model here; there is fmcycle, which is {self.name}", "model_not_found", "model")
        if task not in self.engine.tasks:
            can = " and ".join(CAN[each] for each in self.engine.tasks)
            raise ApiError(404, f"the deployed model does not do this; it {can}", "task_not_supported")

    def ask(self, request: Chat | Completion) -> Answer:
        """Return an answer that has not begun. Raises ApiError for a wrong model, an unreadable image or a prompt beyond the context."""
        self.need("chat" if (chat := isinstance(request, Chat)) else "completion", request.model)
        wanted = request.limit()
        options = {"max_tokens": wanted, "stop": request.stop or (), **request.sampling()}
        if isinstance(request, Chat):
            seen = [message.images() for message in request.messages]
            images = [image for each in seen for image in each]
            self._check(images)
            told = [message.plain() for message in request.messages]
            self._check_length([message["content"] for message in told], "messages")
            messages: list[dict] = [message | {"images": len(each)} for message, each in zip(told, seen, strict=True)]
            try:
                draft = self.pipeline.chat(messages, images=images, **options)
            except InputError as error:  # a template may demand another order of roles
                raise ApiError(400, f"messages: {error}", "invalid_value", "messages") from None
        else:
            self._check_length([request.prompt], "prompt")
            draft = self.pipeline.completion(request.prompt, **options)
        if draft.request.sampling.max_tokens < (wanted or 1):
            tokens = f"{len(draft.request.ids)} tokens of prompt" + (f" and {wanted} of answer" if wanted else "")
            message = f"{tokens} exceed the model's context of {self.engine.positions}: shorten the prompt or lower max_tokens"
            raise ApiError(400, message, "context_length_exceeded", "messages" if chat else "prompt")
        return Answer(self, request, draft)

    def _check_length(self, texts: list[str], param: str) -> None:
        """Refuse a text far beyond the context after its first tokens: to tokenize all of 1 MB would take a thread seconds."""
        limit, count = self.engine.positions, 0
        if sum(map(len, texts)) <= FAR * limit:
            return
        for text in texts:
            for start in range(0, len(text), PIECE):
                count += len(plain_ids(self.tokenizer, text[start : start + PIECE])) - 1  # a cut inside a word may add one token
                if count > limit:
                    message = f"more than {limit} tokens of prompt exceed the model's context of {limit}: shorten the prompt"
                    raise ApiError(400, message, "context_length_exceeded", param)

    def _check(self, images: list[bytes]) -> None:
        if images and "image" not in self.engine.takes:
            raise ApiError(400, "messages: the deployed model reads no pictures, only text", "image_not_supported", "messages")
        for number, image in enumerate(images):
            try:
                media.picture(image)
            except ValueError as error:
                raise ApiError(400, f"messages: picture {number + 1} is {error}", "invalid_image", "messages") from None

    def keep(self, name: str, kind: str, prompt: list[dict[str, str]], answer: str, media: Sequence[bytes] = (), **row) -> None:
        """Store an answer, with the files that its prompt names, and count it in the metrics.

        row: created (datetime), finish, prompt_tokens, answer_tokens, latency (seconds); wait: True to return after the answer is on disk.
        """
        created, finish, wait = row.pop("created"), row["finish"], row.pop("wait", True)
        told = {"answer_id": name, "time": created.isoformat(timespec="microseconds"), "kind": kind, "prompt": prompt, "answer": answer}
        made = {key: self.package[key] for key in ("model", "processor", "config")}
        row |= {"refused": finish == "content_filter", "latency": round(row["latency"], 4)}
        self.keeper.answer(told | made | row, media, wait=wait)
        metrics.ANSWERS.labels(finish=finish).inc()
        metrics.TOKENS.labels(kind="prompt").inc(row["prompt_tokens"])
        metrics.TOKENS.labels(kind="answer").inc(row["answer_tokens"])
        metrics.LATENCY.observe(row["latency"])
