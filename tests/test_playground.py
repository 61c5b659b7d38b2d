"""The playground: what its page asks for by HTTP, and who is refused."""

from __future__ import annotations

import http.client
import io
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import purenet as pn
from purenet.playground.server import MOST_SESSIONS, serve
from purenet.playground.session import CHOICES, Session

JSON = {"Content-Type": "application/json"}
WHOLE_BATCH = {"batch": 4, "rate": 0.5}


@pytest.fixture(scope="module")
def server():
    server = serve()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def send(server, path, body=None, headers=JSON, method=None):
    """(status, headers, bytes) of one request; a body that is no text is sent as JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    body = body if isinstance(body, str | None) else json.dumps(body)
    try:
        connection.request(method or ("GET" if body is None else "POST"), path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def post(server, path, **asked):
    status, _, text = send(server, path, asked)
    answer = json.loads(text)
    assert status == 200, answer
    return answer


def refused(server, path, body=None, **how):
    status, _, text = send(server, path, body, **how)
    return status, json.loads(text)["error"]


def started(server, **config):
    return post(server, "/start", config=config)


def term(rule, formula, name):
    """A matrix of one line of a rule."""
    line = next(line for line in rule["lines"] if line[0].startswith(formula))
    found = line[line.index(name) + 1]
    array = np.array(found["rows"])
    assert list(array.shape) == found["shape"]
    return array


def test_the_page_opens_and_needs_no_network(server):
    status, headers, text = send(server, "/")
    page = text.decode()
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "<title>purenet playground</title>" in page
    assert "http://" not in page
    assert "https://" not in page
    assert refused(server, "/other.html")[0] == 404


def test_it_trains_xor_below_a_hundredth(server):
    net = started(server)
    assert (net["step"], net["layers"]) == (0, ["dense(2, 3)", "tanh", "dense(3, 1)", "tanh"])
    for _ in range(40):
        seen = post(server, "/advance", id=net["id"], steps=100)
    assert seen["step"] == 4000
    assert seen["error"] < 0.01
    assert seen["right"] == 1
    assert post(server, "/advance", id=net["id"], ms=30)["step"] > 4000


def test_a_step_is_one_step_and_looking_is_none(server):
    name = started(server, **WHOLE_BATCH)["id"]
    assert post(server, "/advance", id=name, steps=1)["step"] == 1
    looked = post(server, "/advance", id=name, layer=0)
    assert (looked["step"], looked["rule"]["name"]) == (1, "dense(2, 3)")


@pytest.mark.parametrize("data", [name for name in CHOICES["data"] if name != "csv"])
@pytest.mark.parametrize("loss", CHOICES["loss"])
def test_all_data_and_losses_learn(data, loss):
    session = Session({"data": data, "loss": loss, "last": "identity", "optimizer": "adam", "rate": 0.01, "batch": 20})
    first = session.picture(None)["error"]
    assert session.advance(100, 0, None)["error"] < first


@pytest.mark.parametrize("activation", CHOICES["activation"])
@pytest.mark.parametrize("optimizer", CHOICES["optimizer"])
def test_all_activations_and_optimizers_learn(activation, optimizer):
    given = {"data": "moons", "layers": [[8, activation]], "last": "identity", "optimizer": optimizer, "rate": 0.01}
    session = Session({**given, "batch": 20})
    first = session.picture(None)["error"]
    assert session.advance(100, 0, 1)["error"] < first


def test_data_are_switched_in_the_same_tab(server):
    first = started(server, data="moons")
    second = post(server, "/start", id=first["id"], config={"data": "digits", "loss": "softmax_cross_entropy"})
    assert (len(first["points"]), second["count"], second["outputs"]) == (200, 1438, 10)
    assert refused(server, "/advance", {"id": first["id"]})[0] == 410
    seen = post(server, "/advance", id=second["id"], steps=3)
    assert len(seen["predicted"]) == 40


TABLE = "height,width,kind\n1,2,cat\n2,1,dog\n3,5,<b>owl</b>\n2,2,cat\n"


def test_a_csv_is_scaled_and_its_classes_are_named(server):
    net = started(server, data="csv", csv=TABLE, loss="softmax_cross_entropy", last="identity")
    assert net["classes"] == ["<b>owl</b>", "cat", "dog"]
    assert net["labels"] == [1, 2, 0, 1]
    np.testing.assert_allclose(np.mean(net["points"], axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(np.std(net["points"], axis=0), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "0 rows of data"),
        ("a,b\n", "0 rows of data"),
        ("1,2,x\n1,x,y\n", "Line 2, column 2 of the CSV is 'x': it must be a number."),
        ("1,2,x\n1,nan,y\n", "column 2 of the CSV is 'nan'"),
        ("1,2,x\n1,y\n", "Line 2 of the CSV has 2 columns, but the first row of data has 3."),
        ("1\n2\n", "1 columns"),
        ("1;x\n2;y\n", "with commas between"),
        (f'1,"{"x" * 200_000}"\n', "The CSV cannot be read: field larger"),
        ("1,x\n2,x\n", "1 different classes"),
        ("\n".join(f"{i},{i}" for i in range(11)), "11 different classes"),
        ("1,x\n2,y\n" * 1001, "2002 rows"),
    ],
)
def test_a_wrong_csv_gets_a_clear_message_and_harms_nothing(server, text, message):
    name = started(server)["id"]
    status, error = refused(server, "/start", {"id": name, "config": {"data": "csv", "csv": text}})
    assert status == 400
    assert message in error
    assert post(server, "/advance", id=name, steps=1)["step"] == 1


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ([], "JSON object"),
        ({"colour": 1}, "no choice named colour"),
        ({"data": "__class__"}, "The data is one of"),
        ({"layers": [[3, "load"]]}, "The activation is one of"),
        ({"layers": [[65, "tanh"]]}, "number of neurons is a whole number from 1 to 64, not 65"),
        ({"layers": [[2, "tanh"]] * 7}, "at most 6"),
        ({"layers": ["tanh"]}, "is a pair"),
        ({"rate": None}, "The rate is a number above 0"),
        ({"rate": 0}, "The rate is a number above 0"),
        ({"rate": float("nan")}, "The rate is a number above 0"),
        ({"batch": 0}, "batch size"),
        ({"batch": True}, "batch size"),
        ({"seed": -1}, "seed"),
        ({"late": 1}, "late update is true or false"),
    ],
)
def test_wrong_choices_get_a_clear_message(server, config, message):
    status, error = refused(server, "/start", {"config": config})
    assert status == 400
    assert message in error


def test_two_tabs_are_two_sessions(server):
    one, other = started(server)["id"], started(server, seed=2)["id"]
    assert one != other
    assert post(server, "/advance", id=one, steps=5)["step"] == 5
    assert post(server, "/advance", id=other, steps=1)["step"] == 1


def test_of_too_many_tabs_the_one_used_longest_ago_goes(server):
    kept, lost = started(server)["id"], started(server)["id"]
    for _ in range(MOST_SESSIONS - 1):
        started(server)
        post(server, "/advance", id=kept)
    assert len(server.sessions) == MOST_SESSIONS
    status, error = refused(server, "/advance", {"id": lost})
    assert status == 410
    assert "start it anew" in error


def test_an_answer_does_not_wait_for_the_confirmation_of_its_head(server):
    """That takes Linux 40 ms, and a page asks for a frame after the other on one connection."""
    body, times = json.dumps({"id": started(server)["id"], "steps": 1}), []
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    for _ in range(20):
        begun = time.perf_counter()
        connection.request("POST", "/advance", body, JSON)
        connection.getresponse().read()
        times.append(time.perf_counter() - begun)
    connection.close()
    assert sorted(times)[5] < 0.038  # a few may be slow on a busy machine, and a few are quick in any case


def test_a_tab_that_closes_too_early_is_not_told(server, capsys):
    for error, told in ((BrokenPipeError(), False), (RuntimeError("oops"), True)):
        try:
            raise error
        except Exception:
            server.handle_error(None, None)
        assert ("Traceback" in capsys.readouterr().err) is told


def test_another_host_or_origin_is_refused(server):
    here = f"127.0.0.1:{server.server_port}"
    for host in ("evil.example", f"evil.example:{server.server_port}", "127.0.0.1", f"{here}.evil.example"):
        assert refused(server, "/start", {}, headers={**JSON, "Host": host})[0] == 403
        assert refused(server, "/", headers={"Host": host})[0] == 403
    for origin in ("http://evil.example", "null", f"https://{here}", f"http://{here}.evil.example", "http://127.0.0.1"):
        assert refused(server, "/start", {}, headers={**JSON, "Origin": origin})[0] == 403
    for name in ("127.0.0.1", "localhost"):
        own = {"Host": f"{name}:{server.server_port}", "Origin": f"http://{name}:{server.server_port}"}
        assert send(server, "/start", {}, headers={**JSON, **own})[0] == 200


def test_only_posts_of_json_objects_are_taken(server):
    assert refused(server, "/start", "{}", headers={"Content-Type": "text/plain"})[0] == 415
    assert refused(server, "/start", "{}", headers={})[0] == 415
    assert refused(server, "/start", "[]")[0] == 400
    assert refused(server, "/start", "{")[0] == 400
    assert refused(server, "/none", "{}")[0] == 404
    assert refused(server, "/start", headers={**JSON, "Content-Length": "1000001"}, method="POST")[0] == 413
    assert refused(server, "/start", headers={**JSON, "Content-Length": "-1"}, method="POST")[0] == 413
    assert refused(server, "/start")[0] == 404  # a GET
    assert refused(server, "/advance", {"id": started(server)["id"], "layer": 9})[0] == 400
    assert refused(server, "/advance", {"id": started(server)["id"], "steps": "many"})[0] == 400


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"late": True, "rate": 0.3},
        {"data": "clouds", "layers": [[4, "leaky_relu"], [3, "elu"]], "loss": "hinge", "optimizer": "adam", "batch": 7},
        {"data": "digits", "layers": [], "last": "identity", "loss": "softmax_cross_entropy", "batch": 32},
        {"data": "csv", "csv": TABLE, "loss": "huber", "rate": 1e-5},
    ],
    ids=["xor", "late", "clouds", "digits", "csv"],
)
def test_the_exported_program_makes_the_same_params(server, config, tmp_path):
    name = started(server, **config)["id"]
    seen = post(server, "/advance", id=name, steps=45)
    (tmp_path / "net.py").write_text(post(server, "/program", id=name)["program"], encoding="utf-8")
    command = [sys.executable, "-W", "error", "net.py"]
    environment = {**os.environ, "PYTHONPATH": str(Path(pn.__file__).parents[1])}
    printed = subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True).stdout
    assert float(printed.split()[1]) == pytest.approx(seen["error"], rel=1e-5)
    status, _, file = send(server, "/params", {"id": name})
    assert status == 200
    (tmp_path / "exported.npz").write_bytes(file)
    like = server.sessions[name].params
    made, exported = (pn.load(tmp_path / file, like=like) for file in ("params.npz", "exported.npz"))
    assert pn.tree.allclose(made, exported, rtol=0, atol=0)
    assert pn.tree.allclose(like, exported, rtol=0, atol=0)
    assert np.load(io.BytesIO(file)).files


def test_the_numbers_shown_fit_the_rule_shown(server):
    name = started(server, **WHOLE_BATCH)["id"]
    rule = post(server, "/advance", id=name, steps=3, layer=2)["rule"]
    x, dy, dw = (term(rule, "dE/dW", part) for part in ("Xᵀ", "dE/dY", "dE/dW"))
    np.testing.assert_allclose(x @ dy, dw, rtol=1e-5, atol=1e-7)
    w, dx = (term(rule, "dE/dX = dE/dY · Wᵀ", part) for part in ("Wᵀ", "dE/dX"))
    np.testing.assert_allclose(dy @ w, dx, rtol=1e-5, atol=1e-7)
    rule = post(server, "/advance", id=name, layer=1)["rule"]
    dy, slope, dx_of_tanh = (term(rule, "dE/dX", part) for part in ("dE/dY", "f′(X)", "dE/dX"))
    np.testing.assert_allclose(dy, dx)  # what the layer after it gives
    np.testing.assert_allclose(dy * slope, dx_of_tanh, rtol=1e-5, atol=1e-7)


def test_the_gradient_shown_is_the_one_that_the_step_took(server):
    name = started(server, **WHOLE_BATCH)["id"]
    session = server.sessions[name]
    before = session.params
    rule = post(server, "/advance", id=name, steps=1, layer=0)["rule"]
    step = (before[0].weight - session.params[0].weight) / 0.5
    np.testing.assert_allclose(term(rule, "dE/dW", "dE/dW"), step, rtol=1e-3, atol=1e-6)


def test_the_late_update_changes_the_gradients_below_alone(server):
    rules = {}
    for late in (False, True):
        name = started(server, **WHOLE_BATCH, late=late)["id"]
        for layer in (0, 2):
            rules[late, layer] = post(server, "/advance", id=name, layer=layer)["rule"]
        post(server, "/advance", id=name, steps=1)
        rules[late] = server.sessions[name].params
    last, late_last = (term(rules[late, 2], "dE/dW", "dE/dW") for late in (False, True))
    first, late_first = (term(rules[late, 0], "dE/dW", "dE/dW") for late in (False, True))
    np.testing.assert_array_equal(last, late_last)
    assert np.abs(first - late_first).max() > 1e-3
    assert not pn.tree.allclose(rules[False], rules[True], rtol=0, atol=1e-3)
    dy, late_weight, dx = (term(rules[True, 2], "dE/dX", part) for part in ("dE/dY", "(W − rate · dE/dW)ᵀ", "dE/dX"))
    np.testing.assert_allclose(dy @ late_weight, dx, rtol=1e-5, atol=1e-7)


def test_a_net_that_blows_up_is_shown_as_such(server):
    name = started(server, rate=100, last="identity", layers=[[8, "relu"]], batch=4)["id"]
    assert post(server, "/advance", id=name, steps=1000)["error"] is None


def test_the_command_says_where_the_page_is(tmp_path):
    command = [sys.executable, "-u", "-m", "purenet.playground"]
    environment = {**os.environ, "PYTHONPATH": str(Path(pn.__file__).parents[1])}
    how = {"cwd": tmp_path, "env": environment, "text": True}
    helped = subprocess.run([*command, "--help"], check=True, capture_output=True, **how).stdout
    assert "--no-browser" in helped
    assert "--port" in helped
    with subprocess.Popen([*command, "--no-browser"], stdout=subprocess.PIPE, **how) as running:
        try:
            port = int(running.stdout.readline().split("127.0.0.1:")[1].split("/")[0])
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", "/")
            assert connection.getresponse().status == 200
            connection.close()
        finally:
            running.terminate()
