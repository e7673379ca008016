"""Prometheus metrics beside BentoML's own: answers, tokens, latency, feedback."""

from prometheus_client import Counter, Gauge, Histogram

ANSWERS = Counter("fmcycle_answers", "Answers, by how they ended", ["finish"])
TOKENS = Counter("fmcycle_tokens", "Tokens read and written", ["kind"])
LATENCY = Histogram("fmcycle_answer_seconds", "Time from a request to its whole answer", buckets=(0.1, 0.3, 1, 3, 10, 30, 100))
FIRST_TOKEN = Histogram("fmcycle_first_token_seconds", "Time from a request to its first token", buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10))
FEEDBACK = Counter("fmcycle_feedback", "Feedback rows, by rating", ["rating"])
REJECTED = Counter("fmcycle_rejected", "Requests that were refused, by status", ["status"])
BUSY = Gauge("fmcycle_answers_in_progress", "Answers being made or waiting", multiprocess_mode="livesum")
WRITABLE = Gauge("fmcycle_store_writable", "1 while the feedback store takes what is written", multiprocess_mode="livemin")
UNKEPT = Gauge("fmcycle_answers_unkept", "Answers that wait in memory for the store", multiprocess_mode="livesum")
LOST = Counter("fmcycle_answers_lost", "Answers that went out and were never kept: the store was away too long, or refused them")
