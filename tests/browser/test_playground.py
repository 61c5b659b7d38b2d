"""The playground's page in Chromium: what a learner, a class and a teacher do with it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
from playwright.sync_api import expect, sync_playwright

from purenet.playground.server import serve

NAMELESS = """() => [...document.querySelectorAll("button, input, select, textarea, canvas")].filter(each =>
    each.offsetParent && !each.labels?.length && !each.getAttribute("aria-label") && !each.textContent.trim()
).map(each => each.outerHTML)"""
FOCUSED = "() => document.activeElement.id || document.activeElement.getAttribute('aria-label')"
expect.set_options(timeout=60_000)  # for a busy machine
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def address():
    server = serve()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def tab(browser, address):
    """Open a tab, with the choices that an address has; in the end nothing has failed in any of them."""
    problems, context = [], browser.new_context()

    def open_tab(choices="", **how):
        page = (browser.new_context(**how) if how else context).new_page()
        page.on("pageerror", lambda error: problems.append(error))
        page.goto(f"{address}#{choices}")
        expect(page.locator("#status")).to_contain_text("A new net")
        return page

    yield open_tab
    context.close()
    assert problems == []


def press(page, name):
    page.get_by_role("button", name=name, exact=True).click()


def number(page, name):
    return float(page.locator(f"#n-{name}").inner_text().replace(",", ""))


def test_it_trains_the_xor_of_the_video(tab):
    page = tab()
    press(page, "Train")
    expect(page.locator("#run")).to_have_text("Pause")
    page.wait_for_function("() => Number(document.getElementById('n-error').textContent) < 0.01", timeout=120_000)
    press(page, "Pause")
    expect(page.locator("#n-right")).to_have_text("100.0%")
    expect(page.locator("#status")).to_contain_text("100.0% right")


def test_one_step_at_a_time_with_the_rule_of_each_layer(tab):
    page = tab()
    for step in (1, 2):
        press(page, "One step")
        expect(page.locator("#n-step")).to_have_text(str(step))
    expect(page.locator("#rule code").nth(1)).to_have_text("dE/dW = Xᵀ · dE/dY")
    page.select_option("#layer", label="2: tanh")
    expect(page.locator("#rule code").nth(1)).to_have_text("dE/dX = dE/dY ⊙ f′(X)")
    page.select_option("#layer", label="1: dense(2, 3)")
    page.check("#late")
    expect(page.locator("#rule")).to_contain_text("which is the bug")


def test_every_choice_of_data_loss_and_optimizer_starts_a_net(tab):
    page = tab()
    for name in ("data", "loss", "optimizer", "last"):
        for value in page.locator(f"#{name} option").evaluate_all("all => all.map(each => each.value)"):
            if value == "csv":
                continue
            page.select_option(f"#{name}", value)
            expect(page).to_have_url(re.compile(f"[#&]{name}={value}&"))
            press(page, "One step")
            expect(page.locator("#n-step")).to_have_text("1")
            expect(page.locator("#problem")).to_be_hidden()


def test_layers_are_added_and_removed(tab):
    page = tab()
    press(page, "Add a layer")
    expect(page.locator("#status")).to_contain_text("dense(2, 3), tanh, dense(3, 4), tanh, dense(4, 1), tanh")
    page.click("[aria-label='Remove hidden layer 1']")
    expect(page.locator("#status")).to_contain_text("dense(2, 4), tanh, dense(4, 1), tanh")
    page.fill("[aria-label='Neurons of hidden layer 1']", "7")
    page.press("[aria-label='Neurons of hidden layer 1']", "Enter")
    expect(page.locator("#status")).to_contain_text("dense(2, 7)")


def test_a_wrong_csv_is_told_and_harms_nothing_and_a_right_one_is_learnt(tab):
    page = tab()
    press(page, "One step")
    page.select_option("#data", "csv")
    page.fill("#csv", "1,2,x\n1,two,y\n")
    press(page, "Use this CSV")
    expect(page.locator("#problem")).to_have_text(
        "Line 2, column 2 of the CSV is 'two': it must be a number. The net is as it was."
    )
    press(page, "One step")
    expect(page.locator("#n-step")).to_have_text("2")
    page.fill("#csv", "a,b,kind\n1,2,owl\n2,1,<b>cat</b>\n3,5,owl\n4,1,<b>cat</b>\n")
    press(page, "Use this CSV")
    expect(page.locator("#problem")).to_be_hidden()
    expect(page.locator("#legend")).to_contain_text("orange is <b>cat</b>, blue is owl")


def test_an_address_gives_the_same_net_at_the_same_step(tab):
    page = tab("data=moons&layers=4:relu&last=identity&optimizer=adam&rate=0.05&batch=20&seed=3")
    for _ in range(3):
        press(page, "One step")
    expect(page).to_have_url(re.compile("steps=3"))
    shared = tab(page.url.partition("#")[2])
    expect(shared.locator("#n-step")).to_have_text("3")
    assert shared.locator("#n-error").inner_text() == page.locator("#n-error").inner_text()


def test_two_tabs_train_each_its_own_net_and_a_closed_one_leaves_the_other_alone(tab):
    first, second = tab(), tab("data=circles")
    press(first, "Train")
    press(second, "Train")
    first.wait_for_function("() => Number(document.getElementById('n-epoch').textContent) > 5")
    first.close()
    at = number(second, "step")
    second.wait_for_function(
        f"() => Number(document.getElementById('n-step').textContent.replaceAll(',', '')) > {at + 50}"
    )
    expect(second.locator("#problem")).to_be_hidden()


def test_what_is_taken_away_makes_the_same_net(tab, tmp_path):
    page = tab("data=moons&layers=5:tanh&last=identity&batch=10&optimizer=adam&rate=0.03&steps=40")
    with page.expect_download() as program:
        press(page, "Python program")
    program.value.save_as(tmp_path / "net.py")
    with page.expect_download() as params:
        press(page, "Params (.npz)")
    params.value.save_as(tmp_path / "page.npz")
    told = subprocess.run([sys.executable, "net.py"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert f"{float(told.split()[-1]):.4f}" == page.locator("#n-error").inner_text()
    with np.load(tmp_path / "params.npz") as ours, np.load(tmp_path / "page.npz") as theirs:
        assert len(theirs.files) == 4
        for name in theirs.files:
            np.testing.assert_array_equal(theirs[name], ours[name], err_msg=name)


def test_the_keyboard_reaches_everything(tab):
    page = tab()
    page.keyboard.press("Tab")
    expect(page.locator("#run")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#n-step")).to_have_text("1")
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(FOCUSED))
    controls = {"run", "step", "restart", "speed", "data", "add", "last", "loss", "optimizer", "rate", "batch", "seed"}
    controls |= {"late", "program", "npz", "layer"}
    assert {*controls, "Neurons of hidden layer 1", "Remove hidden layer 1", "Y = X · W + B"} <= reached


@pytest.mark.parametrize("data", ["xor", "digits", "csv"])
def test_everything_has_a_name_for_a_screen_reader(tab, data):
    page = tab("data=csv&csv=1,2,x%0A2,1,y" if data == "csv" else f"data={data}")
    assert page.evaluate(NAMELESS) == []
    assert page.locator("[role=status]").count() == page.locator("[role=alert]").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_stands_out_of_the_window(tab, width, scheme):
    page = tab("layers=8:tanh,8:tanh", viewport={"width": width, "height": 900}, color_scheme=scheme)
    press(page, "One step")
    expect(page.locator("#n-step")).to_have_text("1")
    assert page.evaluate(OVERFLOW) <= 0
    for row in page.locator(".layer").all():
        card, own = page.locator("#choices").bounding_box(), row.bounding_box()
        assert own["x"] + own["width"] < card["x"] + card["width"]
