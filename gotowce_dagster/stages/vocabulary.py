"""Study: whether prompts are among the words that detectors were trained on."""

from pathlib import Path

import numpy as np
import pandas as pd

from gotowce_dagster.config.project import Project
from gotowce_dagster.core import weights
from gotowce_dagster.core.files import fresh_dir
from gotowce_dagster.core.progress import Progress, silent
from gotowce_dagster.detectors.obstacles import obstacle
from gotowce_dagster.pictures.report import Section, Table, render_report
from gotowce_dagster.studies.vocabulary import (
    advice,
    look_up,
    nearest_by_embedding,
    read_categories,
)
from gotowce_dagster.studies.word_behaviour import COLUMNS, behaviour
from gotowce_dagster.studies.words import Language
from gotowce_dagster.video.decode import probe, read_frames

NAME = "vocabulary"
MATCHES, NEAREST, BEHAVIOUR, ADVICE = "matches.csv", "nearest.csv", "behaviour.csv", "advice.csv"
REPORT = "report.html"
_TEXT = (
    "Is a prompt among the words that detectors were trained on? Phrases are looked up in the categories "
    "and synonyms of four data sets, as they are and by lemma. Detectors answer on sample frames: a word "
    "that they know has far higher confidence than others, whether or not the object is in the frame."
)


def run(project: Project, progress: Progress = silent) -> None:
    """Write data/studies/vocabulary: matches, nearest categories, behaviour and advice as CSV, and
    report.html.

    Raises:
        InputError: a video is not pulled or cannot be read, or the file of LVIS is unusable.
        MissingExtraError: spaCy is not installed.
    """
    project.require_raw()
    params, notes = project.params.vocabulary, []
    language = Language(tuple(params.language_model))
    prompts = [p for d in params.detectors.values() for each in d.prompts.values() for p in each]
    phrases = list(dict.fromkeys([*prompts, *params.phrases]))
    lvis = project.paths.root / Path(params.lvis_categories) if params.lvis_categories else None
    categories = read_categories(lvis)
    matches = look_up(phrases, categories, language, params.nearest)
    if weights.find(params.text_encoder):
        near = nearest_by_embedding(phrases, categories, params.text_encoder, params.nearest)
    else:
        near = pd.DataFrame({"phrase": [], "category": [], "vocabularies": [], "similarity": []})
        notes.append(f"No nearest categories by embedding: {params.text_encoder} is not on this machine.")
    words = dict.fromkeys(phrases, "prompt")
    for name in [*matches["category"], *near["category"]]:
        words.setdefault(name, "neighbour")
    words |= {word: "control" for word in params.control if word not in words}
    reasons = {name: obstacle(settings) for name, settings in params.detectors.items()}
    notes += [f"{name} did not run: {reason}" for name, reason in reasons.items() if reason]
    able = {name: settings for name, settings in params.detectors.items() if not reasons[name]}
    images, answers = _images(project) if able else [], []
    progress(0, max(len(able), 1))
    for done, (name, settings) in enumerate(able.items(), 1):
        answers.append(behaviour(name, settings, words, images, params.min_confidence))
        progress(done, len(able))
    shown = pd.concat(answers) if answers else pd.DataFrame(columns=COLUMNS)
    advised = pd.DataFrame({"phrase": phrases, "advice": [advice(p, matches, shown) for p in phrases]})
    with fresh_dir(project.paths.study(NAME)) as new:
        for file, table in {MATCHES: matches, NEAREST: near, BEHAVIOUR: shown, ADVICE: advised}.items():
            table.to_csv(new / file, index=False)
        tables = [
            Table.of(_filled(matches), "Categories that a phrase is, or shares words with"),
            Table.of(near, "Nearest categories by text embedding"),
        ]
        sections = [
            Section("Conclusion", _TEXT, [*advised["advice"], *notes]),
            Section("Vocabularies", tables=[table for table in tables if table.rows]),
        ]
        if len(shown):
            tables = [Table.of(shown, "Confidences on the sample frames")]
            sections.append(Section("What detectors answer", tables=tables))
        numbers = {
            "phrases": len(phrases),
            "in a vocabulary": int(matches[matches["match"] != "near"]["phrase"].nunique()),
            "categories": len(categories),
            "detectors that ran": len(able),
        }
        (new / REPORT).write_text(render_report("Vocabulary", numbers, sections, 100_000), encoding="utf-8")


def _filled(matches: pd.DataFrame) -> pd.DataFrame:
    """Without the columns that only LVIS's own file fills, if it was not read."""
    is_filled = {
        name: matches[name].astype(str).str.len().gt(0).any() for name in ("definition", "frequency")
    }
    is_filled["images"] = matches["images"].notna().any()
    return matches.drop(columns=[name for name, is_any in is_filled.items() if not is_any])


def _images(project: Project) -> list[np.ndarray]:
    """Frames spread over the videos."""
    count, images = project.params.vocabulary.frames, []
    for place, video in enumerate(project.videos):
        wanted = count // len(project.videos) + (place < count % len(project.videos))
        frames = probe(project.raw(video)).frames
        some = np.unique(((np.arange(wanted) + 0.5) * frames / max(wanted, 1)).astype(int)).tolist()
        images += [frame.rgb() for frame in read_frames(project.raw(video), some)] if some else []
    return images
