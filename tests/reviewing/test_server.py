"""The review page's server: who is let in, and what it keeps."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from treg_gating.errors import InputError
from treg_gating.gating.gates import Ellipse, HalfPlane, Interval, Polygon
from treg_gating.gating.template import load_template
from treg_gating.reviewing.desk import Desk
from treg_gating.reviewing.server import ReviewServer
from treg_gating.reviewing.shapes import gate_of_shape, shape_of, typical_gate
from treg_gating.run.ledger import Ledger

TUBE = "S01_Baseline"


@pytest.fixture
def serve() -> Iterator[Callable[..., ReviewServer]]:
    """Serve a study's review page in a thread; all servers end with the test."""
    running: list[tuple[ReviewServer, threading.Thread]] = []

    def start(study: Any, **more: Any) -> ReviewServer:
        desk = Desk(study.out, load_template("treg_foxp3"), data=study.folder, **more)
        server, ready = ReviewServer(desk), threading.Event()
        thread = threading.Thread(target=server.run, args=(ready.set,), daemon=True)
        thread.start()
        assert ready.wait(20)
        running.append((server, thread))
        return server

    yield start
    for server, thread in running:
        server.stop()
        thread.join(20)


def ask(server: ReviewServer, path: str, body: Any = None, url: str = "", **headers: str) -> tuple[int, Any]:
    """Status and answer; headers that are given replace what a browser would send."""
    origin = f"http://127.0.0.1:{server.port}"
    usual = {"Origin": origin, "Content-Type": "application/json"} if body is not None else {}
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    given = {name: value for name, value in {**usual, **headers}.items() if value}
    request = urllib.request.Request(
        (url or server.url) + path, data, {k.replace("_", "-"): v for k, v in given.items()}
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            content = answer.read()
            return answer.status, json.loads(content) if "json" in answer.headers["Content-Type"] else content
    except urllib.error.HTTPError as error:
        content = error.read()
        return error.code, json.loads(content) if content.startswith(b"{") else content


def test_only_the_page_itself_is_answered(study, serve):
    server = serve(study)
    root = f"http://127.0.0.1:{server.port}/"
    assert ask(server, "api/run")[0] == 200
    assert ask(server, "")[0] == 200
    assert ask(server, "api/run", url=root + "x" * 32 + "/")[0] == 404
    assert ask(server, "", url=root)[0] == 404
    assert ask(server, "../../etc/passwd")[0] == 404
    assert ask(server, "api/run", Host="evil.example")[0] == 421
    assert ask(server, "api/run", Origin="http://evil.example")[0] == 403
    assert ask(server, "api/run", Sec_Fetch_Site="cross-site")[0] == 403
    tube = next(iter(server.desk.seats))
    decide = {"tube": tube, "population": "", "action": "accept", "name": "A"}
    assert ask(server, "api/decide", decide, Origin="")[0] == 403
    assert ask(server, "api/decide", decide, Origin="null")[0] == 403
    assert ask(server, "api/decide", decide, Content_Type="text/plain")[0] == 403
    assert ask(server, "api/decide", b"{")[0] == 400
    assert ask(server, "api/decide", {**decide, "tube": "no such"})[0] == 422
    with Ledger(study.out) as ledger:
        assert ledger.decisions() == []


def test_bodies_are_bounded_and_the_page_may_ask_nobody_else(study, serve):
    server = serve(study)
    try:
        status = ask(server, "api/look", b" " * (300 * 1024))[0]
    except (urllib.error.URLError, ConnectionError):
        status = 400  # the connection is closed on such a body
    assert status in (400, 413)
    with urllib.request.urlopen(server.url, timeout=20) as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "connect-src 'self'" in policy
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Server" not in answer.headers


def test_it_listens_on_this_computer_alone(study, serve):
    server = serve(study)
    assert server.url.startswith("http://127.0.0.1:")
    assert len(server.token) >= 32
    assert all(socket.getsockname()[0] == "127.0.0.1" for socket in server._sockets)


def test_a_blinded_page_tells_nothing_of_the_tube(study, serve):
    server = serve(study)
    said = json.dumps([ask(server, "api/run")[1], *(ask(server, f"api/tube?name={n}")[1] for n in server.desk.seats)])
    for word in ("S01", "S02", "Baseline", "Week 4", "Week12", "B1", "B2", ".fcs", str(study.folder)):
        assert word not in said, word
    for path in (study.folder / "fcs").iterdir():
        path.unlink()
    status, answer = ask(server, "api/look", {"tube": next(iter(server.desk.seats)), "gates": {}})
    assert status == 409
    assert not any(word in answer["error"] for word in ("S01", "S02", ".fcs", str(study.folder)))
    key = study.out / "blinding_key.csv"
    assert key.stat().st_mode & 0o777 == 0o600
    again = serve(study)
    assert list(again.desk.seats) == list(server.desk.seats), "pseudonyms stay"


def test_not_blinded_shows_who_it_is(study, serve):
    server = serve(study, blinded=False)
    found = ask(server, "api/run")[1]
    assert [tube["name"] for tube in found["tubes"]][:1] == [TUBE]
    assert found["tubes"][0]["about"] == "S01 · Baseline · B1"


def test_a_look_counts_as_a_rerun_does(study, serve, moved):
    server = serve(study, blinded=False)
    gate = moved(study.result(TUBE), 0.05)
    status, look = ask(server, "api/look", {"tube": TUBE, "gates": {"treg": shape_of(gate)}, "draw": "treg"})
    assert status == 200
    assert look["picture"]["population"] == "treg"
    body = {"tube": TUBE, "population": "treg", "action": "override", "name": "B. Lab", "reason": "too_low",
            "gate": shape_of(gate)}  # fmt: skip
    assert ask(server, "api/decide", body)[0] == 200
    study.rerun()
    assert int(study.row(TUBE)["n_treg"]) == look["numbers"]["treg"]
    status, answer = ask(server, "api/decide", {**body, "action": "withdraw", "gate": None, "reason": ""})
    assert status == 409
    assert "the run was done again" in answer["error"]


def test_what_was_decided_is_on_the_disk_before_the_answer(study, serve):
    """Read by another connection while the server still runs: nothing waits in its memory."""
    server = serve(study, blinded=False)
    body = {"tube": TUBE, "population": "", "action": "exclude", "name": "B. Lab", "reason": "mix_up"}
    assert ask(server, "api/decide", body)[0] == 200
    with Ledger(study.out) as ledger:
        assert [(d.tube_id, d.action, d.name, d.value != "") for d in ledger.decisions()] == [
            (TUBE, "exclude", "B. Lab", True)
        ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"gate": None}, "this is no gate"),
        ({"gate": {"gate": "Interval", "dims": ["FOXP3"], "low": "x"}}, "not a number"),
        ({"gate": {"gate": "Interval", "dims": ["CD4"], "low": 0.5}}, "other dimensions"),
        ({"gate": {"gate": "Interval", "dims": ["FOXP3"], "low": 1e300}}, "out of range"),
        ({"gate": {"gate": "Interval", "dims": ["FOXP3"], "low": 1, "surprise": 2}}, "surprise"),
        ({"gate": {"gate": "Polygon", "dims": ["FOXP3"], "vertices": [[0, 0]] * 700}}, "700 corners"),
        ({"name": ""}, "name"),
        ({"reason": "because"}, "a reason is missing"),
        ({"population": "effector_treg"}, "no gate of its own"),
        ({"population": "nothing"}, "no gate of its own"),
    ],
)
def test_nonsense_is_refused_with_words(study, serve, change, words):
    server = serve(study, blinded=False)
    body = {"tube": TUBE, "population": "treg", "action": "override", "name": "B", "reason": "too_low",
            "gate": {"gate": "Interval", "dims": ["FOXP3"], "low": 0.5, "high": None}}  # fmt: skip
    status, answer = ask(server, "api/decide", {**body, **change})
    assert status == 422
    assert words in answer["error"]
    with Ledger(study.out) as ledger:
        assert ledger.decisions() == []


def test_shapes_survive_json():
    gates = (
        Interval(("CD4",), low=0.3),
        Interval(("CD4",), 0.1, 0.2),
        HalfPlane(("CD25", "CD127"), (0.8, -0.6), 0.1),
        Polygon(("A", "B"), ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))),
        Ellipse(("A", "B"), (0.0, 1.0), ((2.0, 0.5), (0.5, 1.0)), 4.0),
    )
    for gate in gates:
        assert gate_of_shape(json.loads(json.dumps(shape_of(gate))), gate.dims) == gate
    with pytest.raises(InputError, match="not a unit vector"):
        gate_of_shape({**shape_of(gates[2]), "normal": [3, 4]}, gates[2].dims)


def test_a_tube_without_a_gate_begins_where_the_others_are():
    gates = [Interval(("CD4",), low=low) for low in (0.3, 0.34, 0.9)]
    assert typical_gate(gates) == gates[1]
    lines = [HalfPlane(("A", "B"), (1.0, 0.0), offset) for offset in (0.1, 0.2, 0.4)]
    assert typical_gate(lines) == lines[1]
    assert typical_gate([]) is None
    assert typical_gate([replace(gates[0], low=0.1), *lines]) == replace(gates[0], low=0.1)
