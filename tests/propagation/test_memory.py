from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gotowce_dagster.propagation.memory import Memory, nearest

OUTPUTS, POINTERS = 3, 5
ENDLESS = 1000


@pytest.fixture(scope="module")
def select() -> Any:
    """The package's own choice; the package can only be imported where hydra is ready for it."""
    from hydra import initialize_config_module
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    initialize_config_module("sam2")
    from sam2.modeling.sam2_utils import select_closest_cond_frames

    GlobalHydra.instance().clear()
    return select_closest_cond_frames


@pytest.mark.parametrize("most", [2, 3, 4, 8])
@given(frames=st.sets(st.integers(0, 40), min_size=1, max_size=8), frame_index=st.integers(0, 40))
def test_nearest_are_those_that_sam2_selects(
    most: int, frames: set[int], frame_index: int, select: Any
) -> None:
    chosen, _ = select(frame_index, dict.fromkeys(frames), most)
    assert nearest(frames, frame_index, most) == list(chosen)


def test_the_one_nearest_is_the_last_before() -> None:
    assert nearest([3, 9, 12], 10, 1) == [9]
    assert nearest([12, 15], 10, 1) == [12]


walks = st.dictionaries(
    st.integers(0, 29), st.sets(st.sampled_from("ab"), min_size=1), min_size=1, max_size=4
)


@settings(max_examples=60)
@given(
    prompts=walks,
    passes=st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(1, 30)), min_size=1, max_size=4),
    stride=st.sampled_from([1, 3]),
)
def test_what_is_looked_back_on_is_as_if_nothing_were_dropped(
    prompts: dict[int, set[str]], passes: list[tuple[int, bool, int]], stride: int
) -> None:
    """On any walk whose passes begin at prompted frames, or go on where the furthest of them ended."""
    pruned, whole = Memory(OUTPUTS, POINTERS, "pointer"), Memory(ENDLESS, ENDLESS, "pointer")
    names = sorted(set.union(*prompts.values()))
    for frame, told in sorted(prompts.items()):
        for memory in (pruned, whole):
            memory.visit(frame * stride)
            for name in told:
                memory.tell(name, frame * stride, _output("told", frame), frame)
    furthest = max(prompts)
    for number, (start, reverse, length) in enumerate(passes):
        begin = furthest if start == 3 else sorted(prompts)[start % len(prompts)]
        end = max(0, begin - length) if reverse else min(29, begin + length)
        furthest = max(furthest, end)
        for frame in range(begin, end + (-1 if reverse else 1), -1 if reverse else 1):
            for memory in (pruned, whole):
                memory.visit(frame * stride)
            for name in names:
                if frame * stride in whole.objects[name].told:
                    continue
                seen = [_looked_at(memory, name, frame * stride, reverse) for memory in (pruned, whole)]
                assert seen[0] == seen[1]
                for memory in (pruned, whole):
                    memory.see(name, frame * stride, _output(number, frame))


def _output(*what: Any) -> dict[str, Any]:
    return {"pointer": what, "features": what}


def _looked_at(memory: Memory, name: str, frame: int, reverse: bool) -> Any:
    """What a model takes from a view: outputs of the nearest places, pointers of some more."""
    view = memory.view(name, frame, 2)
    step = 1 if reverse else -1
    outputs = [view.seen.get(view.here + step * away, {}).get("features") for away in range(1, OUTPUTS + 1)]
    pointers = [view.seen.get(view.here + step * away, {}).get("pointer") for away in range(1, POINTERS + 1)]
    return view.told, outputs, pointers


def test_a_prompt_replaces_what_was_found_and_counts_as_found_where_too_many_are_nearer() -> None:
    memory = Memory(OUTPUTS, POINTERS, "pointer")
    for frame in range(6):
        memory.visit(frame)
        if frame in (0, 2, 4):
            memory.tell("a", frame, _output("told", frame), None)
        else:
            memory.see("a", frame, _output("seen", frame))
    memory.tell("a", 3, _output("again", 3), None)

    view = memory.view("a", 5, 2)
    assert view.told == {4: _output("told", 4), 3: _output("again", 3)}
    assert view.seen == {
        0: _output("told", 0),
        1: _output("seen", 1),
        2: _output("told", 2),
        5: _output("seen", 5),
    }


def test_a_pass_that_begins_far_from_any_prompt_looks_on_whole_outputs_only() -> None:
    memory = Memory(OUTPUTS, POINTERS, "pointer")
    memory.visit(0)
    memory.tell("a", 0, _output("told", 0), None)
    for frame in range(1, 40):
        memory.visit(frame)
        memory.see("a", frame, _output("seen", frame))

    view = memory.view("a", 36, 2)
    near = [output for place, output in view.seen.items() if abs(place - view.here) <= OUTPUTS]
    assert near and all("features" in output for output in near)
    assert len(memory.objects["a"].seen) <= 3 * POINTERS + 2
