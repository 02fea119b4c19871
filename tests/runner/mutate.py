# SPDX-License-Identifier: MIT
"""
Generates mutants: a C file with one small mistake in one function.

There is no C parser, only tokens and the statements they form. That is enough to find what can be left out or inverted;
the compiler rejects the rest. Assertions, messages and race points are left alone, and so are the files and functions
that only check: a kernel without them is not wrong.
"""

import bisect
import collections.abc
import dataclasses
import hashlib
import re

TOKEN = re.compile(r"""
    (?P<space>  \s+ | /\*.*?\*/ | //[^\n]* | ^[ \t]*\#(?:\\\n|[^\n])* )
  | (?P<string> "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' )
  | (?P<number> \.?[0-9](?:[eEpP][+-]|[\w.])* )
  | (?P<name>   [A-Za-z_]\w* )
  | (?P<mark>   <<= | >>= | \.\.\. | -> | \+\+ | -- | && | \|\| | [-+*/%&|^=!<>]= | << | >> | . )
""", re.VERBOSE | re.DOTALL | re.MULTILINE)

# Calls that no program and no other CPU can observe.
DEBUG_ONLY = re.compile(r"ASSERT$|BUG_ON$|assert_|klog$|panic$|_?Static_assert$|static_assert$|race_point$|"
                        r"schedule_point$|schedule_fuzz$|might_sleep$|lock_order_check$|lock_acquire_check$|"
                        r"lock_release_check$|machine_poison$|poison_\w+$|(pages|slab)_check_poison$|printf$")
CHECKING_FILES = ("mm/check/check.c", "mm/check/check_mm.c", "mm/debug/race.c")
CHECKING_FUNCTIONS = re.compile(r".*:(assert_|poison_|(pages|slab)_check_poison)|mm/vma/rmap.c:rmap_check|"
                                r"mm/vma/vma_tree.c:(vma_tree_)?check|"
                                r"mm/swap/swap_area.c:(swap_entries_counted|swap_area_is_held)|"
                                r"mm/vma/vma_lock.c:mm_is_read_locked_at")

TYPES = {"const", "static", "struct", "enum", "union", "unsigned", "signed", "int", "long", "short", "char", "bool",
         "void", "volatile", "extern", "typeof", "size_t", "u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64"}
SHIFTED = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
SIGNS = {"+": "-", "-": "+", "+=": "-=", "-=": "+=", "++": "--", "--": "++", "<<": ">>", ">>": "<<"}
BITS = {"&": "|", "|": "&", "|=": "&=", "&=": "|="}
WORDS = {"true": "false", "false": "true", "min": "max", "max": "min"}
# defined on the command line that compiles a mutant
PLAIN = {"load_acquire": "PLAIN_LOAD", "store_release": "PLAIN_STORE"}
PAIRS = (("lock", "unlock"), ("get", "put"), ("ref", "unref"), ("inc", "dec"), ("begin", "end"), ("trylock", "unlock"))
ASSIGNMENTS = {"=", "+=", "-=", "|=", "&=", "^=", "<<=", ">>=", "*=", "/=", "%="}
OPENING, CLOSING = {"(", "[", "{"}, {")", "]", "}"}

OPERATORS = {
    "drop": "a statement is left out",
    "never": "what an if guards is left out",
    "turn": "a condition is turned round",
    "unpair": "a lock or a reference is left out, with what gives it back",
    "shift": "a comparison is shifted or turned",
    "operand": "one side of && or || is left out",
    "logic": "&& becomes ||, or the other way round",
    "not": "a ! or ~ is left out",
    "constant": "a number is off by one; true is false; min is max",
    "sign": "+ becomes -, << becomes >>",
    "bits": "& becomes |",
    "return": "0 is returned",
    "order": "an acquire or a release becomes a plain access",
}
NEEDS_TSAN = ("unpair", "order")  # only show in the order in which threads see accesses


Span = tuple[int, int]  # of tokens, the second behind the last
Edit = tuple[int, int, str]  # a span of tokens, and what takes its place


@dataclasses.dataclass
class Token:
    text: str
    kind: str
    start: int
    end: int


