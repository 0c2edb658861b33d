"""`pm report -o html`: what stands on the page, and that it holds together what it shows."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from process_manager.interfaces.html_report.diagram import MOST, SHARE, diagram
from process_manager.interfaces.html_report.page import About, render
from process_manager.interfaces.html_report.sections import KINDS
from projections.reports import REPORTS
from projections.reports.flow import START, Follows
from tests.interfaces.html_report import hostile

Report = Callable[..., str]


class Parsed(HTMLParser):
    """The tags, attributes and texts of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.styles: list[tuple[str, str]] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        if tag == "path":
            found = dict(attrs)
            self.styles.append((found.get("stroke") or "", found.get("stroke-dasharray") or ""))
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is None:  # a style is no text
            self.texts.append(data)

    def values(self, name: str) -> list[str]:
        return [value for each, value in self.attributes if each == name]


@pytest.fixture(scope="module")
def parsed(overview: str) -> Parsed:
    return Parsed(overview)


def test_the_overview_has_every_report(parsed: Parsed) -> None:
    """Each is a section with a title, or is named as one with nothing to show."""
    text = " ".join(parsed.texts).lower()

    assert set(KINDS) == set(REPORTS)
    assert [kind.title for kind in KINDS.values() if kind.title.lower() not in text] == []
    assert "nothing to show: waiting." in text


def test_charts_have_a_text_alternative_and_a_table(parsed: Parsed) -> None:
    charts = parsed.values("role").count("img")

    assert charts == parsed.tags["figure"] > 5
    assert parsed.tags["table"] >= charts
    assert parsed.values("aria-label").count("") == 0


def test_lines_and_their_legend_differ_in_colour_and_in_dashes(parsed: Parsed) -> None:
    lines = {(stroke, dashes) for stroke, dashes in parsed.styles if dashes}
    assert lines == {("var(--bar)", "1,0"), ("var(--compensated)", "6,3")}
    assert len([each for each in parsed.styles if each in lines]) == 4  # two lines, two keys


def test_the_page_tells_when_and_where_it_was_made_and_what_was_asked_for(report: Report) -> None:
    text = " ".join(
        Parsed(report("outcomes", "-o", "html", "--since", "2026-01-01", "--zone", "Europe/Rome", "--status", "completed")).texts
    )

    assert "from the log up to position" in text
    assert text.index("status") < text.index("completed") < text.index("since") < text.index("2026-01-01") < text.index("Europe/Rome")
    assert "compensated" not in text


def test_another_report_is_a_page_with_it_alone(report: Report) -> None:
    parsed = Parsed(report("durations", "-o", "html"))

    assert parsed.tags["section"] == 1
    assert "p1-durations" in parsed.values("id")


def test_a_report_of_nothing_is_a_page_that_says_so(report: Report) -> None:
    assert "no instance is in this report" in report("overview", "-o", "html", "--until", "2000-01-01")


def test_as_of_a_day_before_anything_happened_there_is_nothing(report: Report) -> None:
    page = report("overview", "-o", "html", "--as-of", "2020-01-01")

    assert "2020-01-01" in page
    assert "no instance is in this report" in page


def test_the_page_is_whole_by_itself(overview: str) -> None:
    """It runs nothing, and names nothing that would have to be fetched."""
    parsed = Parsed(overview)

    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & set(parsed.tags)
    assert parsed.values("src") == []
    assert all(value.startswith("#") for value in parsed.values("href"))
    assert "@import" not in overview
    assert {url[0] for url in overview.split("url(")[1:]} == {"#"}
    assert len(parsed.values("id")) == len(set(parsed.values("id")))


def test_texts_from_outside_stay_texts() -> None:
    """Names, keys, reasons and questions are data: none of them becomes a tag or an attribute."""
    parsed = Parsed(hostile.page())

    assert not {"script", "img", "iframe"} & set(parsed.tags)
    assert not any(name.startswith("on") for name, _ in parsed.attributes)
    shown = "".join(parsed.texts)
    assert shown.count(hostile.BAD) > 20
    assert "49" not in shown.replace(hostile.BAD, "")


def test_processes_stand_one_below_the_other_with_names_of_their_own() -> None:
    """Nothing on the page has the name of something else."""
    both = {name: [row._replace(process=process) for process in ("a", "b") for row in rows] for name, rows in hostile.ROWS.items()}
    parsed = Parsed(render(both, About(datetime(2026, 1, 5, tzinfo=UTC), 7, "", [])))

    assert parsed.tags["article"] == 2
    assert parsed.tags["section"] == 2 * len(KINDS)
    assert len(parsed.values("id")) == len(set(parsed.values("id")))
    assert {value.removeprefix("#") for value in parsed.values("href")} <= set(parsed.values("id"))


def test_without_what_draws_it_the_error_names_the_extra(report: Report) -> None:
    """It is found before anything is read."""
    code = "import sys; sys.modules['vl_convert'] = None; from process_manager.interfaces.cli.main import main; main()"
    command = [sys.executable, "-c", code, "report", "overview", "-o", "html", "--store", "sqlite:///nowhere.db"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)

    assert done.returncode == 1
    assert "pip install 'process-manager[html]'" in done.stderr


def test_other_formats_do_not_load_what_draws_the_page(recorded: Path) -> None:
    code = (
        "import sys\n"
        "from process_manager.interfaces.cli import errors, report\n"
        "code = errors.run(report.report_command, sys.argv[1:])\n"
        "print(code, sorted({'graphlay', 'jinja2', 'vl_convert'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, "overview", "--as-of", "2020-01-01", "--store", f"sqlite:///{recorded}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)

    assert done.stdout.strip() == "0 []"


def test_rare_ways_are_left_out_of_the_drawing_but_none_becomes_an_island() -> None:
    """What few instances took is counted as left out, unless nothing else leads to a box."""
    rows = [
        Follows("p", START, "a", 1000, 1000, None),
        Follows("p", "a", "(completed)", 990, 990, None),
        Follows("p", "a", "b", 10, 10, None),
        Follows("p", "b", "(completed)", 8, 8, None),
        Follows("p", "b", "c", 1, 1, None),
        Follows("p", "b", "a", 1, 1, None),
        Follows("p", "c", "(completed)", 1, 1, None),
    ]
    drawn = diagram(rows)

    assert rows[3].instances < SHARE * 1000
    assert [(row.source, row.target) for row in drawn.left_out] == [("b", "a")]
    assert [box.name for box in drawn.boxes] == [START, "a", "(completed)", "b", "c"]
    left, top, width, height = drawn.frame
    for box in drawn.boxes:
        assert left < box.x - box.width / 2 < box.x + box.width / 2 < left + width
        assert top < box.y - box.height / 2 < box.y + box.height / 2 < top + height


def test_of_a_thousand_ways_the_most_frequent_are_drawn_and_the_main_ones_of_each_box() -> None:
    names = [START, *(f"event-{number}" for number in range(35)), "(completed)"]
    pairs = [(source, target) for source in names[:-1] for target in names[1:]]
    rows = [Follows("p", *pair, 2_000 - number, 2_000 - number, None) for number, pair in enumerate(pairs)]
    drawn = diagram(rows)

    assert len(rows) > 1_000
    assert [arrow.row for arrow in drawn.arrows][:MOST] == rows[:MOST]
    assert len(drawn.arrows) <= MOST + 2 * len(names)
    assert {box.name for box in drawn.boxes} == set(names)
    assert len(drawn.arrows) + len(drawn.left_out) == len(rows)
