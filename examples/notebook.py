# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A study in a notebook
#
# This file is the source of a notebook: editors such as VS Code run its cells as they are, and
# `jupytext --to ipynb examples/notebook.py` turns it into an `.ipynb` file.

# %%
import mbo_search as mbo

study = mbo.load_study("quickstart")
study.stages

# %% [markdown]
# ## Search
#
# Interrupt the kernel to stop; `mbo.resume("reports/notebook")` continues with the same trials.

# %%
run = mbo.search(study, out="reports/notebook")
run.verdict

# %% [markdown]
# ## Look
#
# All three tables are pandas DataFrames: a row for each ranked schedule, for each trial, and for each evaluation.

# %%
run.ranking.head()

# %%
run.trials.groupby("arm")["val_loss"].agg(["count", "min"])

# %%
winner = run.best.provenance.trial
run.curves.query("trial == @winner")[["tokens", "lr", "loss"]].tail()

# %%
run.figure("timelines")

# %%
run.figure("curves")

# %% [markdown]
# ## Believe
#
# A search trains every schedule on one seed. `confirm` trains the champions again on fresh seeds.

# %%
run = mbo.confirm(run, seeds=6)
run.verdict

# %%
run.best.save("best.yaml")

# %% [markdown]
# ## Compare
#
# Another sampler on the same study, side by side with the first run.

# %%
import optuna

other = mbo.search(study, out="reports/notebook-random", searcher=optuna.samplers.RandomSampler(seed=0))
comparison = mbo.compare([run, other])
comparison.save("comparison.html")
comparison.verdict
