"""A study of two stages in which everything is free that a ladder knows, for worlds where training is a formula."""

STUDY = """
study: planted
data: {source: docs}
model: {layers: 1, width: 32, heads: 2, context: 32}
budget: {tokens: 12800, grid: 0.1}
train: {batch_tokens: 64}
stage_defaults: {optimizer: [adamw, lion], lr: {relative: {low: 0.25, high: 4.0}}, weight_decay: [0.0, 0.1]}
stages:
  - {name: trunk, share: [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], lr_shape: constant, warmup: 0.02}
  - {name: cool, share: rest, lr_shape: linear, hand_over: [carry, reset]}
search: {trials: 80}
baselines: [adamw_cosine]
confirm: {seeds: 12, equivalent_tokens: false}
"""
