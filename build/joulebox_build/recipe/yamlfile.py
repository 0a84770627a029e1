"""YAML as people expect it: a key twice is an error, and `1e-4` is a number, as in YAML 1.2, where 1.1 has it a text."""

# PyYAML's stubs annotate only part of it.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import ComposerError

from joulebox_build.errors import RecipeError

FLOAT = "tag:yaml.org,2002:float"
EXPONENT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$")  # of the core schema, YAML 1.2.2, 10.3.2


class _Loader(yaml.SafeLoader):
    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Here each mapping comes by once, and as it stands in the file: `<<` is not followed yet."""
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            first = lines.get((key.tag, key.value))
            if first is not None:
                said = f"key {key.value!r} is there already, in line {first}: keep one of them"
                raise ComposerError(None, None, said, key.start_mark)
            lines[key.tag, key.value] = key.start_mark.line + 1
        return node


_Loader.add_implicit_resolver(FLOAT, EXPONENT, list("-+.0123456789"))


def read_yaml(path: Path) -> object:
    """What the file holds.

    Raises:
        RecipeError: it cannot be read, is no YAML, or has a key twice.
    """
    try:
        return yaml.load(path.read_text("utf-8"), _Loader)  # noqa: S506  # as safe as its base, which makes plain values
    except OSError as error:
        raise RecipeError(
            f"{path}: {error.strerror}; expected a recipe.yaml, such as models/fashion/recipe.yaml"
        ) from error
    except yaml.MarkedYAMLError as error:
        where = f", line {error.problem_mark.line + 1}," if error.problem_mark else ""
        said = " ".join(filter(None, (error.context, error.problem)))
        raise RecipeError(f"{path}{where} is not YAML: {said}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date that is none; nested without end
        raise RecipeError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
