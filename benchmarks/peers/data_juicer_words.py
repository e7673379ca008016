"""data-juicer's filter on the number of words over documents of a JSONL file: a verdict each, and the time.

python data_juicer_words.py FILE VERDICTS MIN MAX. Its other filters measure other things than the published rules that ours follow.
"""

import json
import sys

from data_juicer.ops.filter.words_num_filter import WordsNumFilter
from data_juicer.utils.constant import Fields
from measure import Meter

BATCH = 1000  # rows at a time, as it takes them


def main() -> None:
    file, verdicts, least, most = sys.argv[1:]
    with open(file) as lines:
        texts = [json.loads(line)["text"] for line in lines]
    judge = WordsNumFilter(min_num=int(least), max_num=int(most))
    meter = Meter(warm=1)
    meter.step(0)
    kept: list[bool] = []
    for begin in range(0, len(texts), BATCH):
        batch = texts[begin : begin + BATCH]
        rows = judge.compute_stats_batched({"text": batch, Fields.stats: [{} for _ in batch]})
        kept += judge.process_batched(rows)
        meter.step(sum(len(text.encode()) for text in batch))
    with open(verdicts, "w") as target:
        json.dump(kept, target)
    meter.report()


if __name__ == "__main__":
    main()
