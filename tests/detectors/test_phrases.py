import pytest

from gotowce_dagster.detectors.phrases import Phrases

PHRASES = Phrases({"target": ["Four corner brackets.", "red square"], "ship": ["a space ship", "freighter"]})


def test_asked_once_each_in_lower_case() -> None:
    assert PHRASES.asked == ["four corner brackets", "red square", "a space ship", "freighter"]
    assert Phrases({"a": ["x", "X."]}).asked == ["x"]


@pytest.mark.parametrize(
    ("label", "least_shared", "owner"),
    [
        ("red square", 1.0, ("target", "red square")),
        ("a Red  Square.", 1.0, ("target", "red square")),
        ("a corner bracket", 0.5, ("target", "four corner brackets")),
        ("ships", 0.5, ("ship", "a space ship")),
        ("a square in a red room of a house", 0.9, ("target", "red square")),
        ("the corner of a table", 0.6, None),
        ("a tree", 0.0, None),
        ("the", 0.0, None),
        ("", 0.0, None),
    ],
    ids=[
        "the same",
        "but for case and articles",
        "part of it, singular",
        "plural",
        "within a longer one",
        "too little of it",
        "nothing of it",
        "small words",
        "nothing",
    ],
)
def test_owner(label: str, least_shared: float, owner: tuple[str, str] | None) -> None:
    assert PHRASES.owner(label, least_shared) == owner
