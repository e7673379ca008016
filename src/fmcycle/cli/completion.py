"""Shell completion: the script of bash, zsh or fish, and the words that a shell offers at a TAB."""

from typing import Any

from fmcycle.cli import verbs, view
from fmcycle.config import groups

SCRIPTS = {  # all call `fmcycle completion SHELL WORDS` at each TAB, so that they know the yamls of the current folder
    "bash": r"""_fmcycle() {
  local IFS=$'\n'
  read -rd '' -a COMPREPLY < <("${COMP_WORDS[0]}" completion bash "${COMP_WORDS[*]:0:COMP_CWORD+1}" 2>/dev/null)
  [[ ${COMPREPLY-} == *[=.] ]] && compopt -o nospace 2>/dev/null
  return 0
}
complete -o default -F _fmcycle fmcycle""",
    "zsh": r"""_fmcycle() {
  local -a found=(${(f)"$($words[1] completion zsh "${(F)words[1,CURRENT]}" 2>/dev/null)"})
  (( $#found )) || { compset -P '*='; _files; return }
  compadd -S '' -- ${(M)found:#*[=.]}
  compadd -- ${found:#*[=.]}
}
compdef _fmcycle fmcycle""",
    "fish": r"""function __fmcycle
    set -l line (commandline -opc)
    set -l last (commandline -ct)
    set -l found ($line[1] completion fish -- $line "$last" 2>/dev/null | string match -r '.+')
    if test (count $found) -gt 0
        printf '%s\n' $found
        return
    end
    set -l before (string match -r '^.*=' -- "$last")
    set -l path (string replace -r '^.*=' '' -- "$last")
    for file in (complete -C "'' $path")
        echo "$before$file"
    end
end
complete -c fmcycle -f -a '(__fmcycle)'""",
}
BREAKS = ("=", "@", ":")  # bash splits a word at each


def main(arguments: list[str]) -> None:
    """Print the script of a shell, or the words that complete the line, one a line."""
    given = verbs.parse("completion", arguments)
    if not given.words:
        print(SCRIPTS[given.shell])
        return
    pieces = "\n".join(given.words).split("\n")[1:] or [""]
    line: list[str] = []
    for before, piece in zip(["", *pieces], pieces, strict=False):
        if line and (before in BREAKS or piece in BREAKS):
            line[-1] += piece
        else:
            line.append(piece)
    last = "" if pieces[-1] in BREAKS else pieces[-1]
    shown = len(line[-1]) - len(last) if given.shell == "bash" else 0
    print("\n".join(word[shown:] for word in offers(line)))


def offers(line: list[str]) -> list[str]:
    """Return the words that may complete the last word of `line`, the words behind `fmcycle`; ignores a quote before it."""
    *before, word = line
    word = word.lstrip("'\"")
    sign = word[: len(word) - len(word.lstrip("+~"))]
    found = [sign + each for each in _following(before, word.removeprefix(sign))]
    return sorted(each for each in found if each.startswith(word))


def _following(before: list[str], word: str) -> list[str]:
    """Return the words that may follow `before`; options of a group and keys of an option only if `word` names it."""
    if not before:
        return [name for name, each in verbs.parsers().items() if each.get_default("group")] + ["--help", "--version"]
    verb, *rest = before
    actions = verbs.parser(verb)._actions
    if values := [each.choices for each in actions if rest and rest[-1] in each.option_strings and each.choices]:
        return [*values[0]]
    if word.startswith("-"):
        return [name for each in actions for name in each.option_strings]
    if verb == "plan":
        return _choices(rest[0], rest[1:], word) if rest else view.trained()
    if verb in groups.stages():
        return _choices(verb, rest, word)
    return [name for each in actions if not each.option_strings for name in each.choices or ()]


def _choices(stage: str, before: list[str], word: str) -> list[str]:
    """Return the groups and keys of a stage, the options of a group, or the keys of its chosen option."""
    places = view.defaults(stage) | {"collection": [], "experiment": []}
    if "=" in word:
        head = word[: max(map(word.rfind, "=[,")) + 1]
        return [head + option for option in view.options(word.partition("=")[0], stage)]
    own = groups.content("stage", stage)
    node: Any = own | dict.fromkeys([*places, "base", "out"], "")
    *path, _ = word.split(".")
    if path:
        chosen = [text.partition("=")[2] for text in before if text.startswith(f"{path[0]}=")] or places.get(path[0], [])
        contents = [groups.content(path[0], option) for option in chosen] + [own.get(path[0]) or {}]
        node = {key: value for each in contents for key, value in each.items()}
    for name in path[1:]:
        node = node.get(name) if isinstance(node, dict) else None
    head = word[: word.rfind(".") + 1]
    keys = {name: value for name, value in node.items() if name[0] != "_" and name != "defaults"} if isinstance(node, dict) else {}
    return [f"{head}{name}{'.' if isinstance(value, dict) else '='}" for name, value in keys.items()]
