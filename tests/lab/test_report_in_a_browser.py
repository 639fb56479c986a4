"""The report in a real browser: every choice, every kind of trail, both colour schemes, no error and no request."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.lab.test_report import annotated
from tests.ledger.world import World
from tests.pages import fresh_page
from tests.records.market import record
from wattquorum.foundation.quantities import (
    Energy,
    Money,
    Points,
    Price,
    format_energy,
    format_money,
    format_points,
    format_price,
)
from wattquorum.foundation.transfers import Kind
from wattquorum.lab.report import write_report
from wattquorum.lab.report.week import Week
from wattquorum.ledger.accounts import Side
from wattquorum.records.bills import bill_of, words_of
from wattquorum.records.database import opened

CHARTS = (
    "energy-flow",
    "energy-time",
    "prices-chart",
    "delivery-map",
    "delivery-days",
    "delivery-hours",
    *("grid-map", "grid-losses", "grid-voltages", "grid-loading"),
    "bill-waterfall",
    "default-flow",
    "credit-chart",
    "green-held",
    "standing-power",
    "bargain-days",
    "bargain-rounds",
    "strategy-chart",
)
SANKEYS = ("energy-flow", "default-flow")


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return annotated(tmp_path_factory.mktemp("browser") / "market.sqlite")


@pytest.fixture(scope="module")
def report(records: Path) -> Path:
    path = records.parent / "report.html"
    write_report(records, path)
    return path


@pytest.fixture(scope="module")
def phone(browser: Browser, report: Path) -> Iterator[Page]:
    """The report as a phone shows it, loaded once; tests set what they need, and turn it back to a phone's size."""
    with fresh_page(browser, 390, 844) as opened:
        opened.goto(report.as_uri())
        yield opened


@pytest.fixture(scope="module")
def desk(browser: Browser, report: Path) -> Iterator[Page]:
    """The report on a desk, loaded once; tests choose what they look at."""
    with fresh_page(browser) as opened:
        opened.goto(report.as_uri())
        yield opened


