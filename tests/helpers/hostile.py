"""Bodies of at most 1 MB that were made to hurt, for every route: each is wrong in some way, and must be told so fast."""

import base64
import json

MB = 1_000_000
NUL = "\\u0000"
HALF = "\\ud83d"
# of each route: the family that answers it, a good body, and the field in which much can be put
ROUTES = {
    "/v1/chat/completions": ("decoder", {"messages": [{"role": "user", "content": "x"}]}, "messages"),
    "/v1/completions": ("decoder", {"prompt": "x"}, "prompt"),
    "/v1/embeddings": ("encoder", {"input": "x"}, "input"),
    "/classify": ("text_classifier", {"input": "x"}, "input"),
    "/v1/images/generations": ("diffusion", {"prompt": "cat"}, "prompt"),
    "/v1/feedback": ("decoder", {"id": "ans-1", "rating": 1}, "comment"),
}


def much(unit: str, size: int = MB) -> str:
    """`unit`s in a list, about `size` long."""
    return f"[{','.join([unit] * (size // (len(unit) + 1)))}]"


def nested(depth: int, begin: str = "[", end: str = "]", core: str = "") -> str:
    return begin * depth + core + end * depth


def fields(count: int, value: str = "1") -> str:
    return ",".join(f'"field_number_{number}":{value}' for number in range(count))


def chat_with(url: str) -> str:
    return json.dumps([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}])


# JSON of a value that stands in a field
VALUES = {
    **{name: much(unit) for name, unit in {"zeros": "0", "objects": "{}", "lists": "[]", "texts": '""', "nulls": "null"}.items()},
    "many messages": much('{"role":"user","content":"x"}'),
    "many parts": f'[{{"role":"user","content":{much(json.dumps({"type": "text", "text": ""}))}}}]',
    "wrong parts": f'[{{"role":"user","content":{much("0")}}}]',
    "unknown fields inside": f'[{{"role":"user","content":"x",{fields(45_000)}}}]',
    "unknown fields in many": much('{"a":1,"b":2,"c":3}'),
    **{f"lists {depth} deep": nested(depth) for depth in (33, 400, 480, 700, 900, 990, 1100, 100_000, 500_000)},
    **{f"objects {depth} deep": nested(depth, '{"a":', "}", "1") for depth in (33, 480, 900, 990, 150_000)},
    "mixed deep": nested(480, '[{"a":', "}]", "1"),
    "a number beyond all": "1e999999",
    "a long integer": "9" * 5_000,
    "a very long integer": "9" * MB,
    "long integers": much("9" * 4_299),
    "long floats": much("1e" + "9" * 4_000),
    "not finite": "NaN",
    "escapes": f'"{NUL * (MB // 6)}"',
    "half surrogates": f'"{HALF * (MB // 6)}"',
    "one escape at the end": f'"{"x" * 900_000}{NUL}"',
    "a picture that is none": json.dumps([{"media_type": "image/png", "data": base64.b64encode(b"\0" * 700_000).decode()}]),
    "no base64": json.dumps([{"media_type": "image/png", "data": "A" * 900_000 + "!"}]),
    "a long link": json.dumps(
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64," * 40_000}}]}]
    ),
    "a picture in a chat": chat_with(f"data:image/png;base64,{'A' * 900_000}"),
    "a long role": json.dumps([{"role": "user" * 200_000, "content": "x"}]),
    "a long type": json.dumps([{"role": "user", "content": [{"type": "text" * 200_000}]}]),
    "a number": "0",
    "an object": "{}",
}

# whole bodies
BODIES = {
    "nothing": b"",
    "blanks": b" " * MB,
    "brackets": b"[" * MB,
    "objects": b'{"a":' * (MB // 5),
    "an open text": b'{"a":"' + b"x" * MB,
    "backslashes": b'{"a":"' + b"\\" * MB,
    "digits": b"1" * MB,
    "minuses": b"-" * MB,
    "commas": b"{" + b"," * MB,
    "no UTF-8": b"\xff" * MB,
    "no UTF-8 at the end": b'{"a":"' + b"x" * MB + b'\xff"}',
    "UTF-16": ('{"a":"' + "x" * (MB // 2) + '"}').encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "no object": much("{}").encode(),
    "a text": json.dumps("x" * MB).encode(),
    "a word": b"nul" * 300_000,
}


def bodies(route: str) -> dict[str, bytes]:
    """{name: body} for a route that takes JSON."""
    _, good, field = ROUTES[route]
    head = json.dumps(good)[:-1]
    rest = json.dumps({name: value for name, value in good.items() if name != field})[:-1]
    begin = rest + ("," if len(rest) > 1 else "")
    made = {f"{name} in {field}": f'{begin}"{field}":{value}}}'.encode() for name, value in VALUES.items()}
    made |= {f"{name} in a field beside": f'{head},"temprature":{value}}}'.encode() for name, value in VALUES.items()}
    made |= {
        "45,000 unknown fields": f"{head},{fields(45_000)}}}".encode(),
        "19,000 unknown fields": f"{head},{fields(19_000)}}}".encode(),
        "long unknown fields": f"{head},{','.join(f'{json.dumps(str(n) * 2_000)}:1' for n in range(100, 250))}}}".encode(),
        "one long unknown field": f'{head},"{"temperature" * 80_000}":1}}'.encode(),
        "a field 150,000 times": (head + ',"a":1' * 150_000 + "}").encode(),
        "a field twice": f'{head},"{field}":"x","{field}":"x"}}'.encode(),
        "half a surrogate twice": f'{head},"{HALF}":1,"{HALF}":1}}'.encode(),
        "a NUL twice": f'{head},"{NUL}":1,"{NUL}":1}}'.encode(),
        "a field twice inside": f'{head},"metadata":{{"a":"1","\\u0061":"2"}}}}'.encode(),
    }
    return made | BODIES


def part(name: str, content: bytes = b"x", more: str = "") -> bytes:
    """One part of a form whose boundary is b."""
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + content + b"\r\n"


END = b"--b--\r\n"
UNITS = (b"\r", b"\n", b"\r\n-", b"\r\n--", b"\r\n--b\r")
FILE = '; filename="a.wav"'
FORMS = {
    "nothing": b"",
    "no form": b"x" * MB,
    "line ends": b"\r\n" * (MB // 2),
    "many fields": b"".join(part(f"a{number}") for number in range(15_000)) + END,
    "many files": b"".join(part(f"a{number}", more=FILE) for number in range(12_000)) + END,
    "a field of 1 MB": part("file", more=FILE) + part("model", b"x" * MB) + END,
    "a field twice": part("file", more=FILE) + part("model") * 2 + END,
    "a file and a field": part("file", more=FILE) + part("file") + END,
    "no name": b"--b\r\n\r\n\r\nx\r\n" + END,
    "no end": part("file", b"x" * MB, FILE),
    "many headers": b"--b\r\n" + b"".join(b"a%d: x\r\n" % number for number in range(80_000)) + b"\r\nx\r\n" + END,
    "a long header": b"--b\r\nA: " + b"x" * MB + b"\r\n\r\nx\r\n" + END,
    "a long name": part("x" * MB) + END,
    "quotes": part('\\"' * (MB // 2)) + END,
    "semicolons": part("a", more=";a=" * (MB // 3)) + END,
    **{
        f"{unit!r} in the file": part("file", unit * (MB // len(unit)), FILE) + END
        for unit in (b"\r", b"\n", b"\r\n-", b"\r\n--", b"\r\n--b\r")
    },
    "unknown": part("file", more=FILE) + part("modle") + END,
}
