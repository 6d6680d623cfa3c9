"""What is said of a run in a few words: its state, how far it is, what came out."""

from __future__ import annotations

import time

from mbo_search.errors import UserError
from mbo_search.report.page.summary import headline_of
from mbo_search.report.style.i18n import Strings
from mbo_search.results.evidence.ranking_values import Ranking
from mbo_search.results.ranking.files import make_ranking
from mbo_search.results.records.hostile_files import read_description
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.serve.watched_run import Snapshot
from mbo_search.study.space.ladder import question_of


def progress_words(seen: Snapshot, text: Strings) -> str:
    """How far a run is."""
    words = text["live"]
    if seen.state in ("preparing", "unreadable"):
        return ""
    counted = words["searched"] if seen.planned is None else words["searched_of"]
    parts = [counted.format(done=seen.searched, planned=seen.planned)]
    parts += [words["judged"].format(count=seen.judged)] if seen.judged else []
    if seen.open:
        parts.append(words["at_work" if seen.state == "running" else "left"].format(count=seen.open))
    return words["comma"].join(parts)


def moment_words(seen: Snapshot, text: Strings) -> str:
    """When the last trial ended, in local time; today without the date."""
    if seen.updated is None:
        return ""
    then = time.localtime(seen.updated)
    is_today = then[:3] == time.localtime()[:3]
    return text["live"]["last"].format(moment=time.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M", then))


def outcome_words(run: RunDirectory, text: Strings) -> str:
    """What a run has found so far in one plain sentence, as the first screen of its page says it.

    Raises:
        UserError: If the directory cannot be read.
    """
    ranking = _ranking(run)
    return headline_of(ranking, ranking.verdict.question or question_of(run.study()), text)


def _ranking(run: RunDirectory) -> Ranking:
    """The ranking that the driver has written, unless a trial has ended since, or it is of an earlier version."""
    try:
        written = run.ranking_json.stat().st_mtime_ns
        if all(file.stat().st_mtime_ns <= written for file in run.trials.glob("*.json")):
            found = read_description(run.ranking_json, Ranking)
            if found.verdict.headline:
                return found
    except (OSError, UserError):
        pass  # not there, of another version, or replaced at this moment: it can be worked out
    return make_ranking(run)