@pytest.fixture
def requests(page: Page) -> list[str]:
    """Addresses that the page asked for."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    return asked


def see_everything(page: Page, charts: Sequence[str] = CHARTS) -> None:
    """Scrolls through the page, as a reader does; charts are drawn when they come near."""
    for section in page.locator("main section").all():
        section.scroll_into_view_if_needed()
    for name in charts:
        page.locator(f"#{name}").scroll_into_view_if_needed()
        page.wait_for_selector(f"#{name} .main-svg", state="attached")


def test_a_reader_sees_every_chart_and_no_request_leaves_the_page(
    page: Page, report: Path, requests: list[str]
) -> None:
    page.goto(report.as_uri())
    see_everything(page)
    assert requests == [report.as_uri()]
    assert page.title().startswith("Two days & a <market>")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_every_list_can_be_chosen_from(page: Page, report: Path, requests: list[str]) -> None:
    page.goto(report.as_uri())
    see_everything(page)
    for chooser in page.locator("main select").all():
        chooser.scroll_into_view_if_needed()
        values = chooser.evaluate("list => [...list.options].map((option) => option.value)")
        for value in dict.fromkeys((*values[:2], values[-1], values[0])):
            chooser.select_option(value)
    expect(page.locator("#delivery-says")).to_contain_text("over all intervals")
    assert requests == [report.as_uri()]


def test_the_picture_of_energy_closes_for_the_week_and_each_day(desk: Page) -> None:
    desk.locator("#energy-flow").scroll_into_view_if_needed()
    desk.wait_for_selector("#energy-flow .main-svg", state="attached")
    for value in ("", "0", "1"):
        desk.select_option("#energy-day", value)
        said = desk.locator("#energy-closing").inner_text()
        assert said.count("closes exactly") == 3
        assert "OPEN" not in said


def test_the_map_shows_lines_by_loading_and_members_by_technology(desk: Page) -> None:
    desk.locator("#grid-map").scroll_into_view_if_needed()
    desk.wait_for_selector("#grid-map .main-svg", state="attached")
    lines = "byId('grid-map').data.filter((trace) => trace.mode === 'lines').map((trace) => trace.line)"
    drawn = desk.evaluate(lines)
    assert len(drawn) == 3
    assert drawn == sorted(drawn, key=lambda line: float(line["width"]))
    # 50 % is beyond the 40 % that the operator plans with, and has the colour that nothing else has.
    bad = desk.evaluate("colour('bad')")
    assert [line["color"] == bad for line in drawn] == [False, False, True]
    assert all(line["color"].startswith("rgba(") for line in drawn[:2])
    legend = desk.evaluate("byId('grid-map').data.map((trace) => trace.name).filter((name) => name)")
    assert legend == ["other nodes", "hydro", "village"]
    expect(desk.locator("#grid-says")).to_contain_text(
        "line 7 at 50.00 % of its rating. Over the day the grid lost 402 Wh"
    )
    desk.select_option("#grid-kind", "1")
    expect(desk.locator("#grid-says")).to_contain_text("the grid lost 400 Wh")
    desk.select_option("#grid-day", "1")
    expect(desk.locator("#grid-map")).to_contain_text("This flow was not reported for this day.")
    desk.select_option("#grid-day", "0")
    desk.wait_for_selector("#grid-map .main-svg", state="attached")
    limits = desk.evaluate("byId('grid-voltages').scrollIntoView(), report.grid.limits")
    assert limits == [965_000, 1_055_000, 400_000]


def test_every_kind_of_line_has_a_trail(desk: Page) -> None:
    desk.locator("#bill-waterfall").scroll_into_view_if_needed()
    desk.wait_for_selector("#bill-lines tbody tr")
    followed = set()
    for member in ("mill", "school", "forge", "yard"):
        desk.select_option("#bill-member", label=member)
        for kind in [option.get_attribute("value") for option in desk.locator("#bill-kind option").all()]:
            if not kind or kind in followed:
                continue
            followed.add(kind)
            desk.select_option("#bill-kind", kind)
            desk.locator("#bill-lines button").last.click()
            expect(desk.locator("#bill-trail")).not_to_contain_text("Unpacking")
            trail = desk.locator("#bill-trail").inner_text()
            assert trail.startswith("Trail of ")
            if kind in ("deposit", "withdrawal"):
                assert "crossed the ledger's border" in trail
            else:
                assert "Bill line:" in trail
                assert "Account:" in trail
            if kind == "share":
                assert "members that performed had together" in trail
                assert "Fines of the day" in trail
            if kind == "fine":
                assert "Reading:" in trail
                assert "was fined on this contract" in trail
            if kind in ("energy", "over_grid_fee", "grid_purchase", "grid_sale"):
                assert "Reading:" in trail
                assert "Allotment:" in trail
                assert "which is this line" in trail
    assert followed >= {
        "energy",
        "over_grid_fee",
        "grid_purchase",
        "residual_sale",
        "residual_purchase",
        "compensation",
        "fine",
        "share",
        "handling_fee",
        "debt_payment",
        "deposit",
        "withdrawal",
    }


def test_what_could_not_be_paid_is_said_on_the_trail(desk: Page) -> None:
    """The school could pay only a part of what it used beyond its promises."""
    desk.locator("#bill-waterfall").scroll_into_view_if_needed()
    desk.wait_for_selector("#bill-lines tbody tr")
    desk.select_option("#bill-member", label="school")
    desk.select_option("#bill-kind", "residual_purchase")
    desk.locator("#bill-lines button").first.click()
    desk.wait_for_selector("#bill-trail ol")
    assert "could not be paid and stands as a debt" in desk.locator("#bill-trail").inner_text()


def test_a_page_without_details_says_where_they_are(page: Page, records: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wattquorum.lab.report.details.DETAILS_CHARACTERS_MAX", 0)
    path = records.parent / "large.html"
    write_report(records, path)
    page.goto(path.as_uri())
    page.locator("#delivery-hours").scroll_into_view_if_needed()
    expect(page.locator("#delivery-hours")).to_contain_text("the records have them")
    page.locator("#bill-waterfall").scroll_into_view_if_needed()
    page.select_option("#bill-kind", "energy")
    page.locator("#bill-lines button").first.click()
    expect(page.locator("#bill-trail")).to_contain_text("the records have them")


def test_bills_say_what_the_records_say(desk: Page, records: Path) -> None:
    desk.locator("#bill-waterfall").scroll_into_view_if_needed()
    desk.wait_for_selector("#bill-lines tbody tr")
    with opened(records) as engine:
        for member in Week(engine).members:
            bill = bill_of(engine, member.address)
            cash = sum(amount for kind, amount in bill.by_kind().items() if kind in ("deposit", "withdrawal"))
            desk.select_option("#bill-member", label=member.name)
            said = desk.locator("#bill-says").inner_text()
            assert f"add up to {format_money(Money(bill.total_millionths - cash), 'CNY')}." in said
            assert f"balance, {format_money(Money(bill.total_millionths), 'CNY')} " in said


def test_trails_can_be_followed_with_the_keyboard(desk: Page) -> None:
    desk.locator("#bill-waterfall").scroll_into_view_if_needed()
    desk.wait_for_selector("#bill-lines tbody tr")
    desk.locator("#bill-kind").focus()
    desk.keyboard.press("Tab")
    assert desk.evaluate("document.activeElement.id") == "bill-lines"
    desk.keyboard.press("Tab")
    assert desk.evaluate("document.activeElement.textContent") == "trail"
    desk.keyboard.press("Enter")
    expect(desk.locator("#bill-trail")).to_contain_text("Trail of")


def test_it_follows_the_colour_scheme(page: Page, report: Path) -> None:
    page.emulate_media(color_scheme="light")
    page.goto(report.as_uri())
    page.locator("#prices-chart").scroll_into_view_if_needed()
    page.wait_for_selector("#prices-chart .main-svg", state="attached")
    label, ground = page.locator("#prices-chart .xtick text").first, page.locator("body")
    colours = "element => [getComputedStyle(element).fill, getComputedStyle(element).backgroundColor]"
    ink, paper = label.evaluate(colours)[0], ground.evaluate(colours)[1]
    page.emulate_media(color_scheme="dark")
    expect(label).not_to_have_css("fill", ink)
    expect(ground).not_to_have_css("background-color", paper)


def test_a_phone_does_not_scroll_sideways(page: Page, report: Path) -> None:
    page.set_viewport_size({"width": 360, "height": 800})
    page.goto(report.as_uri())
    see_everything(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_on_a_phone_titles_and_captions_are_whole(phone: Page) -> None:
    see_everything(phone)
    for title in phone.locator("#strategy-chart .infolayer text").all():
        place = title.bounding_box()
        assert place is not None
        assert place["x"] >= 0
        assert place["x"] + place["width"] <= 390
    assert phone.locator("#strategy-chart .infolayer text").count() == 3
    phone.wait_for_selector("#bill-lines tbody tr")
    caption = phone.locator("#bill-lines caption span")
    for scrolled in (0, 200):
        phone.locator("#bill-lines").evaluate("(element, left) => { element.scrollLeft = left; }", scrolled)
        place, frame = caption.bounding_box(), phone.locator("#bill-lines").bounding_box()
        assert place is not None
        assert frame is not None
        assert frame["x"] <= place["x"]
        assert place["x"] + place["width"] <= frame["x"] + frame["width"] <= 390


def test_on_a_phone_tables_with_text_are_cards_that_need_no_scrolling(phone: Page) -> None:
    see_everything(phone)
    frames = phone.locator(".scroll:has(table.stacked):visible")
    assert frames.count() > 2
    for frame in frames.all():
        assert frame.evaluate("element => element.scrollWidth <= element.clientWidth")
    curtailed = phone.get_by_role("region", name="Contracts that the grid operator curtailed")
    says = "cell => getComputedStyle(cell, '::before').content + ' ' + cell.textContent"
    assert (
        curtailed.locator("tbody tr")
        .first.locator("td")
        .evaluate_all(f"cells => cells.map({says})")[-1]
        .startswith('"reason" ')
    )
    deciding = phone.get_by_role("region", name="How many voters decide, by tolerance")
    assert deciding.evaluate("element => element.scrollWidth <= element.clientWidth")


def test_on_a_phone_flows_have_their_amounts_in_a_table_and_not_on_bars(phone: Page) -> None:
    see_everything(phone, SANKEYS)
    labels = "id => [...byId(id).querySelectorAll('.sankey .node-label')].map((label) => label.textContent).join('')"
    for name in SANKEYS:
        key = phone.locator(f"#{name}-key")
        assert phone.evaluate(labels, name) == ""
        assert key.locator("tbody tr").count() > 3
        assert key.evaluate("element => element.scrollWidth <= element.clientWidth")
    closing = phone.locator("#energy-closing").inner_text()
    traded = phone.locator("#energy-flow-key tr", has_text="traded on contracts").locator("td").last.inner_text()
    assert f"= {traded} traded" in closing
    phone.set_viewport_size({"width": 1280, "height": 900})
    for name in SANKEYS:
        expect(phone.locator(f"#{name}-key")).to_be_hidden()
        phone.wait_for_function(f"({labels})('{name}') !== ''")
    phone.set_viewport_size({"width": 390, "height": 844})


def test_on_a_phone_steps_of_a_bill_are_large_enough_to_read(phone: Page) -> None:
    see_everything(phone, ["bill-waterfall"])
    phone.select_option("#bill-member", label="school")
    kinds = phone.locator("#bill-waterfall .ytick text")
    told = kinds.all_text_contents()
    assert told
    assert all(re.search(r"[a-z].*-?[\d,]+\.\d\d$", each, re.DOTALL) for each in told)
    for text in phone.locator("#bill-waterfall text:not(:empty)").all():
        place = text.bounding_box()
        assert place is not None
        assert place["height"] >= 10
        assert place["x"] >= 0
        assert place["x"] + place["width"] <= 390
    phone.set_viewport_size({"width": 1280, "height": 900})
    expect(phone.locator("#bill-waterfall .xtick text").last).to_have_text("total")
    phone.set_viewport_size({"width": 390, "height": 844})


def test_on_a_phone_accounts_of_carbon_are_cards(phone: Page) -> None:
    accounts = phone.get_by_role("region", name="Accounts by period")
    accounts.scroll_into_view_if_needed()
    assert accounts.evaluate("element => element.scrollWidth <= element.clientWidth")
    for heading in ("bought", "sold", "emitted", "settled"):
        expect(accounts.locator(f"tbody td[data-label={heading}]").first).to_be_in_viewport()


def test_a_lineage_is_whole_on_a_desk(desk: Page) -> None:
    see_everything(desk, ["green-held"])
    desk.wait_for_selector("#green-lineage table")
    for frame in desk.locator("#green-lineage .scroll").all():
        assert frame.evaluate("element => element.scrollWidth <= element.clientWidth")


def test_who_defaulted_is_named_where_its_line_of_credit_ends(desk: Page) -> None:
    see_everything(desk, ["credit-chart"])
    named = "byId('credit-chart').layout.annotations.map((note) => note.text)"
    defaulted = "report.credit.events.filter((event) => event[5]).map((event) => week.names[event[0]])"
    assert set(desk.evaluate(named)) == set(desk.evaluate(defaulted)) != set()
    desk.select_option("#credit-member", label="school")
    assert desk.evaluate(named) == ["school"]


def test_names_at_the_ends_of_lines_never_touch_and_keep_their_order(desk: Page) -> None:
    ends = [{"at": at, "text": str(place), "shade": "#000"} for place, at in enumerate((50, 20, 51, 50, 90))]
    places = desk.evaluate(
        "ends => endLabels(ends, [0, 100], 200).map((note) => [note.text, note.y * 2 + note.yshift])", ends
    )
    assert [name for name, _ in places] == ["1", "0", "3", "2", "4"]
    heights = [height for _, height in places]
    assert all(higher - lower >= 15 for lower, higher in pairwise(heights))
    assert (heights[0], heights[4]) == (40, 180)  # where there is room they stand at their lines


def test_every_members_voting_power_has_a_row_and_adds_up_at_each_tolerance(desk: Page) -> None:
    see_everything(desk, ["standing-power"])
    marks = desk.evaluate(
        "byId('standing-power').data.filter((trace) => trace.mode === 'markers').map(({ x, y }) => [x, y])"
    )
    names = desk.evaluate("report.standing.power.map((row) => week.names[row[0]])")
    for shares, rows in marks:
        assert sorted(rows) == sorted(names)
        assert sum(shares) == pytest.approx(100)


def test_the_row_of_links_follows_the_reader(phone: Page) -> None:
    for name in ("books", "bills", "overview"):
        phone.locator(f"#{name}").evaluate("element => element.scrollIntoView({ behavior: 'instant' })")
        link = phone.locator(f"nav a[href='#{name}']")
        expect(link).to_have_attribute("aria-current", "true")
        expect(link).to_be_in_viewport(ratio=1)


def test_a_bill_says_why_its_lines_are_more_than_those_it_adds_up(desk: Page) -> None:
    desk.locator("#bill-waterfall").scroll_into_view_if_needed()
    desk.wait_for_selector("#bill-lines tbody tr")
    desk.select_option("#bill-member", label="mill")
    said = re.fullmatch(
        r"mill: (\d+) lines, deposits and withdrawals left out, .*", desk.locator("#bill-says").inner_text()
    )
    told = re.fullmatch(
        r"(\d+) lines on the bill of mill, (\d+) of them deposits or withdrawals; above zero when it is paid",
        desk.locator("#bill-lines caption").inner_text(),
    )
    assert said
    assert told
    assert int(said[1]) + int(told[2]) == int(told[1])
    desk.select_option("#bill-kind", "energy")
    assert "deposits" not in desk.locator("#bill-lines caption").inner_text()


def test_kinds_have_the_words_of_the_glossary(desk: Page) -> None:
    kinds = [kind.name.lower() for kind in Kind]
    assert desk.evaluate("kinds => kinds.map(kindText)", kinds) == [words_of(kind) for kind in kinds]


def test_without_scripts_the_tables_stand(page: Page, report: Path) -> None:
    browser = page.context.browser
    assert browser is not None
    context = browser.new_context(java_script_enabled=False, offline=True)
    plain = context.new_page()
    plain.goto(report.as_uri())
    assert plain.locator("table").count() > 10
    assert "Scripts are off" in plain.locator("main").inner_text()
    context.close()


def test_a_report_without_a_single_day_opens(page: Page, tmp_path: Path) -> None:
    write_report(record(World(), tmp_path / "market.sqlite"), tmp_path / "report.html")
    page.goto((tmp_path / "report.html").as_uri())
    for section in page.locator("main section").all():
        section.scroll_into_view_if_needed()
    expect(page.locator("#credit-chart")).to_have_text("Nothing to draw yet.")


def test_a_report_of_days_that_nothing_was_settled_on_opens(page: Page, tmp_path: Path) -> None:
    world = World()
    world.member("mill", Side.SELL)
    world.publish()
    write_report(record(world, tmp_path / "market.sqlite"), tmp_path / "report.html")
    page.goto((tmp_path / "report.html").as_uri())
    see_everything(page, [name for name in CHARTS if name not in SANKEYS and not name.startswith("grid-")])
    expect(page.locator("#grid")).to_contain_text("No power flow of any day was reported.")
    expect(page.locator("#energy-flow")).to_have_text("Nothing was metered.")
    expect(page.locator("#default-flow")).to_have_text("Nobody owed a penalty.")


NUMBERS = (0, 1, -1, 999, 1_000, -1_000, 1_500, 999_999, 1_000_000, 123_456_789, -2_345_678_901, 86_213_002_000_001)


def test_numbers_read_as_they_do_everywhere_else(desk: Page) -> None:
    shown = desk.evaluate(
        "(numbers) => numbers.map((n) => [energyText(n), moneyText(n), priceText(n), pointsText(n)])", list(NUMBERS)
    )
    assert shown == [
        [
            format_energy(Energy(number)),
            format_money(Money(number), "CNY"),
            format_price(Price(number), "CNY"),
            format_points(Points(number)),
        ]
        for number in NUMBERS
    ]
