"""Step 4: clean."""

import pandas as pd

from gotowce_dagster.config.params import LabelsParams
from gotowce_dagster.detectors.detected import Detected
from gotowce_dagster.labels.cleaning import clean


def label(
    detected: Detected, masks: pd.DataFrame, frames: pd.DataFrame, params: LabelsParams
) -> pd.DataFrame:
    """Columns of tables.LABELS: every candidate with its verdict, reasons and scores.

    Raises:
        InputError: params.yaml names a rule that does not exist.
    """
    return clean(detected.rows, masks, frames, params, detected.unanswered)
