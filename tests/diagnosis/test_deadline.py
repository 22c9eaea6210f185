import threading

from gotowce_dagster.diagnosis.deadline import Questions


def test_answers_that_came_in_time_and_no_others() -> None:
    forever = threading.Event()
    asked = Questions({"quick": lambda: True, "never": lambda: forever.wait(600), "no": lambda: False})
    assert asked.answers(1.0) == {"quick": True, "no": False}
    forever.set()


def test_questions_run_side_by_side() -> None:
    together = threading.Barrier(3)
    asked = Questions({name: lambda: together.wait(30) >= 0 for name in "abc"})
    assert asked.answers(30) == dict.fromkeys("abc", True)
