import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from gotowce_dagster.config.project import Project
from gotowce_dagster.core.weights import BY_HAND, WEIGHTS
from gotowce_dagster.diagnosis import checks, machine
from gotowce_dagster.diagnosis.checks import diagnose
from gotowce_dagster.diagnosis.finding import Finding, Level
from gotowce_dagster.propagation.registry import PROPAGATORS
from gotowce_dagster.review.connection import Secrets, write_secrets
from gotowce_dagster.segmenters.registry import SEGMENTERS

TOKEN = "t" * 40


def findings(project: Project) -> dict[str, Finding]:
    return {finding.what: finding for finding in diagnose(Project(project.paths))}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of what answers as Label Studio does and knows one token."""
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"):
        monkeypatch.delenv(name, raising=False)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_known = "version" in self.path or self.headers["Authorization"] == f"Token {TOKEN}"
            self.send_response(200 if is_known else 401)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b'{"release": "1.23.2", "id": 1, "email": "a@b.test"}')

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    one = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=one.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{one.server_port}"
    one.shutdown()
    one.server_close()


@pytest.mark.integration
@pytest.mark.parametrize(
    ("token", "ok", "expected"),
    [
        pytest.param(TOKEN, True, "responds and accepts the token", id="as review serve leaves it"),
        pytest.param("x" * 40, False, "token", id="another token"),
        pytest.param(None, False, "`gotowce review serve`", id="never started"),
    ],
)
def test_our_own_label_studio_is_found(
    clone: Project, server: str, *, token: str | None, ok: bool, expected: str
) -> None:
    if token:
        write_secrets(clone.paths.root, Secrets(token, "a@b.test", "secret", server))
    found = findings(clone)["label studio"]
    assert found.ok == ok
    assert expected in found.result


@pytest.mark.usefixtures("no_network")
def test_every_engine_is_listed_and_one_that_does_not_exist_is_named(clone: Project) -> None:
    text = clone.paths.params.read_text(encoding="utf-8")
    clone.paths.params.write_text(text.replace("segmenter: [", 'segmenter: ["sam9:whatever", ', 1))
    found = findings(clone)
    for stage, registry in (("masks", SEGMENTERS), ("propagation", PROPAGATORS)):
        listed = {what.split(": ")[1].partition(":")[0] for what in found if what.startswith(stage)}
        assert listed - {"sam9"} == set(registry)
    odd = found["masks: sam9:whatever"]
    assert not odd.ok
    assert odd.result == f"there is no engine 'sam9'; known: {', '.join(SEGMENTERS)}"
    assert "propagation: unused" not in found


@pytest.mark.usefixtures("no_network")
def test_every_model_of_every_study_is_listed(clone: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it cannot run, which is no problem until somebody runs the study."""
    for settings in clone.params.dialogue.models.values():
        for name in settings.key_variables:
            monkeypatch.delenv(name, raising=False)
    text = clone.paths.params.read_text(encoding="utf-8")
    assert text.count("send: false, budget: 2.0") == 1
    clone.paths.params.write_text(text.replace("send: false, budget: 2.0", "send: true, budget: 2.0"))
    params, found = clone.params, findings(clone)
    for study, models in {
        "detector_comparison": params.detector_comparison.detectors,
        "prompt_inputs": params.prompt_inputs.detectors,
        "dialogue": params.dialogue.models,
        "vocabulary": params.vocabulary.detectors,
    }.items():
        listed = {what for what in found if what.startswith(f"{study}: ")}
        assert listed == {f"{study}: {name}" for name in models}
    (hosted,) = {f"dialogue: {name}" for name in params.dialogue.models}
    assert (found[hosted].ok, found[hosted].level) == (False, Level.FINE)
    assert "no key" in found[hosted].result


@pytest.mark.parametrize(("is_half", "expected"), [(True, "SAM 2 in bfloat16"), (False, "all in float32")])
@pytest.mark.usefixtures("no_network")
def test_the_device_tells_its_precision(
    clone: Project, monkeypatch: pytest.MonkeyPatch, is_half: bool, expected: str
) -> None:
    monkeypatch.setattr(machine, "half_precision", lambda device: is_half)
    assert expected in findings(clone)["device"].result


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No weights, and addresses that never answer; the folder of the user's weights."""
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("gotowce_dagster.core.weights.reachable", lambda *_: threading.Event().wait(600))
    monkeypatch.setattr(checks, "WAIT_S", 0.2)
    return tmp_path


def test_without_a_network_the_message_names_files_and_urls(clone: Project, no_network: Path) -> None:
    found = findings(clone)
    engine = found["engine of masks"]
    assert (engine.ok, engine.level) == (True, Level.HINT), "grabcut needs no weights"
    name = "sam2.1_hiera_tiny.pt"
    assert engine.do == (
        f"curl -fL --create-dirs -o {no_network / name} {WEIGHTS[name].url}; then gotowce sync --refresh"
    )
    assert not found["yolo26n.pt"].ok
    assert found["yolo26n.pt"].level is Level.FINE, "a file alone is no problem"
    edgetam = WEIGHTS["EdgeTAM-hf"]
    assert found["EdgeTAM-hf"].do == (
        f"hf download {edgetam.repo} --revision {edgetam.revision} --local-dir {no_network / 'EdgeTAM-hf'}"
    )


def test_params_that_cannot_be_read_are_what_is_wrong(clone: Project, no_network: Path) -> None:
    clone.paths.params.write_text("masks: [", encoding="utf-8")
    found = findings(clone)
    assert found["project"].level is Level.WRONG
    assert "params.yaml" in found["project"].result
    assert "device" in found


@pytest.mark.parametrize(
    ("chosen", "blocked", "level", "expected", "do"),
    [
        pytest.param("a", {}, Level.FINE, "a", "", id="the preferred one"),
        pytest.param(
            None, {"a": "no"}, Level.HINT, "b; params.yaml prefers a: no", "then", id="the next one"
        ),
        pytest.param(
            "b", {}, Level.HINT, "which can run here now", "gotowce sync --refresh", id="better now"
        ),
        pytest.param("a", {"a": "no"}, Level.WRONG, "a, chosen in", "or gotowce sync --refresh", id="chosen"),
        pytest.param(None, {"a": "no", "b": "no"}, Level.WRONG, "none of a, b can run", "choose", id="none"),
    ],
)
def test_the_engine_of_a_stage(
    chosen: str | None, blocked: dict[str, str], level: Level, expected: str, do: str
) -> None:
    found = checks.engine_choice("masks", ["a", "b"], chosen, blocked)
    assert found.level is level
    assert expected in found.result
    assert do in found.do


def test_weights_downloaded_by_hand_have_a_row_and_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOTOWCE_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "facebook" / "sam3").mkdir(parents=True)
    rows = {name: checks.by_hand_finding(name) for name in BY_HAND}
    assert rows["facebook/sam3"].ok
    lacking = rows["Roboflow/rf-detr-nano"]
    assert not lacking.ok
    assert lacking.result.startswith("for the detector kind rfdetr: not in ")
    assert rows["florence-community/Florence-2-base"].result.startswith("for the detector kind florence2: ")
    assert rows["facebook/sam3"].result.startswith("for the detector kind sam3: ")
    assert lacking.do == f"hf download Roboflow/rf-detr-nano --local-dir {tmp_path}/Roboflow/rf-detr-nano"
