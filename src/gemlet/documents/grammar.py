"""Source code → where its definitions begin, by the tree-sitter grammars of the extra `code`."""

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

_DEEPEST = 4
_NESTED = 40
"""Deeper than that no node is looked through."""


class Mark(NamedTuple):
    """Here a definition begins; or, without a name, what follows one. line: 0-based; level: 1 is the outermost."""

    line: int
    level: int
    name: str | None


class _Grammar(NamedTuple):
    """module and function that make the language; types of nodes: those that are definitions, those that hold more of
    them and count as one, those that are looked through.
    """

    module: str
    function: str
    definitions: frozenset[str]
    containers: frozenset[str]
    transparent: frozenset[str]


def _grammar(
    module: str, definitions: str, containers: str, transparent: str = "", function: str = "language"
) -> _Grammar:
    words = (frozenset(text.split()) for text in (definitions, containers, transparent))
    return _Grammar(f"tree_sitter_{module}", function, *words)


_JS = (
    "function_declaration generator_function_declaration method_definition lexical_declaration variable_declaration "
    "interface_declaration type_alias_declaration enum_declaration abstract_method_signature function_signature"
)
_JS_CONTAINERS = "class_declaration abstract_class_declaration internal_module module class"
_JS_THROUGH = "export_statement class_body statement_block ambient_declaration expression_statement"
_C = "function_definition struct_specifier enum_specifier union_specifier type_definition"
_C_THROUGH = "preproc_ifdef preproc_if preproc_else preproc_elif linkage_specification declaration_list"

_GRAMMARS = {
    "python": _grammar("python", "function_definition", "class_definition", "decorated_definition block"),
    "javascript": _grammar("javascript", _JS, _JS_CONTAINERS, _JS_THROUGH),
    "typescript": _grammar("typescript", _JS, _JS_CONTAINERS, _JS_THROUGH, "language_typescript"),
    "tsx": _grammar("typescript", _JS, _JS_CONTAINERS, _JS_THROUGH, "language_tsx"),
    "go": _grammar("go", "function_declaration method_declaration type_declaration", ""),
    "rust": _grammar(
        "rust",
        "function_item struct_item enum_item union_item macro_definition type_item const_item static_item",
        "impl_item trait_item mod_item",
        "declaration_list",
    ),
    "java": _grammar(
        "java",
        "method_declaration constructor_declaration compact_constructor_declaration annotation_type_declaration",
        "class_declaration interface_declaration enum_declaration record_declaration",
        "class_body interface_body enum_body enum_body_declarations",
    ),
    "c": _grammar("c", _C, "", _C_THROUGH),
    "c++": _grammar(
        "cpp",
        _C.replace("struct_specifier ", "") + " concept_definition alias_declaration",
        "namespace_definition class_specifier struct_specifier",
        _C_THROUGH + " template_declaration field_declaration_list declaration",
    ),
    "c#": _grammar(
        "c_sharp",
        "method_declaration constructor_declaration property_declaration delegate_declaration enum_declaration "
        "operator_declaration indexer_declaration destructor_declaration",
        "class_declaration struct_declaration interface_declaration record_declaration namespace_declaration",
        "declaration_list",
    ),
    "ruby": _grammar("ruby", "method singleton_method", "class module singleton_class", "body_statement"),
    "php": _grammar(
        "php",
        "function_definition method_declaration",
        "class_declaration interface_declaration trait_declaration enum_declaration",
        "namespace_definition compound_statement declaration_list enum_declaration_list",
        "language_php",
    ),
    "bash": _grammar("bash", "function_definition", ""),
}


def grammar_marks(text: str, language: str) -> list[Mark] | None:
    """Where definitions begin; None when there is no grammar for the language, or the extra is not installed."""
    made = _language(language)
    if made is None:
        return None
    from tree_sitter import Parser

    tree = Parser(made).parse(text.encode("utf-8", "replace"))
    return list(_walk(tree.root_node, _GRAMMARS[language], 1, 0))


@cache
def _language(language: str) -> Any:
    grammar = _GRAMMARS.get(language)
    if grammar is None:
        return None
    try:
        tree_sitter = import_module("tree_sitter")
        return tree_sitter.Language(getattr(import_module(grammar.module), grammar.function)())
    except (ImportError, AttributeError, ValueError):  # not installed, or a grammar of an ABI that tree-sitter lacks
        return None


def _walk(node: Any, grammar: _Grammar, level: int, nested: int) -> Iterator[Mark]:
    """The marks inside of a node, in order."""
    behind = False
    for child in node.named_children:
        inner = _definition(child, grammar)
        line = child.start_point[0]
        if inner is not None:
            behind = True
            yield Mark(line, level, _name(inner))
            if inner.type in grammar.containers and level < _DEEPEST:
                yield from _walk(inner.child_by_field_name("body") or inner, grammar, level + 1, nested + 1)
        elif child.type in grammar.transparent and nested < _NESTED:
            found = list(_walk(child, grammar, level, nested + 1))
            behind = behind or bool(found)
            yield from found
        elif behind and child.type not in _FLOATING:
            behind = False
            yield Mark(line, level, None)


_FLOATING = {"comment", "line_comment", "block_comment", "attribute_item", "decorator", "access_specifier", "ERROR"}
"""They go with what is below."""


def _definition(node: Any, grammar: _Grammar) -> Any:
    """The definition that a node is, or that it only wraps, as decorators, `export` and `template` do."""
    for _ in range(4):
        if node.type in ("lexical_declaration", "variable_declaration"):
            return node if _bound_function(node) else None
        if node.type in grammar.definitions or node.type in grammar.containers:
            return node if node.child_by_field_name("body") or not node.type.endswith("_specifier") else None
        if node.type == "expression_statement" or node.type not in _WRAPPERS:
            return None
        wrapped = [child for child in node.named_children if _is_definition(child, grammar)]
        if not wrapped:
            return None
        node = wrapped[0]
    return None


_WRAPPERS = {"decorated_definition", "export_statement", "template_declaration", "declaration", "ambient_declaration"}


def _is_definition(node: Any, grammar: _Grammar) -> bool:
    return node.type in grammar.definitions or node.type in grammar.containers or node.type in _WRAPPERS


def _bound_function(node: Any) -> bool:
    """Const name = () => ...: the value is a function or a class."""
    values = (child.child_by_field_name("value") for child in node.named_children)
    return any(value is not None and ("function" in value.type or value.type == "class") for value in values)


def _name(node: Any) -> str | None:
    """By the field that the grammars have for it; C's stands inside of declarators, Rust's impl has a type."""
    for _ in range(6):
        for field in ("name", "declarator", "type", "trait"):
            inner = node.child_by_field_name(field)
            if inner is not None:
                break
        else:
            inner = next((child for child in node.named_children if child.child_by_field_name("name")), None)
        if inner is None:
            break
        node = inner
        if not node.named_child_count or "identifier" in node.type or "name" in node.type:
            break
    text = node.text.decode("utf-8", "replace") if node.text else ""
    name = text.split("\n")[0].split("(")[0].split("{")[0].strip()[:80]
    return name if name and name != "namespace" else None
