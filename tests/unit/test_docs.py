"""The documents and the project agree, both ways: settings, options, targets, paths, links, messages, exit codes."""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks import run as bench
from campaign import __main__ as campaign
from lakehouse import config, errors
from lakehouse.config import PROJECT

DOCS = sorted(
    path
    for path in (*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md"))
    if path.name
    not in ("EXPLORER.md", "CHANGELOG.md")  # the explorer's page has tests of its own; history stays as it was
)
LINKED = sorted((*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")))
README, TROUBLES = PROJECT / "README.md", PROJECT / "docs" / "TROUBLESHOOTING.md"
OPTIONS = PROJECT / "docs" / "reference" / "options.md"
RUNBOOKS = sorted((PROJECT / "docs" / "runbooks").glob("*.md"))
# Options of programs that are not ours, and placeholders.
FOREIGN = {
    "--require-hashes",
    "--port",
    "--region",  # pip, versitygw
    "--help",
    "--jars",
    "--packages",
    "--master",
    "--deploy-mode",
    "--driver-memory",
    "--wait",
    "--check",
    "--add-modules",
    "--profile",
    "--quiet",
    "--archives",
    "--build",
    "--conf",
    "--from-env-file",
    "--from-file",
    "--py-files",
}
# Written by a run, or by set-up; not in the repository.
MADE = re.compile(r"^(data|\.cache|\.venv|artifacts|bronze|silver|logs|run)(/|$)")
# Files of a package, named in a page that says which version of it was read.
READ = re.compile(r"^honcho/")


def ids(path: Path) -> str:
    return str(path.relative_to(PROJECT))


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", PROJECT / "docs" / "generate.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- settings --------------------------------------------------------------------------------------------------------


def test_config_ini_is_the_settings_table() -> None:
    assert text_of(PROJECT / "config.ini") == config.ini_text(), "write it anew: lakehouse.config.ini_text()"


def test_the_generated_parts_are_up_to_date() -> None:
    made = generate()
    for page in made.PARTS:
        assert text_of(page) == made.generated(text_of(page), page), "type: .venv/bin/python docs/generate.py"


def test_the_reference_names_every_setting() -> None:
    table = generate().settings_table()
    assert len(list(config.settings())) >= 30
    assert all(f"| `{row.key}` |" in table for row in config.settings())


@pytest.mark.parametrize("path", DOCS, ids=ids)
def test_every_setting_that_a_document_names_exists(path: Path) -> None:
    known = {(row.section, row.key) for row in config.settings()}
    text = text_of(path)
    named = re.findall(r"\[([A-Z]+)\] ([a-z][a-z_]+)", text)
    named += [(s, k.lower()) for s, k in re.findall(r"VENTES_([A-Z]+)__([A-Z_]+)", text)]
    unknown = [
        pair for pair in named if pair[0] in {s for s, _ in known} and pair not in known and pair[1] != "thresholds"
    ]
    assert not unknown
    sections = set(re.findall(r"\[([A-Z]{4,})\]", text)) - {"SECTION"}
    assert sections <= {s for s, _ in known}


# --- commands --------------------------------------------------------------------------------------------------------


def commands(path: Path) -> Iterator[list[str]]:
    """The words of each command of ours in inline code, ```bash blocks and the README's first lines."""
    text = text_of(path)
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    inline = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    symptoms = [
        match for block in re.findall(r"^```text\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        for match in re.findall(r"python [a-z_]+\.py[^;:.()\n]*", block)
    ]  # fmt: skip
    for line in [*"\n".join(blocks).splitlines(), *inline, *symptoms]:
        line = re.sub(r"^(\.venv/bin/)?python ", "", re.sub(r"<[^>]*>|\$\(.*?\)", "X", line.strip()))
        line = re.sub(r"^(VENTES_\S+=\S+ )+(python )?", "", line)
        line = re.sub(r'^spark-submit --jars "\$JARS" ', "", line)
        if re.match(r"[a-z_]+\.py( |$)", line):
            yield shlex.split(line.split("  (")[0])


@pytest.mark.parametrize("path", DOCS, ids=ids)
def test_every_command_has_a_script_that_knows_its_options(path: Path) -> None:
    parsers = generate().parsers()
    for script, *words in commands(path):
        assert (PROJECT / script).is_file(), script
        parser = parsers.get(script)
        if parser is None or "X" in words:
            continue
        try:
            parser.parse_args([word for word in words if word not in ("--help",)])
        except SystemExit:
            pytest.fail(f"{path.name}: {script} does not accept {words}")


@pytest.mark.parametrize("path", DOCS, ids=ids)
def test_every_option_that_a_document_names_exists(path: Path) -> None:
    known = set(FOREIGN)
    for parser in (*generate().parsers().values(), bench.parser(), campaign.parser()):
        for one in (parser, *generate().verbs(parser).values()):
            known |= {name for action in one._actions for name in action.option_strings}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", without_html(text_of(path)))) <= known


def without_html(text: str) -> str:
    return re.sub(r"<!--.*?-->", "", text)


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*## ", text_of(PROJECT / "Makefile"), re.MULTILINE))


@pytest.mark.parametrize("path", DOCS, ids=ids)
def test_every_make_target_that_a_document_names_exists(path: Path) -> None:
    named = re.findall(r"(?:^    |`)make ([a-z-]+)", text_of(path), re.MULTILINE)
    assert set(named) <= targets()


def test_the_readme_begins_with_the_two_commands_and_names_every_target() -> None:
    text = text_of(README)
    lines = text.splitlines()
    assert len(lines) <= 200, "details belong to docs/"
    assert lines[0].startswith("# ") and re.findall(r"^    make (\w+)", text, re.MULTILINE)[:2] == ["run", "test"]
    assert text.index("    make run") < text.index("## ")
    assert all(f"`{target}`" in text or f"make {target}" in text for target in targets() - {"help"})


# --- paths and links -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", DOCS, ids=ids)
def test_every_path_that_a_document_names_exists(path: Path) -> None:
    named = set(re.findall(r"`([\w.-]+(?:/[\w.-]+)+/?|[\w-]+\.(?:py|md|sh|ini|txt|lock|yml|toml))`", text_of(path)))
    missing = {
        name for name in named
        if not (MADE.match(name) or READ.match(name)) and not any((root / name).exists() for root in (PROJECT, path.parent, PROJECT / "lakehouse"))
    }  # fmt: skip
    assert missing <= {"ivysettings.xml"}


def anchor(heading: str) -> str:
    plain = re.sub(r"[`*]|\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


@pytest.mark.parametrize("path", LINKED, ids=ids)
def test_every_relative_link_resolves(path: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", text_of(path)):
        if re.match(r"[a-z]+://", link):
            continue
        name, _, place = link.partition("#")
        target = (path.parent / name) if name else path
        assert target.exists(), f"{path.name}: {link}"
        if place:
            headings = re.findall(r"^#+ (.*)$", text_of(target), re.MULTILINE)
            assert place in {anchor(heading) for heading in headings}, f"{path.name}: {link}"


def test_the_index_names_every_document() -> None:
    index = text_of(PROJECT / "docs" / "INDEX.md")
    named = {(PROJECT / "docs" / link).resolve() for link in re.findall(r"\]\(([^)#\s]+)", index)}
    missing = [ids(path) for path in LINKED if path.name != "INDEX.md" and path.resolve() not in named]
    assert not missing


def test_the_decisions_are_numbered_without_holes_and_say_their_status() -> None:
    pages = sorted((PROJECT / "docs" / "decisions").glob("*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        head = rf"# {page.name[:4]}: .+\n\nStatus: (accepted|superseded by \[\d{{4}}\].*), 2\d\d\d-\d\d-\d\d  \nInternals used: \S"
        assert re.match(head, text_of(page)), page.name
    index = text_of(PROJECT / "docs" / "INDEX.md")
    assert re.findall(r"\(decisions/([\w-]+\.md)\)", index) == [page.name for page in pages]


def test_every_requirement_has_its_reason() -> None:
    (page,) = (PROJECT / "docs" / "decisions").glob("0002-*.md")
    lines = [
        line for name in ("requirements.txt", "requirements-dev.txt") for line in text_of(PROJECT / name).splitlines()
    ]
    pinned = [line.split("==")[0] for line in lines if "==" in line]
    assert len(pinned) > 20
    assert not [name for name in pinned if f"`{name}`" not in text_of(page)]


@pytest.mark.parametrize("path", LINKED, ids=ids)
def test_no_document_names_a_place_of_one_machine(path: Path) -> None:
    assert not re.findall(r"(?<![\w.])/(?:work|tmp|home|root|Users)/", text_of(path))


# --- exit codes ------------------------------------------------------------------------------------------------------


def error_classes() -> list[type[errors.LakehouseError]]:
    return [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.LakehouseError)]


@pytest.mark.parametrize("path", [OPTIONS, TROUBLES], ids=ids)
def test_every_exit_code_is_documented(path: Path) -> None:
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", text_of(path), re.MULTILINE)}
    assert documented == {0, 1, 130, *(c.exit_code for c in error_classes())}


# --- troubleshooting -------------------------------------------------------------------------------------------------


def entries() -> list[tuple[str, str]]:
    """(title, body) of each entry: of a message, or of an alert."""
    return [
        (part.split("\n", 1)[0], part.split("\n", 1)[1])
        for page in (TROUBLES, *RUNBOOKS)
        for part in re.split(r"^### ", text_of(page), flags=re.M)[1:]
    ]


def fixed(text: str) -> str:
    """Every ``<placeholder>`` as ``<>``, those that touch as one, white space as one blank."""
    return " ".join(re.sub(r"(<>)+", "<>", re.sub(r"<[^<>]*>", "<>", text)).split())


@cache
def printed_texts() -> tuple[str, ...]:
    """Every text in the source, with ``<>`` for each value that is put into it. Texts that ``+`` joins count as one.
    The alerts' summaries are such texts too: Prometheus shows them."""
    alerts = text_of(PROJECT / "ops" / "prometheus" / "alerts.yml")
    found = [fixed(re.sub(r"{{.*?}}", "<>", summary)) for summary in re.findall(r'summary: "(.*)"', alerts)]
    for path in ((PROJECT / "lakehouse").rglob("*.py"), PROJECT.glob("*.py")):
        for file in path:
            for node in ast.walk(ast.parse(text_of(file))):
                if isinstance(node, ast.JoinedStr | ast.Constant | ast.BinOp):
                    found.append(fixed(shape(node)))
    for file in (PROJECT / "lakehouse" / "jvm" / "java_src").glob("*.java"):
        joined = re.sub(r'"\s*\+\s*(?:([^"]*?)\s*\+\s*)?"', lambda value: "<>" if value[1] else "", text_of(file))
        found += [fixed(text) for text in re.findall(r'"([^"\n]*)"', joined)]
    return tuple(filter(None, found))


def shape(node: ast.AST) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(map(shape, node.values))
    if isinstance(node, ast.FormattedValue):
        known = isinstance(node.value, ast.Name) and node.value.id == "ENV_PREFIX"
        return config.ENV_PREFIX if known else "<>"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return "".join(shape(side) or "<>" for side in (node.left, node.right))
    return ""


@pytest.mark.parametrize("title, body", entries(), ids=[title for title, _ in entries()])
def test_each_entry_is_complete_and_its_message_is_the_sources(title: str, body: str) -> None:
    (symptom,) = re.findall(r"^```text\n(.*?)^```", body, re.MULTILINE | re.DOTALL)
    for part in ("Cause", "Check", "Fix"):
        assert len(re.findall(rf"^- {part}: \S", body, re.MULTILINE)) == 1, f"{title}: {part}"
    message = fixed(symptom)
    assert len(re.sub("<>", "", message)) > 15, "the fixed words say too little"
    assert any(message in text for text in printed_texts()), f"the source prints no such text: {message}"


def test_every_error_has_an_entry_with_its_exit_code() -> None:
    named = dict(re.findall(r"^`(\w+)`, exit code (\d)$", text_of(TROUBLES), re.MULTILINE))
    assert {name: int(code) for name, code in named.items()} == {c.__name__: c.exit_code for c in error_classes()}
    assert len(entries()) >= 15


def test_a_text_that_no_longer_stands_in_the_source_is_noticed() -> None:
    assert not any(fixed("Kafka does not reply at <servers>") in text for text in printed_texts())
    assert fixed("a <b> c <d><e>") == "a <> c <>"
    tree = ast.parse("f'a {b} c {d}{e} ' 'f' + g(h)", mode="eval").body
    assert fixed(shape(tree)) == "a <> c <> f<>"


# --- the example of an aggregate -------------------------------------------------------------------------------------


def test_the_example_of_an_aggregate_is_one() -> None:
    """Its two pieces of code run as they stand, and the engine makes every column of the table from them."""
    from lakehouse.contract import tables
    from lakehouse.silver import aggregates

    declared, entry = re.findall(
        r"^```python\n(.*?)^```", text_of(PROJECT / "docs" / "ARCHITECTURE.md"), re.MULTILINE | re.DOTALL
    )
    names = {**vars(tables), **vars(aggregates)}
    exec(declared, names)
    made = eval(entry.strip().rstrip(","), names)
    assert set(aggregates.insert_values(made)) == set(made.table.names)
    assert aggregates.update_values(made)["revenue_total"] == (
        "CAST((t.`revenue_total` + s.`revenue_total`) AS DECIMAL(28,2))"
    )
    assert len((declared + entry).splitlines()) <= 12


# --- words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [path for path in DOCS if path.name != "METRICS.md"], ids=ids)
def test_a_document_uses_the_terms_of_the_field(path: Path) -> None:
    """Outside of messages, which are the source's, and of what is generated from it."""
    text = re.sub(r"<!-- generated: (\w+) -->.*?<!-- end: \1 -->", "", text_of(path), flags=re.DOTALL)
    text = " ".join(re.sub(r"^```text\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL).split())
    plain = {
        "exact door": "exact deduplication",
        "passing fault": "transient error",
        "memory of recent sales": "deduplication state",
        "operator's memory": "deduplication state",
        "for a person's sake": "erasure",
    }
    assert not {old: new for old, new in plain.items() if old in text}
