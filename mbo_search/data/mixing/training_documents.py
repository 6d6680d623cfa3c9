"""Scores of the documents of prepared training text."""

from __future__ import annotations

import numpy as np

from mbo_search.data.mixing.curriculum import Floats
from mbo_search.data.mixing.dealing import Integers
from mbo_search.data.mixing.document_scores import open_scores
from mbo_search.data.prepare import PreparedData
from mbo_search.errors import DataError, Problem
from mbo_search.study.spec.dimensions.order import LENGTH


class TrainingDocuments:
    """The training documents of prepared data, looked at when a score is asked for.

    Args:
        prepared: The data.
    """

    def __init__(self, prepared: PreparedData) -> None:
        self._prepared = prepared

    def ends(self) -> Integers:
        """Ends of the documents, ascending."""
        return self._prepared.ends("train")

    def scores(self, name: str) -> Floats:
        """A score of each document.

        Raises:
            DataError: If they have no such score.
        """
        scores = self._prepared.metadata.scores
        if name == LENGTH:
            return np.diff(self.ends(), prepend=0).astype(np.float64)
        if scores is None or name not in scores.names:
            known = ", ".join([LENGTH, *(scores.names if scores else ())])
            rule = "is no score of the training text"
            raise DataError([Problem(key="order.by", value=name, rule=rule, hint=f"known are {known}")])
        return open_scores(self._prepared.folder, scores, name)
