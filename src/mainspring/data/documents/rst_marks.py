"""How the constructs of reStructuredText begin. After docutils' `states.Body.patterns` and `.explicit`."""

from __future__ import annotations

import re

RULE = re.compile(r"([!-/:-@\[-`{-~])\1*\Z")
BULLET = re.compile(r"[-+*•‣⁃](?: +|\Z)")
ENUMERATOR = re.compile(r"(?:\((\w+|#)\)|(\w+|#)[.)])(?: +|\Z)")
ORDINAL = re.compile(r"\d+\Z|[a-zA-Z]\Z|[ivxlcdm]+\Z|[IVXLCDM]+\Z|#\Z")
FIELD = re.compile(r":(?![: ])((?:[^:\\]|\\.|:(?![ `]|\Z))*)(?<! ):(?: +|\Z)")
_ONE_OPTION = (
    r"(?:-[A-Za-z0-9](?: ?[A-Za-z][\w-]*| ?<[^<>]+>)?|(?:--|/)[A-Za-z0-9][\w-]*(?:[ =](?:[A-Za-z][\w-]*|<[^<>]+>))?)"
)
OPTION = re.compile(rf"{_ONE_OPTION}(?:, {_ONE_OPTION})*(?:  +| ?\Z)")
FOOTNOTE = re.compile(r"\[(\d+|#[\w.+-]*|\*|\w[\w.+-]*)\](?: +|\Z)")
TARGET = re.compile(r"_(?:(_)|`([^`]+)`|(?![ _])((?:\\.|[^\\:]|:(?! |\Z))+)):(?: +|\Z)")
SUBSTITUTION = re.compile(r"\|(?! )([^|]+)\| +([\w.+:-]+)::(?: +|\Z)")
DIRECTIVE = re.compile(r"([^\W_]+(?:[-._+:][^\W_]+)*) ?::(?: +|\Z)")
# Anywhere in a text: targets with addresses, and what stands for a name.
EXTERNAL = re.compile(r"\.\. _(?:`([^`\n]{1,200})`|([^:`\n]{1,200})): +(\S+) *\r?$", re.MULTILINE)
REPLACED = re.compile(r"\.\. \|([^|\n]{1,200})\| replace:: +([^\r\n]*)")
