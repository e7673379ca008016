"""A wheel with a Bible of some verses, as the registry's are."""

from fmcycle.artifact.wheel import Archive

MODULE = '''
from pythonbible.bible.bible import Bible
bible = Bible(Version.X, """{text}""", {starts}, {ends}, {{}}, {{Book.GENESIS: "Genesis", Book.PSALMS: "Psalms"}}, {{}}, False)
'''


def wheel(make_wheel, name: str, lines: list[tuple[int, str]]) -> Archive:
    """lines: (BBCCCVVV, the verse with its number)."""
    text, starts, ends = "", {}, {}
    for number, line in lines:
        starts[number], text = len(text), text + line
        ends[number] = len(text)
    file, _ = make_wheel(name, {f"{name}/plain_text_bible.py": MODULE.format(text=text, starts=starts, ends=ends)})
    return Archive(file)
