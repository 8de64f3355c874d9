"""Finding: one error of pydantic's, brought back to the file, and how it is said."""

from dataclasses import dataclass

from pydantic_core import ErrorDetails

from sweep_engine.spec.shapes import Shape
from sweep_engine.spec.wording import Loc, allowed, alternatives, did_you_mean, one_line, shown

VALIDATOR_ERRORS = ("value_error", "assertion_error")
_EXPECTED = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "an integer"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type"), "a list"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "a mapping"),
    "string_type": "a string",
    "none_required": "null",
    "too_short": "at least {min_length} long",
    "too_long": "at most {max_length} long",
    "string_too_short": "at least {min_length} characters long",
    "string_too_long": "at most {max_length} characters long",
    "string_pattern_mismatch": "a string that matches {pattern}",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One pydantic error, brought back to the file.

    Attributes:
        error: As pydantic reports it.
        path: Keys and indices in the file, without pydantic's tags and labels.
        is_key: The key is wrong, not its value.
        shape: What may stand at `path`.
        parent: What may stand one level above.
        unions: Where in pydantic's `loc` stand the labels of members of untagged unions.
    """

    error: ErrorDetails
    path: Loc
    is_key: bool
    shape: Shape
    parent: Shape
    unions: tuple[int, ...]

    @property
    def alternative_of(self) -> tuple[Loc, Loc, bool]:
        """Equal for errors of which one would be enough to put right."""
        loc = self.error["loc"]
        return self.path, loc[: self.unions[0]] if self.unions else loc, self.is_key


def explain(group: list[Finding]) -> str:
    """Say what is wrong, given all alternatives that were tried at one place."""
    finding = group[0]
    error = finding.error
    match error["type"]:
        case "extra_forbidden":
            names = list(map(str, finding.parent.fields()))
            return f"unknown key{did_you_mean(finding.path[-1], names)}{allowed(names)}"
        case "missing":
            return f"missing{allowed(finding.shape.literals())}"
        case "union_tag_not_found" if tags := finding.shape.tags():
            return f"missing{allowed(tags)}"
        case "union_tag_invalid" if tags := finding.shape.tags():
            given = error["input"].get(finding.shape.tag_key)
            hint = did_you_mean(given, tags) + allowed(tags)
            return f"unknown {finding.path[-1]} {shown(given)}{hint}"
        case "value_error" | "assertion_error":
            return one_line(str(error["ctx"]["error"]))
    return _explain_mismatch(group)


def _explain_mismatch(group: list[Finding]) -> str:
    expected = [phrase for finding in group for phrase in _expectations(finding)]
    given = group[0].error["input"]
    if not expected:
        return f"{one_line(group[0].error['msg'])}, got {shown(given)}"
    options = [option for finding in group for option in finding.shape.literals()]
    return f"must be {alternatives(expected)}, got {shown(given)}{did_you_mean(given, options)}"


def _expectations(finding: Finding) -> list[str]:
    """What the finding's type would have taken, as noun phrases."""
    error = finding.error
    if error["type"] == "literal_error" and finding.shape.literals():
        return list(map(shown, finding.shape.literals()))
    if error["type"] == "model_attributes_type" and finding.shape.tag_key:
        return [f"a mapping with a '{finding.shape.tag_key}'{allowed(finding.shape.tags())}"]
    if error["type"] in _EXPECTED:
        return [_EXPECTED[error["type"]].format_map(error.get("ctx", {}))]
    lead, found, phrase = error["msg"].partition("Input should be ")
    return [one_line(phrase)] if found and not lead else []
