from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gotowce_dagster.propagation.memory import Memory, nearest

OUTPUTS, POINTERS = 3, 5
ENDLESS = 1000


@pytest.fixture(scope="module")
def select() -> Any:
    """The selection function of the sam2 package, which can only be imported with hydra initialized."""
    from hydra import initialize_config_module
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    initialize_config_module("sam2")
    from sam2.modeling.sam2_utils import select_closest_cond_frames

    GlobalHydra.instance().clear()
    return select_closest_cond_frames


@pytest.mark.parametrize("most", [2, 3, 4, 8])
@given(frames=st.sets(st.integers(0, 40), min_size=1, max_size=8), frame_index=st.integers(0, 40))
def test_nearest_selects_the_same_frames_as_sam2(
    most: int, frames: set[int], frame_index: int, select: Any
) -> None:
    chosen, _ = select(frame_index, dict.fromkeys(frames), most)
    assert nearest(frames, frame_index, most) == list(chosen)


def test_a_single_nearest_frame_is_the_last_one_before() -> None:
    assert nearest([3, 9, 12], 10, 1) == [9]
    assert nearest([12, 15], 10, 1) == [12]


prompted_frames = st.dictionaries(
    st.integers(0, 29), st.sets(st.sampled_from("ab"), min_size=1), min_size=1, max_size=4
)


@settings(max_examples=60)
@given(
    prompts=prompted_frames,
    passes=st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(1, 30)), min_size=1, max_size=4),
    stride=st.sampled_from([1, 3]),
)
def test_views_equal_those_of_an_unbounded_memory(
    prompts: dict[int, set[str]], passes: list[tuple[int, bool, int]], stride: int
) -> None:
    """For any passes that start at a prompted frame, or where the furthest pass ended."""
    bounded, unbounded = Memory(OUTPUTS, POINTERS, "pointer"), Memory(ENDLESS, ENDLESS, "pointer")
    names = sorted(set.union(*prompts.values()))
    for frame, prompted in sorted(prompts.items()):
        for memory in (bounded, unbounded):
            memory.visit(frame * stride)
            for name in prompted:
                memory.add_prompted(name, frame * stride, _output("prompted", frame), frame)
    furthest = max(prompts)
    for number, (start, reverse, length) in enumerate(passes):
        begin = furthest if start == 3 else sorted(prompts)[start % len(prompts)]
        end = max(0, begin - length) if reverse else min(29, begin + length)
        furthest = max(furthest, end)
        for frame in range(begin, end + (-1 if reverse else 1), -1 if reverse else 1):
            for memory in (bounded, unbounded):
                memory.visit(frame * stride)
            for name in names:
                if frame * stride in unbounded.objects[name].prompted:
                    continue
                seen = [_attended(memory, name, frame * stride, reverse) for memory in (bounded, unbounded)]
                assert seen[0] == seen[1]
                for memory in (bounded, unbounded):
                    memory.add_tracked(name, frame * stride, _output(number, frame))


def _output(*what: Any) -> dict[str, Any]:
    return {"pointer": what, "features": what}


def _attended(memory: Memory, name: str, frame: int, reverse: bool) -> Any:
    """What a model reads from a view: outputs of the nearest positions, pointers of some more."""
    view = memory.view(name, frame, 2)
    step = 1 if reverse else -1
    outputs = [
        view.tracked.get(view.position + step * away, {}).get("features") for away in range(1, OUTPUTS + 1)
    ]
    pointers = [
        view.tracked.get(view.position + step * away, {}).get("pointer") for away in range(1, POINTERS + 1)
    ]
    return view.prompted, outputs, pointers


def test_prompt_replaces_tracked_output_and_counts_as_tracked_if_others_are_nearer() -> None:
    memory = Memory(OUTPUTS, POINTERS, "pointer")
    for frame in range(6):
        memory.visit(frame)
        if frame in (0, 2, 4):
            memory.add_prompted("a", frame, _output("prompted", frame), None)
        else:
            memory.add_tracked("a", frame, _output("tracked", frame))
    memory.add_prompted("a", 3, _output("again", 3), None)

    view = memory.view("a", 5, 2)
    assert view.prompted == {4: _output("prompted", 4), 3: _output("again", 3)}
    assert view.tracked == {
        0: _output("prompted", 0),
        1: _output("tracked", 1),
        2: _output("prompted", 2),
        5: _output("tracked", 5),
    }


def test_pass_that_starts_far_from_any_prompt_attends_to_full_outputs_only() -> None:
    memory = Memory(OUTPUTS, POINTERS, "pointer")
    memory.visit(0)
    memory.add_prompted("a", 0, _output("prompted", 0), None)
    for frame in range(1, 40):
        memory.visit(frame)
        memory.add_tracked("a", frame, _output("tracked", frame))

    view = memory.view("a", 36, 2)
    near = [output for place, output in view.tracked.items() if abs(place - view.position) <= OUTPUTS]
    assert near and all("features" in output for output in near)
    assert len(memory.objects["a"].tracked) <= 3 * POINTERS + 2