@dataclasses.dataclass(frozen=True)
class Mutant:
    # FILE:FUNCTION:OPERATOR:HASH; the hash is of the statement, so that edits elsewhere and moves do not change it
    name: str
    path: str
    function: str
    operator: str
    line: int
    edits: tuple[Edit, ...]  # here in characters of the file's text

    def apply(self, text: str) -> str:
        for start, end, replacement in sorted(self.edits, reverse=True):
            # The number of lines stays, or each later assertion would look changed.
            text = text[:start] + replacement + "\n" * text[start:end].count("\n") + text[end:]
        return text


def mutants_of(path: str, text: str) -> list[Mutant]:
    """Returns all mutants of a file, in its order, including those that are no valid C, or no change."""
    return [] if path in CHECKING_FILES else File(path, text).mutants


class File:
    def __init__(self, path: str, text: str) -> None:
        self.path, self.text = path, text
        self.tokens = [token for token in tokens_of(text) if token.kind != "space"]
        self.partner = self._match()
        self.lines = [match.start() for match in re.finditer("\n", text)]
        self.mutants: list[Mutant] = []
        self.seen: dict[tuple[str, str, str], int] = {}
        for name, start, end in self._functions():
            if not CHECKING_FUNCTIONS.match(f"{path}:{name}"):
                self.function, self.body = name, (start, end)
                self._block(start)

    def text_of(self, start: int, end: int) -> str:
        """Returns the text of the tokens [start, end), independent of their layout."""
        return " ".join(token.text for token in self.tokens[start:end])

    def _match(self) -> dict[int, int]:
        partner, stack = {}, []
        for index, token in enumerate(self.tokens):
            if token.text in OPENING and token.kind == "mark":
                stack.append(index)
            elif token.text in CLOSING and token.kind == "mark" and stack:
                partner[index] = stack.pop()
                partner[partner[index]] = index
        return partner

    def _functions(self) -> collections.abc.Iterator[tuple[str, int, int]]:
        index = 0
        while index < len(self.tokens):
            text = self.tokens[index].text
            if text == "{" and index and self.tokens[index - 1].text == ")":
                yield self.tokens[self.partner[index - 1] - 1].text, index, self.partner[index]
            index = self.partner[index] + 1 if text in OPENING and index in self.partner else index + 1

    # ---- Statements: each method takes the index of the first token, and returns that after the last one -------------

    def _block(self, index: int) -> int:
        end = self.partner[index]
        index += 1
        while index < end:
            index = self._statement(index)
        return end + 1

    def _statement(self, index: int) -> int:
        text = self.tokens[index].text
        if text == "{":
            return self._block(index)
        if text in ("if", "while", "switch", "for"):
            return self._guarded(index)
        if text == "do":
            return self._do(index)
        if text in ("case", "default"):
            return self._find(index, ":") + 1
        if text == "else":
            return self._statement(index + 1)
        if self.tokens[index].kind == "name" and self.tokens[index + 1].text == ":":
            return index + 2
        if self._is_loop_macro(index):
            return self._statement(self.partner[index + 1] + 1)
        return self._simple(index)

    def _guarded(self, index: int) -> int:
        keyword, opening = self.tokens[index].text, index + 1
        closing = self.partner[opening]
        body = closing + 1
        after = self._skip(body)
        if self._only_debug(body, after):
            return after
        if keyword == "for":
            self._for(opening, closing)
        elif keyword != "switch":
            self._condition(index, opening + 1, closing)
        if keyword == "if" and (self.tokens[body].text == "{" or self.tokens[self._skip(body)].text == "else"):
            self._add("never", index, (opening + 1, closing, "0"), (index, closing + 1))
        self._expression(opening + 1, closing, (index, closing + 1))
        self._statement(body)
        return after

    def _for(self, opening: int, closing: int) -> None:
        first = self._find(opening + 1, ";")
        second = self._find(first + 1, ";")
        if first + 1 < second:
            self._condition(opening, first + 1, second)

    def _do(self, index: int) -> int:
        self._statement(index + 1)
        opening = self._skip(index + 1) + 1
        closing = self.partner[opening]
        self._condition(opening, opening + 1, closing)
        self._expression(opening + 1, closing, (opening, closing))
        return closing + 2

    def _simple(self, index: int) -> int:
        end = self._find(index, ";")
        first, whole = self.tokens[index].text, (index, end + 1)
        if self._only_debug(index, end + 1):
            return end + 1
        if first == "return":
            self._return(index, end)
        elif self._is_declaration(index):
            if first != "static":
                equals = self._find(index, "=", end)
                self._expression(equals, end, whole)
            return end + 1
        if first != "return" or end + 1 != self.body[1]:
            self._add("drop", index, (index, end, ""), whole)
        self._unpair(index, end)
        self._expression(index, end, whole)
        return end + 1

    def _return(self, index: int, end: int) -> None:
        """Returns 0 instead of an error or a value. Constants are left to the operator `constant`."""
        value = self.tokens[index + 1:end]
        is_error = self.text_of(index + 1, end).startswith("- E")
        if is_error or any(token.kind == "name" and token.text not in ("true", "false", "NULL") for token in value):
            self._add("return", index, (index + 1, end, " 0"), (index, end + 1))

    def _unpair(self, index: int, end: int) -> None:
        """Removes `lock(x);` and each `unlock(x);` of the function."""
        name = self.tokens[index].text
        if self.tokens[index + 1].text != "(" or self.partner[index + 1] != end - 1:
            return
        for one, other in PAIRS:
            if not re.search(rf"(^|_){one}(_|$)", name):
                continue
            undo = self.tokens[index:end]
            wanted = [re.sub(rf"(^|_){one}(_|$)", rf"\g<1>{other}\2", name)] + [token.text for token in undo[1:]]
            found = [at for at in range(end, self.body[1]) if self._says(at, wanted)]
            if found:
                edits = [(at, at + len(wanted), "") for at in [index, *found]]
                self._add("unpair", index, edits, (index, end + 1))

    def _says(self, at: int, words: list[str]) -> bool:
        return [token.text for token in self.tokens[at:at + len(words)]] == words and \
            self.tokens[at - 1].text in (";", "{", "}", ")", ":", "else")

    def _condition(self, statement: int, start: int, end: int) -> None:
        """Inverts a condition, except a lone !x or x == y, which `not` and `shift` invert."""
        words = [token.text for token in self.tokens[start:end]]
        if not {"&&", "||", "?"} & set(words) and (words[0] == "!" or {"==", "!="} & set(words)):
            return
        self._add("turn", start, [(start, start, "!("), (end, end, ")")], (statement, end + 1))

    # ---- Expressions -------------------------------------------------------------------------------------------------

    def _expression(self, start: int, end: int, whole: Span) -> None:
        index = start
        while index < end:
            token = self.tokens[index]
            if token.kind == "name" and DEBUG_ONLY.match(token.text) and self.tokens[index + 1].text == "(":
                index = self.partner[index + 1] + 1
                continue
            self._one_token(index, start, end, whole)
            index += 1

    def _one_token(self, index: int, start: int, end: int, whole: Span) -> None:
        text, kind = self.tokens[index].text, self.tokens[index].kind

        def change(operator: str, replacement: str) -> None:
            self._add(operator, index, (index, index + 1, replacement), whole)

        if kind == "number":
            self._number(index, change)
        elif text in PLAIN:
            change("order", PLAIN[text])
        elif text in WORDS:
            change("constant", WORDS[text])
        elif text in SHIFTED:
            change("shift", SHIFTED[text])
        elif text in ("&&", "||"):
            change("logic", "||" if text == "&&" else "&&")
            self._operands(index, start, end, whole)
        elif text in ("!", "~"):
            change("not", "")
        elif text == "?":
            first = self._extent(index, start - 1, -1, ("?", ":", ",", "return", *ASSIGNMENTS)) + 1
            self._add("turn", index, [(first, first, "!("), (index, index, ")")], whole)
        elif text in SIGNS and (self._is_binary(index) or text in ("++", "--")):
            change("sign", SIGNS[text])
        elif text in BITS and self._is_binary(index):
            change("bits", BITS[text])

    def _number(self, index: int, change: collections.abc.Callable[[str, str], None]) -> None:
        match = re.fullmatch(r"(0[xX][0-9a-fA-F]+|[0-9]+)([uUlL]*)", self.tokens[index].text)
        if match:
            value = int(match[1], 0)
            change("constant", f"{value + 1}{match[2]}")
            if value > 1:
                change("constant", f"{value - 1}{match[2]}")

    def _operands(self, index: int, start: int, end: int, whole: Span) -> None:
        stops = ("&&", "||", "?", ":", ",", "return", *ASSIGNMENTS)
        before = self._extent(index, start - 1, -1, stops) + 1
        after = self._extent(index, end, 1, stops)
        self._add("operand", index, (before, index + 1, ""), whole)
        if self.tokens[index - 1].text != "&&":
            self._add("operand", index, (index, after, ""), whole)

    def _extent(self, index: int, limit: int, step: int, stops: collections.abc.Sequence[str]) -> int:
        """Returns the first token from `index`, in that direction, that ends an operand."""
        at = index + step
        while at != limit:
            text = self.tokens[at].text
            if text in (OPENING if step < 0 else CLOSING) or text in stops:
                break
            if at in self.partner:
                at = self.partner[at]
            at += step
        return at

    def _is_binary(self, index: int) -> bool:
        before = self.tokens[index - 1]
        return before.kind in ("number", "string") or before.text in (")", "]") or \
            before.kind == "name" and before.text not in ("return", "case", "sizeof")

    # ---- Helpers -----------------------------------------------------------------------------------------------------

    def _find(self, index: int, text: str, limit: int | None = None) -> int:
        """Returns the index of the next such token outside brackets."""
        limit = self.body[1] if limit is None else limit
        while index < limit and self.tokens[index].text != text:
            index = self.partner[index] + 1 if self.tokens[index].text in OPENING else index + 1
        return index

    def _skip(self, index: int) -> int:
        """Returns the index after the statement that starts here, without mutating it."""
        text = self.tokens[index].text
        if text == "{":
            return self.partner[index] + 1
        if text in ("if", "while", "switch", "for") or self._is_loop_macro(index):
            after = self._skip(self.partner[index + 1] + 1)
            while text == "if" and self.tokens[after].text == "else":
                after = self._skip(after + 1)
            return after
        if text == "do":
            return self._find(index, ";") + 1
        return self._find(index, ";") + 1

    def _is_loop_macro(self, index: int) -> bool:
        """
        Returns whether this is for_each_…(…) or a similar macro: a name and brackets, not followed by the end of a
        statement.
        """
        if self.tokens[index].kind != "name" or self.tokens[index + 1].text != "(":
            return False
        behind = self.tokens[self.partner[index + 1] + 1]
        return behind.text == "{" or behind.kind == "name"

    def _is_declaration(self, index: int) -> bool:
        one, two, three = self.tokens[index:index + 3]
        return one.text in TYPES or one.kind == "name" and (
            two.kind == "name" or two.text == "*" and three.kind == "name")

    def _only_debug(self, start: int, end: int) -> bool:
        """Returns whether these statements only check or print."""
        at = start + 1 if self.tokens[start].text == "{" else start
        while at < end and self.tokens[at].text != "}":
            first = self.tokens[at].text
            stop = self._find(at, ";", end)
            says_nothing = (first == "(" and self.text_of(at, at + 3) == "( void )"
                            and "(" not in self.text_of(at + 3, stop))
            if not (DEBUG_ONLY.match(first) or says_nothing or first == ";"):
                return False
            at = stop + 1
        return True

    def _add(self, operator: str, index: int, edits: list[Edit] | Edit, whole: Span) -> None:
        """Adds a mutant. `whole` are the tokens of its statement, which identify it independent of layout and line."""
        edits = edits if isinstance(edits, list) else [edits]
        placed = tuple((self._offset(first), self._end_offset(first, last), replacement)
                       for first, last, replacement in edits)
        what = f"{self.text_of(*whole)}|{[(first - whole[0], last - first, new) for first, last, new in edits]}"
        key = (self.function, operator, what)
        self.seen[key] = self.seen.get(key, 0) + 1
        digest = hashlib.sha256(f"{what}|{self.seen[key]}".encode()).hexdigest()[:8]
        name = f"{re.sub('^mm/([a-z]+/)?', '', self.path)}:{self.function}:{operator}:{digest}"
        line = bisect.bisect_left(self.lines, self.tokens[index].start) + 1
        self.mutants.append(Mutant(name, self.path, self.function, operator, line, placed))

    def _offset(self, index: int) -> int:
        return self.tokens[index].start

    def _end_offset(self, first: int, last: int) -> int:
        return self.tokens[last - 1].end if last > first else self.tokens[first].start


def tokens_of(text: str) -> list[Token]:
    return [Token(match[0], match.lastgroup or "", match.start(), match.end()) for match in TOKEN.finditer(text)]
